"""Calls that a backend does not answer in time, found without reading every call's deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from supervisor._forward.calls import ForwardedCall
from supervisor._loop import Reactor

__all__ = ["Sweeper"]

# Calls are looked through for those whose time is over; the first time so long after they came,
# which is when nearly all of them are answered and nobody has had to read their deadlines.
_FIRST_SWEEP = 0.02

_LONGEST_PAUSE = 0.5


class Sweeper:
    """Keeps the calls that wait for an answer.

    Args:
        loop: the loop to run on.
        expire: is called with a call whose time is over; it is none of these any more.

    Attributes:
        pending: those that wait.
    """

    def __init__(self, loop: Reactor, expire: Callable[[ForwardedCall], None]) -> None:
        self._loop = loop
        self._expire = expire
        self.pending: set[ForwardedCall] = set()
        # Of those that were looked at, when their time is over.
        self._limits: dict[ForwardedCall, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, call: ForwardedCall) -> None:
        """A call waits from now on."""
        self.pending.add(call)
        if self._timer is None:
            self._timer = self._loop.call_later(_FIRST_SWEEP, self._sweep)

    def discard(self, call: ForwardedCall) -> None:
        """It does no longer."""
        self.pending.discard(call)
        if self._limits:
            self._limits.pop(call, None)

    def close(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        """Give up those whose time is over, and look again when the next one's is."""
        self._timer = None
        now = time.monotonic()
        nearest = float("inf")
        for call in tuple(self.pending):
            limit = self._limits.get(call)
            if limit is None:
                limit = self._limits[call] = call.give_up_at()
            if limit <= now:
                self.discard(call)
                self._expire(call)
            else:
                nearest = min(nearest, limit)
        if self.pending:
            # Those that come meanwhile may have less time than these.
            fresh = len(self._limits) < len(self.pending)
            delay = min(max(nearest - now, 0.001), _FIRST_SWEEP if fresh else _LONGEST_PAUSE)
            self._timer = self._loop.call_later(delay, self._sweep)
