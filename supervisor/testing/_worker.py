"""A server that does as it is told."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, ClassVar

from supervisor._server.server import Server

__all__ = ["ObedientWorker", "Refused"]


class Refused(Exception):
    """The error that an ObedientWorker declares: it is an answer, and harms nobody."""


class ObedientWorker(Server):
    """Answers, refuses, sleeps, hangs, fails, crashes or ends, as it is asked to.

    Args:
        fail_at_start: raise this text instead of starting.
    """

    replies_with: ClassVar[tuple[type[BaseException], ...]] = (Refused,)

    def __init__(self, fail_at_start: str | None = None) -> None:
        if fail_at_start is not None:
            raise RuntimeError(fail_at_start)

    def pid(self) -> int:
        """The pid of the process that answers."""
        return os.getpid()

    def answer(self, value: Any = None) -> Any:
        """Return the value."""
        return value

    def refuse(self, text: str = "as told") -> None:
        """Raise the declared error, which is an answer.

        Raises:
            Refused: always.
        """
        raise Refused(text)

    def sleep(self, seconds: float) -> int:
        """Answer with the pid, so many seconds later; nobody else is answered meanwhile."""
        time.sleep(seconds)
        return os.getpid()

    def fail(self, text: str = "as told") -> None:
        """Have a bug: the process ends with reason ``error``.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(text)

    def crash(self, number: int = signal.SIGSEGV) -> None:
        """Die of a signal: the process ends with reason ``signal``."""
        if number not in _UNCAUGHT:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)

    def exit(self, status: int = 1) -> None:
        """Leave at once with this exit status: of a server, that is reason ``error``."""
        os._exit(status)

    def end(self) -> None:
        """End in order, after the answer: reason ``normal``."""
        self.stop()

    def hang(self) -> None:
        """Never answer, and heed no request to stop: only SIGKILL ends it."""
        while True:
            signal.pause()


_UNCAUGHT = frozenset({signal.SIGKILL, signal.SIGSTOP})
