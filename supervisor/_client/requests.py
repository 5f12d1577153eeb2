"""Requests and responses as bytes: arguments in, results and errors out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from supervisor._client.delivery import LinkLost, Request, deadline_after
from supervisor._errors import BadCall
from supervisor._wire.blob import THRESHOLD, Blob
from supervisor._wire.codec import GOING_DOWN, CodecError, Decoder, encode
from supervisor._wire.frames import Frame, Header, close_all, frame_limit

__all__ = [
    "check_going_down",
    "discard",
    "going_down_of",
    "is_going_down",
    "make_request",
    "notification",
    "open_response",
]

# Timeouts of fewer seconds than these are nothing special.
_USUAL = 1e6

# As many descriptors as one message carries (SCM_MAX_FD of unix(7)).
_MOST_DESCRIPTORS = 253

# What stands before a body takes no more than this.
_HEAD = 16

_operations: dict[str, bytes] = {}


def make_request(
    operation: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    timeout: float | None,
    idempotent: bool = False,
    instance: int | None = None,
) -> Request:
    """A request for a call.

    Args:
        operation: its name.
        args: its positional arguments.
        kwargs: its keyword arguments; a ``wait_timeout`` among them stretches the timeout.
        timeout: seconds to wait for the answer; None waits without limit.
        idempotent: whether it may be sent again when the process died during it.
        instance: the one run of the process that is meant.

    Raises:
        BadCall: an argument cannot be encoded, or all of them are over the limit of a frame.
        Exception: what a declared type says of an object that is not as it wants it.
    """
    if type(timeout) is float and 0.0 <= timeout < _USUAL and not kwargs:
        deadline: float | None = time.monotonic() + timeout
    else:
        deadline = _deadline(timeout, kwargs)
    blobs: list[Blob] = []
    sendable = _with_blobs(args)
    by_name = _with_blobs_by_name(kwargs) if kwargs else kwargs
    params: list[Any] = [sendable, by_name]
    if instance is not None:
        params += (deadline, instance)
    elif deadline is not None:
        params.append(deadline)
    try:
        if sendable is args and by_name is kwargs:
            body = _operation(operation) + encode(params)
        else:
            body = _operation(operation) + encode(params, blobs)
    except CodecError as error:
        raise error.refusal or BadCall(f"{operation}: an argument {error}") from None
    if blobs or len(body) + _HEAD > frame_limit():
        _check(operation, body, blobs)
    return Request(operation, body, deadline, idempotent, blobs)


def notification(operation: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
    """The frame of a cast.

    Raises:
        BadCall: an argument cannot be encoded, or all of them are over the limit of a frame.
    """
    try:
        data = b"\x93\x02" + _operation(operation) + encode([args, kwargs])
    except CodecError as error:
        raise error.refusal or BadCall(f"{operation}: an argument {error}") from None
    _check(operation, data, ())
    return data


def open_response(decoder: Decoder, frame: Frame) -> Any:
    """The result of a response.

    Raises:
        Exception: the error that the response carries.
    """
    try:
        _, _, error, result = decoder.decode(frame.data, frame.descriptors)
    except CodecError as problem:
        if isinstance(problem.__cause__, Exception):
            raise problem.__cause__ from None
        raise BadCall(f"the answer {problem}") from None
    if error is None:
        return _taken(result) if isinstance(result, Blob) else result
    if isinstance(error, BaseException):
        raise error
    raise BadCall(f"the process answered with an error that is none: {error!r}")


def _taken(blob: Blob) -> bytes | memoryview:
    try:
        return blob.take()
    except OSError as error:
        raise BadCall(f"the answer cannot be read: {error}") from error


def _deadline(timeout: float | None, kwargs: Mapping[str, Any]) -> float | None:
    if timeout is None:
        return None
    if not isinstance(timeout, (int, float)) or isinstance(timeout, bool) or timeout != timeout:  # noqa: PLR0124
        raise BadCall(f"timeout must be seconds or None, not {timeout!r}")
    if kwargs:
        wait = kwargs.get("wait_timeout")
        if isinstance(wait, (int, float)) and wait > 0:
            timeout += wait
    return deadline_after(timeout)


def _operation(operation: str) -> bytes:
    packed = _operations.get(operation)
    if packed is None:
        if not isinstance(operation, str) or not 1 <= len(operation) <= 255:
            raise BadCall(f"an operation is a name of 1 to 255 characters, not {operation!r}")
        packed = _operations[operation] = encode(operation)
    return packed


def _check(operation: str, body: bytes, blobs: Sequence[Blob]) -> None:
    if len(body) + _HEAD > frame_limit():
        raise BadCall(
            f"{operation}: the arguments take {len(body)} bytes; a frame takes {frame_limit()}"
        )
    if len(blobs) > _MOST_DESCRIPTORS:
        raise BadCall(f"{operation}: {len(blobs)} large binaries, where {_MOST_DESCRIPTORS} fit")


def _with_blobs(args: Sequence[Any]) -> Sequence[Any]:
    for argument in args:
        if _may_be_large(argument):
            return [_blob_or(argument) for argument in args]
    return args


def _with_blobs_by_name(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    for argument in kwargs.values():
        if _may_be_large(argument):
            return {name: _blob_or(argument) for name, argument in kwargs.items()}
    return kwargs


# Of the types of arguments met so far, whether they are bytes-like (array.array, mmap, ...) or may
# hold what is.
_large_types: dict[type, bool] = {list: True, tuple: True, bytes: True}


def _may_be_large(argument: Any) -> bool:
    kind = type(argument)
    known = _large_types.get(kind)
    if known is None:
        try:
            memoryview(argument).release()
        except TypeError:
            known = False
        else:
            known = True
        _large_types[kind] = known
    return known


def _blob_or(argument: Any) -> Any:
    """A blob in the place of a large binary; one may also stand in a list."""
    if isinstance(argument, (list, tuple)):
        return [_large(item) for item in argument]
    return _large(argument)


def _large(argument: Any) -> Any:
    if isinstance(argument, (list, tuple)) or not _may_be_large(argument):
        return argument
    view = memoryview(argument)
    if view.nbytes < THRESHOLD:
        return argument if isinstance(argument, bytes) else view.tobytes()
    try:
        return Blob.of(view if view.c_contiguous else view.tobytes())
    except OSError as error:
        raise BadCall(f"an argument of {view.nbytes} bytes cannot be sent: {error}") from error


def check_going_down(frame: Frame, header: Header) -> None:
    """That this response is none of a process that says it ends.

    Raises:
        LinkLost: it is, and says whether it had taken the request up.
    """
    if is_going_down(frame, header):
        raise going_down_of(frame)


def going_down_of(frame: Frame) -> LinkLost:
    """What such a response says."""
    _, _, down, _ = _plain.decode(frame.data)
    return LinkLost(taken=down.taken, exit=down.exit)


def is_going_down(frame: Frame, header: Header) -> bool:
    """Whether this is the response of a process that ends, to a request that it did not finish."""
    data, body = frame.data, header.body
    if data[body] == _NIL:
        return False
    code_at = _CODE_AT.get(data[body])
    return code_at is not None and data[body + code_at] == GOING_DOWN


_NIL = 0xC0

# Where in an extension's head its code stands: after a length of 1, 2 or 4 bytes, or of none.
_CODE_AT = {0xC7: 2, 0xC8: 3, 0xC9: 5, 0xD4: 1, 0xD5: 1, 0xD6: 1, 0xD7: 1, 0xD8: 1}

_plain = Decoder()


def discard(frame: Frame) -> None:
    """Let go of a response that nobody waits for."""
    close_all(frame.descriptors)
