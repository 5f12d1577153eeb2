"""Letting go of files that are replaced or removed, without waiting until their space is free.

A file system frees the space of a file with its last name or descriptor, whichever goes last, and
whoever lets go of that waits for it: for a large file, as long as writing it has taken. So a
descriptor is kept beyond the end of the name, and closed on a thread.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Thread

# Smaller files are freed faster than a thread is started.
_LARGE = 1 << 20

# So many large files are let go of at a time; for the next one, its caller has to wait.
_MOST = 2


class Freeing:
    """Lets go of files; thread-safe."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._changed = Condition()
        self._under_way = 0

    @contextmanager
    def later(self, path: str) -> Iterator[None]:
        """Free the file at `path`, if there is one, after the body has taken its name."""
        fd = _hold(path)
        try:
            yield
        finally:
            if fd is not None:
                self._let_go(fd)

    def wait(self) -> bool:
        """Wait until all is free; return whether there was anything to wait for."""
        self._check_process()
        with self._changed:
            if not self._under_way:
                return False
            self._changed.wait_for(lambda: not self._under_way)
            return True

    def _let_go(self, fd: int) -> None:
        if os.fstat(fd).st_size < _LARGE or not self._close_later(fd):
            os.close(fd)

    def _close_later(self, fd: int) -> bool:
        self._check_process()
        with self._changed:
            if self._under_way == _MOST:
                return False
            # Without a thread to be had, there are more pressing problems than time.
            with suppress(RuntimeError):
                Thread(target=self._close, args=(fd,), name="freeing", daemon=True).start()
                self._under_way += 1
                return True
        return False

    def _close(self, fd: int) -> None:
        os.close(fd)
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def _check_process(self) -> None:
        """Forget, in a process that was forked, the threads of the one that it was forked from."""
        if self._process != os.getpid():
            self._begin()


def _hold(path: str) -> int | None:
    """Return a descriptor that stands for a file, and can neither read nor write it."""
    flag = getattr(os, "O_PATH", None)
    if flag is not None:
        with suppress(OSError):
            return os.open(path, flag | os.O_NOFOLLOW | os.O_CLOEXEC)
    return None
