"""Moving bytes and names to the disk so that they are still there after a power cut.

Everything here works on paths and descriptors and raises plain OSError; what the errors mean to a
caller of the store is decided in `_file`.
"""

import errno
import fcntl
import os
import sys
from collections.abc import Iterable

# The kernel takes at most this many buffers in one writev (IOV_MAX on Linux and macOS).
_BUFFERS_PER_WRITE = 1024

# A large file is handed to the disk piece by piece while the rest is still being copied, so that
# the fsync at the end finds most of its work done.
_PIECE = 8 << 20

_READ_CHUNK = 1 << 20

# What the kernel answers where this pair of descriptors cannot be copied between directly: other
# file systems, pipes, a kernel or a sandbox without the call.
_NOT_COPYABLE = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ESPIPE}
    | {errno.ENOTSOCK, errno.EBADF}
)


def write_all(fd: int, parts: Iterable[memoryview], *, early: bool) -> None:
    """Write every byte of `parts` (one-dimensional views of bytes) to `fd`, from its start on.

    `early` starts the disk's work on large data before the end is written.
    """
    done = 0
    pending: list[memoryview] = []
    held = 0
    for part in parts:
        for start in range(0, len(part), _PIECE):
            piece = part[start : start + _PIECE]
            pending.append(piece)
            held += len(piece)
            if held >= _PIECE or len(pending) == _BUFFERS_PER_WRITE:
                _write_buffers(fd, pending)
                _start_writing_out(fd, done, held, early=early)
                done, held, pending = done + held, 0, []
    _write_buffers(fd, pending)


def _write_buffers(fd: int, buffers: list[memoryview]) -> None:
    while buffers:
        written = os.writev(fd, buffers)
        while buffers and written >= len(buffers[0]):
            written -= len(buffers.pop(0))
        if written:
            buffers[0] = buffers[0][written:]


def _start_writing_out(fd: int, offset: int, size: int, *, early: bool) -> None:
    """Have the kernel start writing a range of dirty pages, without waiting for it.

    On Linux this is what "not needed" comes to for a dirty page: it is queued for writing and
    stays cached.
    """
    if early and size >= _PIECE and sys.platform == "linux":
        os.posix_fadvise(fd, offset, size, os.POSIX_FADV_DONTNEED)


def copy_all(source: int, target: int, size: int, *, early: bool) -> None:
    """Copy the first `size` bytes of `source` to `target`, inside the kernel where it can.

    A `source` that can be positioned is read from its start, its own position untouched; any
    other (a pipe) is read from where it is. Raises OSError (EIO) where `source` ends too soon.
    """
    done = 0
    for copy in _COPIERS:
        try:
            while done < size:
                moved = copy(source, target, done, min(size - done, _PIECE))
                if not moved:
                    raise OSError(errno.EIO, f"the data ended after {done} of {size} bytes")
                _start_writing_out(target, done, moved, early=early)
                done += moved
        except OSError as error:
            # The next way of copying takes up where this one stopped.
            if error.errno in _NOT_COPYABLE and copy is not _COPIERS[-1]:
                continue
            raise
        return


def _copy_file_range(source: int, target: int, offset: int, size: int) -> int:
    return os.copy_file_range(source, target, size, offset)


def _sendfile(source: int, target: int, offset: int, size: int) -> int:
    return os.sendfile(target, source, offset, size)


def _read_and_write(source: int, target: int, offset: int, size: int) -> int:
    size = min(size, _READ_CHUNK)
    try:
        data = os.pread(source, size, offset)
    except OSError as error:
        if error.errno != errno.ESPIPE:
            raise
        data = os.read(source, size)
    _write_buffers(target, [memoryview(data)] if data else [])
    return len(data)


_COPIERS = (
    (_copy_file_range, _sendfile, _read_and_write)
    if sys.platform == "linux"
    else (_read_and_write,)
)


def read_all(fd: int) -> bytes:
    """Return what a regular file holds, from the descriptor's position to its end."""
    size = os.fstat(fd).st_size
    data = os.read(fd, size) if size else b""
    if len(data) == size:
        return data
    # One read moves at most 2 GiB.
    chunks = [data]
    while chunk := os.read(fd, size):
        chunks.append(chunk)
    return b"".join(chunks)


def sync(fd: int) -> None:
    """Wait until the disk has what was written to `fd`, a file or a folder."""
    if sys.platform == "darwin":
        # There, fsync stops at the drive's cache.
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fsync(fd)


def sync_folder(path: str) -> None:
    """Wait until the disk has the names that `path`, a folder, holds."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(fd)
    finally:
        os.close(fd)


def make_folders(path: str, *, synced: bool) -> None:
    """Make `path` and the folders above it, where absent; `synced`: they outlast a power cut."""
    missing = []
    current = path
    while not os.path.isdir(current):
        missing.append(current)
        current = os.path.dirname(current)
    for folder in reversed(missing):
        try:
            os.mkdir(folder)
        except FileExistsError:
            if not os.path.isdir(folder):
                raise NotADirectoryError(
                    errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder
                ) from None
        if synced:
            sync_folder(os.path.dirname(folder))
