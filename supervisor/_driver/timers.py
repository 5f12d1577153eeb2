"""The machine's timers, on a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from supervisor._core.messages import Timer
from supervisor._loop import Reactor

__all__ = ["Timers"]


class Timers:
    """Those that are scheduled, and neither due nor cancelled."""

    def __init__(self, loop: Reactor, fire: Callable[[Timer], None]) -> None:
        self._loop = loop
        self._fire = fire
        self._handles: dict[Timer, asyncio.TimerHandle] = {}

    def schedule(self, timer: Timer, seconds: float) -> None:
        """Fire the timer after so many seconds."""
        self.cancel(timer)
        self._handles[timer] = self._loop.call_later(seconds, self._due, timer)

    def cancel(self, timer: Timer) -> None:
        """Do not."""
        handle = self._handles.pop(timer, None)
        if handle is not None:
            handle.cancel()

    def _due(self, timer: Timer) -> None:
        self._handles.pop(timer, None)
        self._fire(timer)
