"""What is put: buffers that belong together, sent as they are, whole or in parts, and digested."""

from __future__ import annotations

import hashlib
import io
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

__all__ = ["Payload"]

# Up to this size, a copy costs less than what botocore and the server do for a file: they agree
# first that it is to be sent.
_COPIED = 256 * 1024


class Payload:
    """Bytes in one or several buffers.

    Args:
        parts: one-dimensional views of bytes.

    Attributes:
        size: how many bytes they are together.
    """

    def __init__(self, parts: Sequence[memoryview]) -> None:
        self._parts = [part for part in parts if part.nbytes]
        self._ends = list(accumulate(part.nbytes for part in self._parts))
        self.size = self._ends[-1] if self._ends else 0

    def pieces(self, start: int, end: int) -> Iterator[memoryview]:
        """The views of the bytes from `start` to before `end`."""
        index = bisect_right(self._ends, start)
        while start < end and index < len(self._parts):
            part, stop = self._parts[index], self._ends[index]
            first = stop - part.nbytes
            yield part[start - first : min(end, stop) - first]
            start, index = stop, index + 1

    def digest(self, algorithm: str, start: int = 0, end: int | None = None) -> Any:
        """The digest of the bytes from `start` to before `end`, or to the last one."""
        found = hashlib.new(algorithm, usedforsecurity=False)
        for piece in self.pieces(start, self.size if end is None else end):
            found.update(piece)
        return found

    def body(self, start: int = 0, end: int | None = None) -> bytes | io.RawIOBase:
        """The bytes from `start` to before `end`, as botocore takes them."""
        end = self.size if end is None else end
        if end - start <= _COPIED:
            return b"".join(self.pieces(start, end))
        return _Window(self, start, end)


class _Window(io.RawIOBase):
    """A part of a payload as a file to read from, any number of times."""

    def __init__(self, payload: Payload, start: int, end: int) -> None:
        self._payload = payload
        self._start = start
        self._end = end
        self._position = start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {
            os.SEEK_SET: self._start,
            os.SEEK_CUR: self._position,
            os.SEEK_END: self._end,
        }[whence]
        self._position = max(origin + offset, self._start)
        return self.tell()

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        begun = self._position
        for piece in self._payload.pieces(begun, min(begun + len(view), self._end)):
            filled = self._position - begun
            view[filled : filled + len(piece)] = piece
            self._position += len(piece)
        return self._position - begun
