"""Frames: MessagePack-RPC messages, one after the other on a stream.

::

    request       [0, id, operation, [args, kwargs, deadline, instance]]
    response      [1, id, error, result]
    notification  [2, operation, [args, kwargs]]

MessagePack delimits itself, so there is no length before a frame. What the runtime adds to a
request is optional: the *deadline* is the time on the machine's monotonic clock after which the
caller no longer waits, the *instance* is the one run of the process that is meant (see Ref.pinned).

Descriptors of large binaries are sent with the first byte of their frame, and such a frame is the
last of its sendmsg(2). The kernel ends a recvmsg(2) where descriptors were received (unix(7)), so
those that arrive belong to the last frame that begins in the bytes which arrived with them.

(https://github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import msgpack

__all__ = [
    "NIL",
    "NOTIFICATION",
    "REQUEST",
    "RESPONSE",
    "Frame",
    "FrameError",
    "FrameReader",
    "Header",
    "close_all",
    "frame_limit",
    "read_header",
    "request_prefix",
    "response_prefix",
]

REQUEST, RESPONSE, NOTIFICATION = 0, 1, 2

NIL = b"\xc0"

_DEFAULT_LIMIT = 64 * 1024 * 1024


def frame_limit() -> int:
    """The most bytes of a frame: ``$REGROW_FRAME_LIMIT``, else 64 MiB; read once."""
    return _limit


_limit = int(os.environ.get("REGROW_FRAME_LIMIT") or _DEFAULT_LIMIT)


class FrameError(Exception):
    """The peer sent what is no frame, or one over the limit; nothing after it can be trusted."""


class Frame(NamedTuple):
    """The bytes of one frame, and the descriptors that came with it."""

    data: bytes
    descriptors: Sequence[int] = ()


class FrameReader:
    """Cuts a stream into frames, without decoding them.

    Args:
        limit: the most bytes of a frame.
    """

    __slots__ = ("_begin", "_chunks", "_descriptors", "_fed", "_limit", "_unpacker")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._unpacker = msgpack.Unpacker(max_buffer_size=limit + 1024 * 1024, read_size=16 * 1024)
        # Of the frame that is not complete: its bytes so far, its descriptors, and where it begins
        # in the stream; and how many bytes of the stream were fed.
        self._chunks: list[bytes] = []
        self._descriptors: Sequence[int] = ()
        self._begin = 0
        self._fed = 0

    def feed(self, data: bytes, descriptors: Sequence[int] = ()) -> list[Frame]:
        """The frames that these bytes complete.

        Args:
            data: what was received.
            descriptors: those that were received with it; they are the reader's from here on.

        Raises:
            FrameError: this is no stream of frames, or one is too large. Every descriptor that was
                not handed out is closed.
        """
        data_begin = self._fed
        first_begin = self._begin if self._chunks else data_begin
        self._fed = data_end = data_begin + len(data)
        try:
            ends = self._ends(data, data_end)
            if data_end - first_begin > self._limit:
                self._check_sizes(first_begin, ends)
            if first_begin == data_begin and ends == [data_end]:
                # The usual case: one whole frame, and nothing else.
                return [Frame(data, descriptors)]
            if descriptors and (ends[-1] if ends else first_begin) < data_begin:
                raise FrameError("descriptors in the middle of a frame")
        except FrameError:
            close_all(descriptors)
            self.close()
            raise
        return self._cut(data, first_begin, ends, descriptors)

    @property
    def is_between_frames(self) -> bool:
        """Whether the next byte begins a frame."""
        return not self._chunks

    def close(self) -> None:
        """Close the descriptors of the frame that has not come to its end."""
        close_all(self._descriptors)
        self._descriptors = ()

    def _ends(self, data: bytes, data_end: int) -> list[int]:
        """Where in the stream the frames end that are complete now."""
        unpacker = self._unpacker
        ends: list[int] = []
        end = -1
        try:
            unpacker.feed(data)
            while end < data_end:
                unpacker.skip()
                end = unpacker.tell()
                ends.append(end)
        except msgpack.OutOfData:
            return ends
        except Exception as error:  # noqa: BLE001  whatever the parser says of garbage
            raise FrameError(f"not a MessagePack stream: {error!r}") from None
        return ends

    def _check_sizes(self, begin: int, ends: list[int]) -> None:
        for end in (*ends, self._fed):
            if end - begin > self._limit:
                raise FrameError(f"a frame is over the limit of {self._limit} bytes")
            begin = end

    def _cut(
        self, data: bytes, begin: int, ends: list[int], descriptors: Sequence[int]
    ) -> list[Frame]:
        if not ends:
            self._keep(data, begin, descriptors)
            return []
        if self._chunks:
            data = b"".join((*self._chunks, data))
            self._chunks.clear()
        offset = begin
        frames: list[Frame] = []
        for end in ends:
            piece = data if end - begin == len(data) else data[begin - offset : end - offset]
            frames.append(Frame(piece))
            begin = end
        if self._descriptors:
            frames[0] = Frame(frames[0].data, self._descriptors)
            self._descriptors = ()
        if begin < self._fed:
            self._keep(data[begin - offset :], begin, descriptors)
        elif descriptors:
            frames[-1] = Frame(frames[-1].data, descriptors)
        return frames

    def _keep(self, data: bytes, begin: int, descriptors: Sequence[int]) -> None:
        self._chunks.append(data)
        self._begin = begin
        if descriptors:
            self._descriptors = descriptors


def close_all(descriptors: Sequence[int]) -> None:
    """Close these descriptors."""
    for descriptor in descriptors:
        os.close(descriptor)


# --- headers -----------------------------------------------------------------------------------


class Header(NamedTuple):
    """The head of a frame, as far as one who passes it on reads it.

    Attributes:
        kind: REQUEST, RESPONSE or NOTIFICATION.
        id: the call's id; 0 in a notification.
        operation: of a request or a notification; empty in a response.
        body: where in the frame the rest begins that does not change when it is passed on: with the
            operation of a request, or with the error of a response.
    """

    kind: int
    id: int
    operation: str
    body: int


def _header(fields: tuple[int, int, str, int]) -> Header:
    # The constructor that Python makes of a NamedTuple takes twice as long.
    return tuple.__new__(Header, fields)


def read_header(data: bytes) -> Header:
    """Read the head of a frame, and nothing behind it.

    Raises:
        FrameError: it is a MessagePack value, but no frame.
    """
    # The usual heads, as every encoder writes them, without a parser.
    if len(data) > 8 and data[0] == 0x94 and data[1] <= RESPONSE:
        kind, size = data[1], data[2]
        if size == 0xCE:
            call_id, body = int.from_bytes(data[3:7], "big"), 7
        elif size < 0x80:
            call_id, body = size, 3
        else:
            return _parse_header(data)
        if kind == RESPONSE:
            return _header((RESPONSE, call_id, "", body))
        name = data[body + 1 : body + 1 + (data[body] & 0x1F)]
        operation = _operations.get(name) if 0xA0 <= data[body] <= 0xBF else None
        if operation is not None:
            return _header((REQUEST, call_id, operation, body))
    return _parse_header(data)


# The names of operations, as met before; strangers could fill it, so it is bounded.
_operations: dict[bytes, str] = {}
_MOST_OPERATIONS = 4096


def _parse_header(data: bytes) -> Header:
    unpacker = msgpack.Unpacker(unicode_errors="surrogatepass", read_size=4096)
    unpacker.feed(data[:_LONGEST_HEAD])
    try:
        length = unpacker.read_array_header()
        kind = unpacker.unpack()
        call_id = 0 if kind == NOTIFICATION else unpacker.unpack()
        body = unpacker.tell()
        operation = "" if kind == RESPONSE else unpacker.unpack()
    except Exception as error:  # noqa: BLE001  whatever the parser says of garbage
        raise FrameError(f"not a MessagePack-RPC frame: {error!r}") from None
    _check_head(length, kind, call_id, operation)
    if operation and len(_operations) < _MOST_OPERATIONS:
        _operations[operation.encode("utf-8", "surrogatepass")] = operation
    return Header(kind, call_id, operation, body)


# Array, kind, id, and an operation's name of up to 255 characters.
_LONGEST_HEAD = 1 + 9 + 9 + 5 + 4 * 255
_LENGTHS = {REQUEST: 4, RESPONSE: 4, NOTIFICATION: 3}


def _check_head(length: object, kind: object, call_id: object, operation: object) -> None:
    if type(kind) is not int or _LENGTHS.get(kind) != length:
        raise FrameError(f"not a MessagePack-RPC frame: {length} elements of kind {kind!r}")
    if type(call_id) is not int or call_id < 0:
        raise FrameError(f"not a MessagePack-RPC frame: the id is {call_id!r}")
    if not isinstance(operation, str):
        raise FrameError(f"not a MessagePack-RPC frame: the operation is {operation!r}")


def request_prefix(call_id: int) -> bytes:
    """The first bytes of a request, up to its operation; the id fits 32 bits."""
    return b"\x94\x00\xce" + call_id.to_bytes(4, "big")


def response_prefix(call_id: int) -> bytes:
    """The first bytes of a response, up to its error; the id fits 64 bits."""
    if call_id < 0x100000000:
        return b"\x94\x01\xce" + call_id.to_bytes(4, "big")
    return b"\x94\x01\xcf" + call_id.to_bytes(8, "big")
