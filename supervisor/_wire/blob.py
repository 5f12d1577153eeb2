"""Large binaries: they travel beside the frame, as a file descriptor.

A sender writes the bytes into a memfd (memory that is a file, see memfd_create(2)) or hands over
the stored file itself; whoever passes the call on passes the descriptor on, and never touches a
byte; the receiver reads or maps it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any, Self

__all__ = ["THRESHOLD", "Blob", "BytesLike", "aligned", "copy_to_descriptor"]

BytesLike = bytes | bytearray | memoryview

# From this many bytes on, a memfd costs less than copies through a socket's buffer.
THRESHOLD = 64 * 1024

# A line of a processor's cache.
_ALIGNMENT = 64

# write(2) transfers at most this many bytes at a time on Linux.
_LARGEST_WRITE = 0x7FFFF000


class Blob:
    """A large binary in a file.

    An operation may return one instead of bytes, to send a stored file without reading it; an
    operation declared with ``operation(..., blobs=True)`` is given one for each large binary among
    its arguments. It owns its descriptor.

    Args:
        descriptor: an open file, from whose beginning ``size`` bytes are meant.
        size: how many bytes.
        as_view: whether it arrives as a read-only memoryview, instead of as bytes.
    """

    __slots__ = ("_descriptor", "as_view", "size")

    def __init__(self, descriptor: int, size: int, *, as_view: bool = False) -> None:
        self._descriptor = descriptor
        self.size = size
        self.as_view = as_view

    @classmethod
    def of(cls, data: BytesLike, *, as_view: bool = False) -> Self:
        """A blob that holds a copy of these bytes.

        Raises:
            OSError: there is no memory, or no descriptor, for it.
        """
        return cls.of_chunks((data,), as_view=as_view)

    @classmethod
    def of_chunks(cls, chunks: Iterable[BytesLike], *, as_view: bool = False) -> Self:
        """A blob that holds these pieces, one after the other.

        Raises:
            OSError: there is no memory, or no descriptor, for it.
        """
        descriptor = _memory_file()
        try:
            for chunk in chunks:
                copy_to_descriptor(chunk, descriptor)
            size = os.lseek(descriptor, 0, os.SEEK_CUR)
            _seal(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, size, as_view=as_view)

    @classmethod
    def of_parts(cls, parts: Sequence[BytesLike]) -> Self:
        """A blob that holds a copy of each of these, one behind the other, each at a round address.

        Raises:
            OSError: there is no memory, or no descriptor, for it.
        """
        descriptor = _memory_file()
        end = 0
        try:
            for part in parts:
                begin = aligned(end)
                os.lseek(descriptor, begin, os.SEEK_SET)
                copy_to_descriptor(part, descriptor)
                end = begin + memoryview(part).nbytes
            if end and memoryview(parts[-1]).nbytes == 0:
                os.ftruncate(descriptor, end)
            _seal(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, end)

    def fileno(self) -> int:
        """The descriptor; it stays the blob's.

        Raises:
            ValueError: the blob is closed.
        """
        if self._descriptor < 0:
            raise ValueError("the blob is closed")
        return self._descriptor

    def read(self) -> bytes:
        """The bytes, read once.

        Raises:
            OSError: the file cannot be read, or is shorter than it should be.
        """
        descriptor = self.fileno()
        data = os.pread(descriptor, self.size, 0)
        while len(data) < self.size:
            more = os.pread(descriptor, self.size - len(data), len(data))
            if not more:
                raise OSError(f"a blob of {self.size} bytes holds only {len(data)}")
            data += more
        return data

    def view(self) -> memoryview:
        """The bytes, mapped: read-only, without a copy; stays valid when the blob is closed.

        Raises:
            OSError: the file cannot be mapped, or is shorter than it should be.
        """
        if self.size == 0:
            return memoryview(b"")
        try:
            return memoryview(mmap.mmap(self.fileno(), self.size, access=mmap.ACCESS_READ))
        except ValueError as error:
            raise OSError(f"a blob of {self.size} bytes cannot be mapped: {error}") from error

    def value(self) -> bytes | memoryview:
        """What it was when it was sent: bytes, or a read-only memoryview."""
        return self.view() if self.as_view else self.read()

    def take(self) -> bytes | memoryview:
        """Its value; the blob is closed."""
        with self:
            return self.value()

    def close(self) -> None:
        """Close the descriptor; a second time does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Blob of {self.size} bytes, descriptor {self._descriptor}>"


def aligned(position: int) -> int:
    """Where, from this position on, the next part of a blob begins: what processors like."""
    return -(-position // _ALIGNMENT) * _ALIGNMENT


def copy_to_descriptor(data: BytesLike, descriptor: int) -> None:
    """Write all of the bytes, however many writes that takes."""
    with memoryview(data).cast("B") as rest:
        done = 0
        while done < len(rest):
            done += os.write(descriptor, rest[done : done + _LARGEST_WRITE])


def _memory_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("regrow-blob", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    descriptor, path = tempfile.mkstemp(prefix="regrow-blob-")
    os.unlink(path)
    return descriptor


def _seal(descriptor: int) -> None:
    """Bar shrinking the file under a reader's map, which would be a SIGBUS there."""
    if hasattr(fcntl, "F_ADD_SEALS"):
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)


def take_values(arguments: Sequence[Any]) -> list[Any]:
    """The arguments with each blob replaced by its value; blobs stand at the top or in a list."""
    return [_take_value(argument) for argument in arguments]


def _take_value(argument: Any) -> Any:
    if isinstance(argument, Blob):
        return argument.take()
    if isinstance(argument, list):
        return [item.take() if isinstance(item, Blob) else item for item in argument]
    return argument
