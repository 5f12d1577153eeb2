"""Values as MessagePack, with extension types for what MessagePack has no word for.

====  ===========  ==========================================================================
code  what         payload
====  ===========  ==========================================================================
-1    a datetime   the MessagePack timestamp
1     a value      ``[type, *fields]`` of a declared domain type: a class with ``__to_wire__``
                   (a tuple of its fields) and ``__from_wire__`` (a class method, from a list)
2     an error     ``[type, args, attributes]`` of an exception
3     an integer   beyond 64 bits: two's complement, big-endian
4     a blob       ``[index, size, as_view]``: a large binary, in that descriptor of the frame
5     a view       a small memoryview, which arrives as one
6     a spec       of a child, as dill writes it: starting a process carries code by its nature
7     going down   ``[taken, exit]``: in the place of an error, the process ends and has not
                   carried out the request; whether it had begun with it, and why it ends
8     a datetime   without a time zone, in ISO 8601
====  ===========  ==========================================================================

A type is ``module:qualified name``. Nothing else is ever pickled, and unless a decoder is told
otherwise, only modules that are already imported are looked at.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MethodDescriptorType, WrapperDescriptorType
from typing import Any

import dill
import msgpack

from supervisor._errors import RemoteError
from supervisor._exit import Exit
from supervisor._spec import Child
from supervisor._supervisor import Supervisor
from supervisor._wire.blob import Blob

__all__ = [
    "CodecError",
    "Decoder",
    "GoingDown",
    "encode",
    "encode_error",
    "encode_result",
    "pack_spec",
    "unpack_spec",
]

VALUE, ERROR, INTEGER, BLOB, VIEW, SPEC, GOING_DOWN, NAIVE_DATETIME = range(1, 9)


@dataclass(frozen=True, slots=True)
class GoingDown:
    """In the place of an error: the process ends, and has not carried the request out.

    Attributes:
        taken: whether it had begun with it.
        exit: why it ends.
    """

    taken: bool
    exit: Exit


class CodecError(Exception):
    """A value cannot be encoded, or bytes cannot be decoded.

    Attributes:
        refusal: where an object of a declared type is not as its own type wants it, what that says.
    """

    refusal: Exception | None = None


# --- encoding ----------------------------------------------------------------------------------


def encode(value: Any, blobs: list[Blob] | None = None) -> bytes:
    """The bytes of a value.

    Args:
        value: what to encode.
        blobs: is given the blobs that were met, in the order of their indexes; None: none may be.

    Raises:
        CodecError: something in it cannot be encoded.
    """
    try:
        return _pack(value, _default if blobs is None else _Default(blobs))
    except CodecError:
        raise
    except Exception as error:
        raise CodecError(f"cannot be encoded: {error}") from error


def encode_result(value: Any) -> bytes:
    """The same, by a shorter way where it is an object of a declared type."""
    if not hasattr(value, "__to_wire__") or isinstance(value, type):
        return encode(value)
    payload = _fields(value)
    return _extension_head(VALUE, len(payload)) + payload


def _extension_head(code: int, size: int) -> bytes:
    """What stands before the payload of an extension type."""
    if size < 0x100:
        return b"\xc7%c%c" % (size, code)
    if size < 0x10000:
        return b"\xc8" + size.to_bytes(2, "big") + b"%c" % code
    return b"\xc9" + size.to_bytes(4, "big") + b"%c" % code


# Packers are not reentrant, and a declared type packs its fields while its holder is being packed:
# so each level takes a packer that is free. Appending and popping are atomic.
_free: list[msgpack.Packer] = []


def _pack(value: Any, default: Callable[[Any], Any]) -> bytes:
    if default is not _default:
        return _packer(default).pack(value)  # type: ignore[no-any-return]
    try:
        packer = _free.pop()
    except IndexError:
        packer = _packer(_default)
    data = packer.pack(value)
    _free.append(packer)
    return data  # type: ignore[no-any-return]


def _packer(default: Callable[[Any], Any]) -> msgpack.Packer:
    return msgpack.Packer(default=default, datetime=True, unicode_errors="surrogatepass")


def _default(value: Any) -> msgpack.ExtType:
    if hasattr(value, "__to_wire__") and not isinstance(value, type):
        return _extension(VALUE, _fields(value))
    if isinstance(value, GoingDown):
        return msgpack.ExtType(GOING_DOWN, _pack((value.taken, value.exit), _default))
    if isinstance(value, datetime):
        return msgpack.ExtType(NAIVE_DATETIME, value.isoformat().encode())
    if isinstance(value, int):
        size = value.bit_length() // 8 + 1
        return msgpack.ExtType(INTEGER, value.to_bytes(size, "big", signed=True))
    if isinstance(value, (Child, Supervisor)):
        return msgpack.ExtType(SPEC, pack_spec(value))
    if isinstance(value, BaseException):
        return msgpack.ExtType(ERROR, encode_error(value))
    raise CodecError(f"holds a {type(value).__name__}, which cannot be encoded: {value!r:.100}")


def _extension(code: int, payload: bytes) -> msgpack.ExtType:
    # Its own constructor checks what is known here.
    return tuple.__new__(msgpack.ExtType, (code, payload))


# How the types are called whose objects were met: as many as there are classes.
_type_names: dict[type, str] = {}


def _name_of(kind: type) -> str:
    name = _type_names[kind] = type_name(kind)
    return name


def _fields(value: Any) -> bytes:
    """The payload of a declared type; if it has none, that type is asked what is wrong with it."""
    kind = type(value)
    fields = value.__to_wire__()
    name = _type_names.get(kind) or _name_of(kind)
    try:
        return _pack((name, *fields), _default)
    except Exception as error:  # noqa: BLE001  whatever the fields hold
        problem = error if isinstance(error, CodecError) else CodecError(str(error))
        try:
            kind.__from_wire__(list(fields))
        except Exception as refusal:  # noqa: BLE001  whatever the type says of such fields
            problem.refusal = refusal
        raise problem from None


class _Default:
    """The same, where blobs may be met."""

    def __init__(self, blobs: list[Blob]) -> None:
        self._blobs = blobs

    def __call__(self, value: Any) -> msgpack.ExtType:
        if not isinstance(value, Blob):
            return _default(value)
        self._blobs.append(value)
        payload = (len(self._blobs) - 1, value.size, value.as_view)
        return msgpack.ExtType(BLOB, msgpack.packb(payload))


def type_name(cls: type) -> str:
    """How a class is called on the wire."""
    return f"{cls.__module__}:{cls.__qualname__}"


def encode_error(error: BaseException) -> bytes:
    """The payload of an error: what it carries that cannot be encoded goes as its repr."""
    attributes = {key: value for key, value in vars(error).items() if key != "__notes__"}
    try:
        return _pack((type_name(type(error)), _arguments(error), attributes), _default)
    except Exception:  # noqa: BLE001  an error that cannot travel must not hide what it says
        shown = {key: _encodable(value) for key, value in attributes.items()}
        args = [_encodable(value) for value in error.args]
        return _pack((type_name(type(error)), args, shown), _default)


def _arguments(error: BaseException) -> tuple[Any, ...]:
    """What it was made of: an OSError, for one, has its file names elsewhere than in its args."""
    if isinstance(type(error).__reduce__, MethodDescriptorType):
        return tuple(error.__reduce__()[1])
    return error.args


def _encodable(value: Any) -> Any:
    try:
        _pack(value, _default)
    except Exception:  # noqa: BLE001  whatever it is, its repr can be encoded
        return repr(value)
    return value


def pack_spec(spec: Any) -> bytes:
    """A spec as dill writes it: lambdas, closures and classes of ``__main__`` by value.

    Raises:
        CodecError: it holds something that cannot be carried to another process.
    """
    try:
        return dill.dumps(spec, recurse=True)  # type: ignore[no-any-return]
    except Exception as error:
        raise CodecError(f"cannot be carried to another process: {error}") from error


def unpack_spec(data: bytes) -> Any:
    """The spec that ``pack_spec`` wrote.

    Raises:
        CodecError: a module that it needs cannot be imported here, or the like.
    """
    try:
        return dill.loads(data)
    except Exception as error:
        raise CodecError(f"cannot be rebuilt here: {type(error).__name__}: {error}") from error


# --- decoding ----------------------------------------------------------------------------------


class Decoder:
    """Decodes frames.

    Args:
        importing: whether a type's module may be imported to find it: for callers, who chose whom
            they talk to.
        specs: whether specs of children are rebuilt: for supervisors and those who ask them.
    """

    def __init__(self, *, importing: bool = False, specs: bool = False) -> None:
        self._importing = importing
        self._specs = specs
        self._values: dict[str, Callable[[list[Any]], Any]] = {}
        self._hook = self._extension

    def decode(self, data: bytes, descriptors: Sequence[int] = ()) -> Any:
        """The value of these bytes. Descriptors become blobs, or are closed.

        Raises:
            CodecError: the bytes, or a type that they name, are not understood; or a domain type
                refused its fields with an error of its own (``__cause__``).
        """
        hook = self._hook
        if descriptors:
            blobs = [Blob(descriptor, 0) for descriptor in descriptors]
            hook = lambda code, payload: self._with(blobs, code, payload)
        try:
            return msgpack.unpackb(
                data,
                strict_map_key=False,
                timestamp=3,
                unicode_errors="surrogatepass",
                ext_hook=hook,
            )
        except CodecError:
            raise
        except Exception as error:
            raise CodecError(f"cannot be decoded: {error!r}") from error

    def _with(self, blobs: list[Blob], code: int, payload: bytes) -> Any:
        if code != BLOB:
            return self._extension(code, payload)
        index, size, as_view = msgpack.unpackb(payload)
        if not 0 <= index < len(blobs):
            raise CodecError(f"blob {index} is missing: {len(blobs)} descriptors arrived")
        held = os.fstat(blobs[index].fileno()).st_size
        if type(size) is not int or not 0 <= size <= held:
            raise CodecError(f"blob {index} holds {held} bytes, not {size!r}")
        blobs[index].size = size
        blobs[index].as_view = as_view
        return blobs[index]

    def _extension(self, code: int, payload: bytes) -> Any:  # noqa: PLR0911  one for each type
        if code == VALUE:
            name, *values = self.decode(payload)
            build = self._values.get(name)
            return build(values) if build is not None else self._build(name)(values)
        if code == INTEGER:
            return int.from_bytes(payload, "big", signed=True)
        if code == ERROR:
            return self._error(*self.decode(payload))
        if code == GOING_DOWN:
            return GoingDown(*self.decode(payload))
        if code == NAIVE_DATETIME:
            return datetime.fromisoformat(payload.decode())
        if code == VIEW:
            return memoryview(payload)
        if code == SPEC and self._specs:
            return unpack_spec(payload)
        raise CodecError(f"extension type {code} has no place here")

    def _build(self, name: str) -> Callable[[list[Any]], Any]:
        cls = self._find(name)
        build = getattr(cls, "__from_wire__", None)
        if build is None:
            raise CodecError(f"{name} is no declared type that is known here")
        self._values[name] = build
        return build  # type: ignore[no-any-return]

    def _error(self, name: str, args: list[Any], attributes: dict[str, Any]) -> BaseException:
        cls = self._find(name)
        if not (isinstance(cls, type) and issubclass(cls, BaseException)):
            return RemoteError(name, args, attributes)
        # As unpickling would, but for __init__: what it made of its arguments is in the attributes.
        error = cls.__new__(cls, *args)
        if isinstance(cls.__init__, WrapperDescriptorType):
            # One of the interpreter's own: it keeps what it was given where vars() does not look.
            error.__init__(*args)  # type: ignore[misc]
        else:
            error.args = tuple(args)
        vars(error).update(attributes)
        return error

    def _find(self, name: str) -> Any:
        module_name, _, qualified = name.partition(":")
        module = sys.modules.get(module_name)
        if module is None and self._importing:
            try:
                module = importlib.import_module(module_name)
            except Exception:  # noqa: BLE001  a module that cannot be imported has no such type
                return None
        found: Any = module
        for part in qualified.split("."):
            found = getattr(found, part, None)
        return found
