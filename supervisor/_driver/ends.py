"""The ends of processes: remembered for those who ask later, told to those who wait."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from dataclasses import dataclass

from supervisor._exit import Exit
from supervisor._loop import Reactor

__all__ = ["Ends"]

# Of how many children the ends are remembered, and how many of each.
_MOST_CHILDREN = 4096
_MOST_ENDS = 32


@dataclass(frozen=True, slots=True)
class End:
    """One run's end.

    Attributes:
        instance: which run.
        time: on the monotonic clock.
        exit: why.
        served: whether it had become ready: one that did not start has answered nobody.
    """

    instance: int
    time: float
    exit: Exit
    served: bool


class Ends:
    """The last ends of each child."""

    def __init__(self, loop: Reactor) -> None:
        self._loop = loop
        self._ends: OrderedDict[str, deque[End]] = OrderedDict()
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    def add(self, id: str, instance: int, exit: Exit, *, served: bool) -> None:
        """A run of this child has ended."""
        ends = self._ends.setdefault(id, deque(maxlen=_MOST_ENDS))
        ends.append(End(instance, time.monotonic(), exit, served))
        self._ends.move_to_end(id)
        if len(self._ends) > _MOST_CHILDREN:
            self._ends.popitem(last=False)
        for future in self._waiting.pop(id, []):
            if not future.done():
                future.set_result(None)

    def since(self, id: str, moment: float) -> Exit | None:
        """The first end, after that time, of a run of this child that could be called."""
        ends = self._ends.get(id, ())
        return next((end.exit for end in ends if end.served and end.time >= moment), None)

    def of(self, id: str, instance: int | None) -> Exit | None:
        """How that run ended; None for the instance means the last one."""
        ends = self._ends.get(id, ())
        if instance is None:
            return ends[-1].exit if ends else None
        return next((end.exit for end in ends if end.instance == instance), None)

    def has_served(self, id: str) -> bool:
        """Whether a run of this child is known to have become ready, and ended."""
        return any(end.served for end in self._ends.get(id, ()))

    async def next(self, id: str, until: float | None = None) -> None:
        """Wait for the next end of this child, or for that time.

        Args:
            id: of the child.
            until: on the monotonic clock; None waits without limit.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.setdefault(id, []).append(future)
        timer = None
        if until is not None:
            timer = self._loop.call_later(until - time.monotonic(), _finish, future)
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()
            waiting = self._waiting.get(id, [])
            if future in waiting:
                waiting.remove(future)
                if not waiting:
                    del self._waiting[id]


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
