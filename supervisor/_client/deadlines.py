"""The deadlines of many calls on one loop, with one timer for all of them."""

from __future__ import annotations

import asyncio
from typing import Any

from supervisor._errors import CallTimeout
from supervisor._loop import Reactor

__all__ = ["Deadlines"]


class Deadlines:
    """Ends futures with CallTimeout when their time is over.

    Nearly every call is answered long before, and a timer of its own would cost it more than
    anything else that is done for it here.
    """

    def __init__(self, loop: Reactor) -> None:
        self._loop = loop
        self._limits: dict[asyncio.Future[Any], tuple[float, str]] = {}
        self._due = float("inf")
        self._timer: asyncio.TimerHandle | None = None

    def add(self, future: asyncio.Future[Any], deadline: float, operation: str) -> None:
        """End the future at this time of the monotonic clock, unless it is done or discarded."""
        self._limits[future] = (deadline, operation)
        if deadline < self._due:
            self._wake_at(deadline)

    def discard(self, future: asyncio.Future[Any]) -> None:
        """It is done."""
        self._limits.pop(future, None)

    def close(self) -> None:
        """End nothing more."""
        self._limits.clear()
        self._wake_at(float("inf"))

    def _wake_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.call_at(due, self._expire) if due != float("inf") else None

    def _expire(self) -> None:
        now = self._loop.time()
        for future, (deadline, operation) in tuple(self._limits.items()):
            if deadline <= now:
                del self._limits[future]
                if not future.done():
                    future.set_exception(CallTimeout(f"{operation} got no answer in time"))
        self._timer = None
        limits = (deadline for deadline, _ in self._limits.values())
        self._wake_at(min(limits, default=float("inf")))
