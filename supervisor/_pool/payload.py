"""Tasks and answers as bytes: functions, arguments, results and exceptions.

A body is what caller and worker make of each other's objects; the pool passes it on unread::

    [sizes of parts: 2 bytes, count] [8 bytes for each] [length of the function: 4 bytes]
    [the function, pickled] [the rest, pickled]

The *parts* are in the file that comes along where something is large: the buffers that pickle
protocol 5 (PEP 574) hands out instead of copying them, and before them, where that itself is large,
the rest. What is received is mapped, privately: arrays are not copied, and may be written to. A
``bytes`` object owns its memory, so that one is read out of the file.

What pickle alone cannot carry (lambdas, closures, local classes, whatever a script has defined) is
carried by cloudpickle, and what that cannot either, by dill.
"""

from __future__ import annotations

import array
import collections
import io
import operator
import pickle
import struct
import sys
from collections.abc import Sequence
from concurrent.futures.process import _RemoteTraceback
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any, ClassVar

import cloudpickle
import dill

from supervisor._errors import RemoteError
from supervisor._pool.mapping import map_privately
from supervisor._pool.messages import INLINE
from supervisor._traceback import format_error
from supervisor._wire.blob import THRESHOLD, Blob, aligned

__all__ = [
    "Body",
    "Incoming",
    "dump_error",
    "dump_function",
    "dump_result",
    "dump_task",
    "load_error",
    "load_result",
]

_PROTOCOL = 5
_COUNT = struct.Struct("<HI")

# So many parts fit the count; who has more buffers has them copied.
_MOST_PARTS = 1000

# What pickle has no need to ask anybody about.
_PLAIN = frozenset({bool, int, float, complex, str, type(None)})

# Containers of no more items are looked through for that.
_FEW = 16


@dataclass(slots=True)
class Body:
    """A body, and the file that goes with it."""

    data: bytes
    blob: Blob | None = None

    def close(self) -> None:
        """Close the file."""
        if self.blob is not None:
            self.blob.close()


# --- pickling ----------------------------------------------------------------------------------


_reduce_anonymous_code = cloudpickle.Pickler.dispatch_table[CodeType]


def _reduce_code(code: CodeType) -> Any:
    """Code with the name of its file, which tracebacks want, and cloudpickle leaves out."""
    make, parts = _reduce_anonymous_code(code)
    return _make_code, (make, parts, code.co_filename)


