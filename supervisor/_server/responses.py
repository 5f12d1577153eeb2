"""Responses as frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgpack

from supervisor._errors import BadCall
from supervisor._exit import Exit
from supervisor._wire.blob import THRESHOLD, Blob
from supervisor._wire.codec import VIEW, GoingDown, encode, encode_result
from supervisor._wire.frames import NIL, frame_limit, response_prefix

__all__ = ["Response", "error_response", "going_down_response", "result_response"]


class Response(NamedTuple):
    """A frame, and the blobs whose descriptors go with it."""

    data: bytes
    blobs: Sequence[Blob] = ()

    @property
    def descriptors(self) -> Sequence[int]:
        """The blobs' descriptors."""
        return [blob.fileno() for blob in self.blobs] if self.blobs else ()


def result_response(call_id: int, result: Any) -> Response:
    """The response that carries a result.

    Raises:
        CodecError: the result cannot be encoded.
    """
    if result is None:
        return Response(response_prefix(call_id) + NIL + NIL)
    if isinstance(result, _BINARY):
        return _binary_response(call_id, result)
    data = response_prefix(call_id) + NIL + encode_result(result)
    if len(data) > frame_limit():
        return error_response(call_id, _too_large(len(data)))
    return Response(data)


def error_response(call_id: int, error: BaseException) -> Response:
    """The response that carries an error."""
    data = response_prefix(call_id) + encode(error) + NIL
    if len(data) > frame_limit():
        return error_response(call_id, _too_large(len(data)))
    return Response(data)


def going_down_response(call_id: int, exit: Exit, *, taken: bool) -> Response:
    """The response of a process that ends, and has not carried the request out."""
    return Response(response_prefix(call_id) + encode(GoingDown(taken, exit)) + NIL)


_BINARY = (bytes, bytearray, memoryview, Blob)


def _binary_response(call_id: int, result: Any) -> Response:
    prefix = response_prefix(call_id) + NIL
    if isinstance(result, Blob):
        return Response(prefix + encode(result, []), (result,))
    as_view = isinstance(result, memoryview)
    view = memoryview(result)
    if view.nbytes >= THRESHOLD:
        blob = Blob.of(view if view.c_contiguous else view.tobytes(), as_view=as_view)
        return Response(prefix + encode(blob, []), (blob,))
    if as_view:
        return Response(prefix + encode(msgpack.ExtType(VIEW, view.tobytes())))
    return Response(prefix + encode(bytes(view)))


def _too_large(size: int) -> BadCall:
    return BadCall(f"the answer takes {size} bytes, and a frame takes {frame_limit()}")
