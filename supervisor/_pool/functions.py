"""Functions as bytes, made once for each: as long as what went into the bytes is still the same.

A function that a module hands out is carried by its name. What a script defines, a lambda and a
closure are carried by value, with the globals and the variables that they refer to: making that
anew for each task would take longer than most tasks. So it is kept, together with what was looked
at; and it is only kept where all of that is of a kind that cannot change in itself.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from supervisor._errors import BadCall
from supervisor._pool.payload import dump_function

__all__ = ["Functions", "check_arguments", "name_of"]

_CONSTANTS = (bool, int, float, complex, str, bytes, type(None), types.ModuleType)
_BUILTIN = types.BuiltinFunctionType

# What was looked at: a variable by its namespace and name, or a cell, and what it held.
_Variable = tuple[dict[str, Any], str, Any]
_Cell = tuple[types.CellType, Any]

_MISSING = object()


class _Kept:
    """A function's bytes, and what they were made of."""

    __slots__ = ("_root", "cells", "code", "data", "is_stable", "variables")

    def __init__(self, function: Any, data: bytes) -> None:
        self.data = data
        self.code = getattr(function, "__code__", None)
        self.variables: list[_Variable] = []
        self.cells: list[_Cell] = []
        self._root = weakref.ref(function)
        self.is_stable = self._look_at(function, set())

    def is_current(self, function: Any) -> bool:
        """Whether the bytes made anew would be the same."""
        if not self.is_stable or getattr(function, "__code__", None) is not self.code:
            return False
        for namespace, name, value in self.variables:
            if namespace.get(name, _MISSING) is not value:
                return False
        return all(_content(cell) is value for cell, value in self.cells)

    def _look_at(self, thing: Any, seen: set[int]) -> bool:
        """Note what a thing refers to; whether all of it is of a kind that does not change."""
        if id(thing) in seen or isinstance(thing, _CONSTANTS):
            return True
        seen.add(id(thing))
        if isinstance(thing, (tuple, frozenset)):
            return all(self._look_at(item, seen) for item in thing)
        if isinstance(thing, (_BUILTIN, type)):
            # The class of a script is carried as it was when it was first met.
            return True
        if type(thing) is not types.FunctionType:
            return False
        return is_importable(thing) or self._look_into(thing, seen)

    def _look_into(self, function: types.FunctionType, seen: set[int]) -> bool:
        if function.__dict__ or not self._look_at(function.__defaults__, seen):
            return False
        if not all(
            self._look_at(value, seen) for value in (function.__kwdefaults__ or {}).values()
        ):
            return False
        namespace = function.__globals__
        for name in _names(function.__code__):
            value = namespace.get(name, _MISSING)
            self.variables.append((namespace, name, value))
            if value is not _MISSING and not self._look_at(value, seen):
                return False
        for cell in function.__closure__ or ():
            value = _content(cell)
            if value is self._root():
                # It calls itself, and must not be kept alive by that.
                continue
            self.cells.append((cell, value))
            if value is not _MISSING and not self._look_at(value, seen):
                return False
        return True


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        # It is empty.
        return _MISSING


def _names(code: types.CodeType) -> Iterator[str]:
    """The names that a function, or one inside of it, may look up among the globals."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def is_importable(thing: Any) -> bool:
    """Whether its module hands it out under its name, in other processes too."""
    module = getattr(thing, "__module__", None)
    if module is None or module == "__main__" or module not in sys.modules:
        return False
    found: Any = sys.modules[module]
    for part in thing.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is thing


class Functions:
    """The bytes of the functions that were submitted."""

    def __init__(self) -> None:
        self._kept: weakref.WeakKeyDictionary[Any, _Kept] = weakref.WeakKeyDictionary()

    def dump(self, function: Callable[..., Any]) -> bytes:
        """A function's bytes.

        Raises:
            BadCall: it cannot be called, or not be carried to another process.
        """
        kind = type(function)
        if kind is not types.FunctionType and kind is not _BUILTIN:
            return _dump(function)
        kept = self._kept.get(function)
        if kept is None or not kept.is_current(function):
            kept = self._kept[function] = _Kept(function, _dump(function))
        return kept.data


def _dump(function: Any) -> bytes:
    if not callable(function):
        raise BadCall(f"what is submitted must be callable, not {function!r:.100}")
    try:
        return dump_function(function)
    except Exception as error:
        raise BadCall(
            f"{name_of(function)} cannot be carried to another process: {error}"
        ) from error


def name_of(function: Any) -> str:
    """What people call a function."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return str(name)[:200]


def check_arguments(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """That the function takes these arguments, as far as its signature tells.

    Raises:
        BadCall: it does not.
    """
    if type(function) is types.FunctionType and not kwargs and _fits(function, len(args)):
        return
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise BadCall(f"{name_of(function)} does not take these arguments: {error}") from None


def _fits(function: types.FunctionType, count: int) -> bool:
    """Whether it takes so many positional arguments, told without making a signature."""
    code = function.__code__
    if code.co_kwonlyargcount or hasattr(function, "__wrapped__"):
        return False
    least = code.co_argcount - len(function.__defaults__ or ())
    return least <= count <= code.co_argcount
