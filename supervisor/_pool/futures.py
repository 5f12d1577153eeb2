"""Futures whose cancellation ends the work."""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Callable
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING, RUNNING
from typing import Any

__all__ = ["Admission", "PoolFuture"]


class PoolFuture(concurrent.futures.Future[Any]):
    """The future of a pool's task: as any, but that a running task can be cancelled too.

    Args:
        withdraw: is called once if the task is cancelled.
    """

    def __init__(self, withdraw: Callable[[], None]) -> None:
        super().__init__()
        self._withdraw: Callable[[], None] | None = withdraw

    def cancel(self) -> bool:
        """Cancel the task; if it runs, the worker that carries it out is ended, and replaced.

        Returns:
            False if it is done already.
        """
        return self._cancel((PENDING, RUNNING))

    def cancel_if_pending(self) -> bool:
        """Cancel the task, unless it runs: what ``Future.cancel`` does elsewhere."""
        return self._cancel((PENDING,))

    def _cancel(self, states: tuple[str, ...]) -> bool:
        with self._condition:
            if self._state in (CANCELLED, CANCELLED_AND_NOTIFIED):
                return True
            if self._state not in states:
                return False
            self._state = CANCELLED
            self._condition.notify_all()
            withdraw, self._withdraw = self._withdraw, None
        # Those in wait() and as_completed() learn of it by this, as from any executor.
        self.set_running_or_notify_cancel()
        self._invoke_callbacks()  # type: ignore[attr-defined]
        if withdraw is not None:
            withdraw()
        return True

    def begin(self) -> None:
        """A worker has it."""
        with self._condition:
            if self._state == PENDING:
                self._state = RUNNING

    def begin_again(self) -> None:
        """The worker's pool died before it could have begun with it."""
        with self._condition:
            if self._state == RUNNING:
                self._state = PENDING

    def succeed(self, result: Any) -> None:
        """It is done, unless it was cancelled meanwhile."""
        self._withdraw = None
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            self.set_result(result)

    def fail(self, error: BaseException) -> None:
        """It has failed, unless it was cancelled meanwhile."""
        self._withdraw = None
        if self._state != FINISHED:
            with contextlib.suppress(concurrent.futures.InvalidStateError):
                self.set_exception(error)


class Admission(concurrent.futures.Future[None]):
    """Whether there is room for a task: done when it has its place, an error if it gets none."""

    def settle(self, error: BaseException | None) -> None:
        """It has its place, or not; who has given up waiting for that is not told."""
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            if error is None:
                self.set_result(None)
            else:
                self.set_exception(error)
