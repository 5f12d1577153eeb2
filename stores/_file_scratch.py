"""A folder for half-written files that cleans up after the dead and leaves the living alone.

Each store object writes into a folder of its own, `tmp/<random>`, and holds a lock (flock) on that
folder for as long as it lives. The kernel drops the lock when the process ends, however it ends.
A folder whose lock can be taken therefore belongs to nobody, and what is in it is a leftover;
process ids and start times, which are reused and forged by clocks, do not come into it.
"""

import contextlib
import errno
import fcntl
import itertools
import os
import secrets


class ScratchFolder:
    """A locked folder under `parent` (which exists) in which this object alone makes files."""

    def __init__(self, parent: str) -> None:
        _remove_leftovers(parent)
        self._path, self._lock_fd = _make_locked(parent)
        self._numbers = itertools.count()
        self._owner = os.getpid()

    def create(self) -> tuple[int, str]:
        """Make a new, empty file; return a descriptor for writing it, and its path."""
        # The process id keeps a forked copy of this object from making the same name.
        path = f"{self._path}/{os.getpid()}-{next(self._numbers)}"
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), path

    def close(self) -> None:
        """Give the folder up. Files that are still being written make their writers fail."""
        if os.getpid() == self._owner:
            # Not empty, or removed by hand: the next store that starts here sees to it.
            with contextlib.suppress(OSError):
                os.rmdir(self._path)
        os.close(self._lock_fd)


def _make_locked(parent: str) -> tuple[str, int]:
    while True:
        path = f"{parent}/{secrets.token_hex(8)}"
        os.mkdir(path)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        fcntl.flock(fd, fcntl.LOCK_EX)
        # Before the lock was ours, a store that was starting may have taken this folder for a
        # leftover; once it is ours, no one does.
        if os.path.isdir(path):
            return path, fd
        os.close(fd)


def _remove_leftovers(parent: str) -> None:
    for name in os.listdir(parent):
        path = f"{parent}/{name}"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue  # removed meanwhile by another store, or not ours to remove
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_folder(path)
        except BlockingIOError:
            continue  # its owner lives
        finally:
            os.close(fd)


def _remove_folder(path: str) -> None:
    for name in os.listdir(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}/{name}")
    try:
        os.rmdir(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
            raise
