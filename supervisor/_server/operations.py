"""The operations of a server: found once, when it starts."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from supervisor._errors import BadCall
from supervisor._server.server import HOOKS, Server

__all__ = [
    "Operation",
    "declared_errors",
    "find_operations",
    "has_async_operations",
    "prepare",
    "unknown",
]

# What a plain class may have for its orderly end; not for callers, of whom there are several.
_CLOSE = frozenset({"close"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        name: what callers call it.
        method: the bound method.
        public: the public method of that name, whose signature is the operation's.
        blobs: whether it takes large binaries in their files.
    """

    name: str
    method: Callable[..., Any]
    public: Callable[..., Any]
    blobs: bool

    def misfit(
        self, args: Sequence[Any], kwargs: dict[str, Any], error: TypeError
    ) -> BadCall | None:
        """What a caller is told whose arguments do not fit; None where the error is a bug.

        Args:
            args: the positional arguments.
            kwargs: the keyword arguments.
            error: what the call raised.
        """
        inside = error.__traceback__ and error.__traceback__.tb_next
        if inside is None:
            # The call itself failed: the method's first line was never reached.
            return BadCall(str(error))
        return self.mismatch(args, kwargs)

    def mismatch(self, args: Sequence[Any], kwargs: dict[str, Any]) -> BadCall | None:
        """What a caller is told whose arguments are not those of the signature; None if they are.

        Args:
            args: the positional arguments.
            kwargs: the keyword arguments.
        """
        try:
            inspect.signature(self.public).bind(*args, **kwargs)
        except (TypeError, ValueError) as problem:
            return BadCall(f"{self.name}: {problem}")
        return None


class _Method(NamedTuple):
    """A method of a class that is an operation, or may be."""

    attribute: str
    name: str
    declared: bool
    blobs: bool
    threads: bool


_known_methods: dict[type, tuple[_Method, ...]] = {}


def _methods(cls: type) -> tuple[_Method, ...]:
    """The operations of a class.

    Looking through a class takes milliseconds: a supervisor has it done before it forks.
    """
    if cls not in _known_methods:
        _known_methods[cls] = _find_methods(cls)
    return _known_methods[cls]


def _find_methods(cls: type) -> tuple[_Method, ...]:
    hooks = HOOKS | _CLOSE if issubclass(cls, Server) else _CLOSE
    found: list[_Method] = []
    for attribute in dir(cls):
        member = inspect.getattr_static(cls, attribute)
        if isinstance(member, (property, type)):
            continue
        method = getattr(cls, attribute, None)
        if not callable(method) or isinstance(method, type):
            continue
        name = getattr(method, "__operation__", None)
        if name is not None:
            blobs = getattr(method, "__blobs__", False)
            threads = getattr(method, "__threads__", True)
            found.append(_Method(attribute, name, declared=True, blobs=blobs, threads=threads))
        elif not attribute.startswith("_") and attribute not in hooks:
            found.append(_Method(attribute, attribute, declared=False, blobs=False, threads=True))
    return tuple(found)


def find_operations(server: Any, *, on_threads: bool = False) -> dict[str, Operation]:
    """The public methods of a server, less its hooks, and those declared with ``operation``.

    Args:
        server: the object.
        on_threads: whether they will be called on threads, as a Forwarder's hosted objects are.
    """
    found: dict[str, Operation] = {}
    # Those declared come last, in the place of the public ones.
    for method in sorted(_methods(type(server)), key=lambda method: method.declared):
        if on_threads and not method.threads:
            continue
        bound = getattr(server, method.attribute)
        public = getattr(server, method.name, bound) if method.declared else bound
        found[method.name] = Operation(method.name, bound, public, method.blobs)
    return found


@functools.cache
def has_async_operations(cls: type) -> bool:
    """Whether a class has operations that want asyncio's loop."""
    return any(
        inspect.iscoroutinefunction(getattr(cls, method.attribute)) for method in _methods(cls)
    )


def prepare(cls: type) -> None:
    """Look through a class ahead of time: a process that is forked from this one need not."""
    has_async_operations(cls)


def declared_errors(server: object) -> tuple[type[BaseException], ...]:
    """The errors that a server's class, or a class that it inherits from, declares as replies."""
    found: dict[type[BaseException], None] = {}
    for cls in type(server).__mro__:
        declared = vars(cls).get("replies_with", ())
        for error in declared if isinstance(declared, (tuple, list)) else (declared,):
            found[error] = None
    return tuple(found)


def unknown(server: object, name: object, operations: dict[str, Operation]) -> BadCall:
    """What a caller of an operation that there is not is told."""
    kind = type(server).__name__
    if isinstance(name, str) and name.startswith("_"):
        return BadCall(f"{kind} has no operation {name!r}: what begins with '_' is private")
    if isinstance(name, str) and (name in _CLOSE or name in HOOKS):
        return BadCall(f"{kind} has no operation {name!r}: that is for its own process")
    known = ", ".join(sorted(operations)) or "none"
    return BadCall(f"{kind} has no operation {name!r}; it has: {known}")