def _make_code(make: Any, parts: tuple[Any, ...], filename: str) -> CodeType:
    code: CodeType = make(*parts).replace(co_filename=filename)
    return code


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Carries what is not importable by value; buffers it hands out."""

    dispatch_table: ClassVar[Any] = collections.ChainMap(
        {CodeType: _reduce_code}, cloudpickle.Pickler.dispatch_table
    )

    def reducer_override(self, obj: Any) -> Any:
        """How an object of no plain type is carried."""
        kind = type(obj)
        if kind is memoryview:
            return memoryview, (pickle.PickleBuffer(obj),)
        if kind is _Large:
            return _owned, (obj.kind, pickle.PickleBuffer(obj.data))
        if kind is array.array and len(obj) * obj.itemsize >= THRESHOLD:
            return _array, (obj.typecode, pickle.PickleBuffer(obj))
        if _is_returning and (kind is FunctionType or isinstance(obj, type)):
            name = _name_in_main(obj)
            if name is not None:
                return _of_main, (name,)
        return super().reducer_override(obj)


# Whether this process is a worker: then what bears the name of the script's module comes from the
# caller's script, and goes back there by that name, to be the very same class.
_is_returning = False


def return_to_callers() -> None:
    """This process is a worker."""
    global _is_returning  # noqa: PLW0603  a process is a worker or not
    _is_returning = True


def _name_in_main(thing: Any) -> str | None:
    if getattr(thing, "__module__", None) != "__main__":
        return None
    name: str = thing.__qualname__
    return None if "<" in name else name


def _of_main(name: str) -> Any:
    return operator.attrgetter(name)(sys.modules["__main__"])


@dataclass(slots=True)
class _Large:
    """A large binary, to be handed out as a buffer: pickle copies bytes into the stream."""

    kind: type
    data: bytes | bytearray


def _owned(kind: type, view: Any) -> Any:
    return kind(view)


def _array(typecode: str, view: Any) -> array.array[Any]:
    made = array.array(typecode)
    made.frombytes(view)
    return made


def _lift(value: Any, depth: int = 2) -> Any:
    """The value, with large binaries in it, if they are not far down, made ready to be handed out.

    A container is only copied if it holds one.
    """
    kind = type(value)
    if kind is bytes or kind is bytearray:
        return _Large(kind, value) if len(value) >= THRESHOLD else value
    if depth and (kind is tuple or kind is list):
        if any(type(item) in _CONTAINING for item in value):
            lifted = [_lift(item, depth - 1) for item in value]
            if any(new is not old for new, old in zip(lifted, value, strict=True)):
                return kind(lifted)
    elif depth and kind is dict and any(type(item) in _CONTAINING for item in value.values()):
        by_key = {key: _lift(item, depth - 1) for key, item in value.items()}
        if any(by_key[key] is not item for key, item in value.items()):
            return by_key
    return value


_CONTAINING = frozenset({bytes, bytearray, tuple, list, dict})


def _pickle(value: Any, parts: list[pickle.PickleBuffer] | None) -> bytes:
    """The value, pickled; buffers that are handed out are added to the parts, if there may be any.

    Raises:
        Exception: it cannot be carried.
    """

    def hand_out(buffer: pickle.PickleBuffer) -> bool:
        if parts is None or len(parts) >= _MOST_PARTS or memoryview(buffer).nbytes < THRESHOLD:
            return True
        try:
            buffer.raw()
        except BufferError:
            # It is not in one piece.
            return True
        parts.append(buffer)
        return False

    stream = io.BytesIO()
    try:
        _Pickler(stream, _PROTOCOL, buffer_callback=hand_out).dump(_lift(value))
    except Exception as error:  # noqa: BLE001  whatever the objects in it do
        if parts:
            parts.clear()
        try:
            return dill.dumps(value, protocol=_PROTOCOL, recurse=True)  # type: ignore[no-any-return]
        except Exception:  # noqa: BLE001  the first one says more
            raise error from None
    return stream.getvalue()


def _is_plain(values: Sequence[Any], depth: int = 2) -> bool:
    """Whether pickle needs no help with these few values: it is faster alone."""
    for value in values:
        kind = type(value)
        if kind in _PLAIN:
            continue
        if kind is bytes and len(value) < THRESHOLD:
            continue
        is_short = (kind is tuple or kind is list) and depth and len(value) <= _FEW
        if not is_short or not _is_plain(value, depth - 1):
            return False
    return True


def dump_function(function: Any) -> bytes:
    """The function, pickled: by its name where that leads to it, else by value.

    Raises:
        Exception: it cannot be carried.
    """
    try:
        stream = io.BytesIO()
        _Pickler(stream, _PROTOCOL).dump(function)
        return stream.getvalue()
    except Exception as error:  # noqa: BLE001  whatever the objects in it do
        try:
            return dill.dumps(function, protocol=_PROTOCOL, recurse=True)  # type: ignore[no-any-return]
        except Exception:  # noqa: BLE001  the first one says more
            raise error from None


def dump_task(function: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Body:
    """A task's body.

    Raises:
        Exception: an argument cannot be carried, or there is no memory or descriptor for it.
    """
    call = (args, kwargs) if kwargs else (args,)
    if not kwargs and _is_plain(args):
        return _body(function, pickle.dumps(call, _PROTOCOL), [])
    parts: list[pickle.PickleBuffer] = []
    return _body(function, _pickle(call, parts), parts)


def dump_result(result: Any) -> Body:
    """A result's body.

    Raises:
        Exception: it cannot be carried, or there is no memory or descriptor for it.
    """
    if _is_plain((result,)):
        return _body(b"", pickle.dumps(result, _PROTOCOL), [])
    parts: list[pickle.PickleBuffer] = []
    return _body(b"", _pickle(result, parts), parts)


def _body(function: bytes, rest: bytes, parts: list[pickle.PickleBuffer]) -> Body:
    if not parts and len(function) + len(rest) <= INLINE:
        return Body(_COUNT.pack(0, len(function)) + function + rest)
    contents: list[Any] = [part.raw() for part in parts]
    # What is too long for a message goes into the file as well: then its length is 0 here.
    if len(function) + len(rest) > INLINE:
        contents.insert(0, _COUNT.pack(0, len(function)) + function + rest)
        function = rest = b""
    sizes = struct.pack(f"<{len(contents)}Q", *(memoryview(part).nbytes for part in contents))
    blob = Blob.of_parts(contents)
    return Body(_COUNT.pack(len(contents), len(function)) + sizes + function + rest, blob)


# --- unpickling --------------------------------------------------------------------------------


class Incoming:
    """A body that was received: the function's bytes, and the rest as an object.

    Args:
        data: the body.
        descriptor: of the file that came with it; it is closed once it is mapped.
    """

    __slots__ = ("_buffers", "_rest", "function")

    def __init__(self, data: bytes, descriptor: int | None = None) -> None:
        count, length = _COUNT.unpack_from(data)
        self._buffers: list[memoryview] = []
        at = _COUNT.size
        if count:
            if descriptor is None:
                raise pickle.UnpicklingError("a file is missing")
            sizes = struct.unpack_from(f"<{count}Q", data, at)
            at += 8 * count
            self._buffers = _mapped(descriptor, sizes)
        if at == len(data) and self._buffers:
            inner = self._buffers.pop(0)
            _, length = _COUNT.unpack_from(inner)
            at = _COUNT.size
            self.function = bytes(inner[at : at + length])
            self._rest: bytes | memoryview = inner[at + length :]
        else:
            self.function = data[at : at + length]
            self._rest = data[at + length :]

    def value(self) -> Any:
        """The rest, unpickled.

        Raises:
            Exception: it cannot be rebuilt here.
        """
        return pickle.loads(self._rest, buffers=self._buffers)


def _mapped(descriptor: int, sizes: Sequence[int]) -> list[memoryview]:
    begins, end = [], 0
    for size in sizes:
        begin = aligned(end)
        begins.append(begin)
        end = begin + size
    # Private: what is written to it is nobody else's business, and copied page by page.
    with map_privately(descriptor, end) as view:
        return [view[begin : begin + size] for begin, size in zip(begins, sizes, strict=True)]


def load_result(data: bytes, descriptor: int | None) -> Any:
    """The result that was sent.

    Raises:
        Exception: it cannot be rebuilt here.
    """
    return Incoming(data, descriptor).value()


# --- exceptions --------------------------------------------------------------------------------


def dump_error(error: BaseException) -> Body:
    """An exception's body: it, its traceback as text, and what is said of it if it has to stay."""
    text = format_error(error)
    kind = type(error)
    name = f"{kind.__module__}:{kind.__qualname__}"
    shown = [_shown(argument) for argument in error.args]
    try:
        carried = _pickle(error, None)
    except Exception as problem:  # noqa: BLE001  whatever keeps it here
        carried = b""
        text += f"\n(it could not be sent as it is: {problem})\n"
    return _body(b"", pickle.dumps((carried, name, shown, text), _PROTOCOL), [])


def _shown(value: object) -> str:
    try:
        return value if isinstance(value, str) else repr(value)
    except Exception as error:  # noqa: BLE001  what an object's own __repr__ raises
        return f"(it cannot be shown: {error!r})"


def load_error(data: bytes, descriptor: int | None) -> BaseException:
    """The exception that was sent, whose cause shows the worker's traceback; or a RemoteError."""
    carried, name, shown, text = load_result(data, descriptor)
    error = None
    try:
        error = pickle.loads(carried) if carried else None
    except Exception as problem:  # noqa: BLE001  whatever its own class does
        text += f"\n(it could not be rebuilt here: {type(problem).__name__}: {problem})\n"
    if not isinstance(error, BaseException):
        error = RemoteError(name, shown, {})
    # That of concurrent.futures: programs and tools know it.
    error.__cause__ = _RemoteTraceback(f'\n"""\n{text}"""')  # type: ignore[arg-type]
    return error
