"""The tasks that no worker has: parked, waiting for a worker, or delayed. Pure."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Hashable

from supervisor._pool.actions import Admit, Refuse
from supervisor._pool.queue import FairQueue
from supervisor._pool.tasks import Task

__all__ = ["Backlog"]


class Backlog:
    """The queue of a pool, with what waits for a place in it, and what comes back to it later.

    Its length is the number of tasks that wait for a worker.

    Args:
        bound: how many tasks may wait, besides those that a worker is free for; None is without
            bound.
    """

    def __init__(self, bound: int | None) -> None:
        self._bound = bound
        self._queue = FairQueue()
        self._parked: deque[Task] = deque()
        self._delayed: list[tuple[float, int, Task]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, task: Task, idle: int, *, wait: bool) -> Admit | Refuse | None:
        """A task has come.

        Args:
            task: it.
            idle: how many workers have nothing to do.
            wait: whether its caller waits where the queue is full.

        Returns:
            What its caller is to be told now: whether there is room, if that is a question.
        """
        if self._bound is None:
            task.state = "waiting"
            self._queue.push(task)
            return None
        if not self._parked and self._has_room(self._bound, idle):
            return self._admit(task)
        if wait:
            task.state = "parked"
            self._parked.append(task)
            return None
        task.state = "settled"
        return Refuse(task)

    def unpark(self, idle: int) -> list[Admit]:
        """Give parked tasks the places that there are now.

        Args:
            idle: how many workers have nothing to do.
        """
        admitted: list[Admit] = []
        while self._parked and self._bound is not None and self._has_room(self._bound, idle):
            task = self._parked.popleft()
            if task.state == "parked":
                admitted.append(self._admit(task))
        return admitted

    def _has_room(self, bound: int, idle: int) -> bool:
        # Those that are about to be given out do not count: the bound is for what has to wait.
        return len(self._queue) < bound + idle

    def _admit(self, task: Task) -> Admit:
        task.state = "waiting"
        self._queue.push(task)
        return Admit(task)

    def pop(self, blocked: set[Hashable]) -> Task | None:
        """Take the next task that waits out; None if there is none.

        Args:
            blocked: the callers whose turn is passed over.
        """
        return self._queue.pop(blocked)

    def put_back(self, task: Task) -> None:
        """Let a task that a worker had wait again, before the others of its caller."""
        task.state = "waiting"
        self._queue.push(task, front=True)

    def discard(self, task: Task) -> None:
        """A task that was waiting is settled."""
        self._queue.discard(task)

    def discard_caller(self, caller: Hashable) -> list[Task]:
        """Take all that a caller has waiting out."""
        return self._queue.discard_caller(caller)

    def delay(self, task: Task, due: float) -> None:
        """Let a task wait from that time on."""
        task.state = "delayed"
        heapq.heappush(self._delayed, (due, next(self._numbers), task))

    def undelay(self, now: float) -> float | None:
        """Let those wait whose time has come; returns when the next one's comes, if any."""
        while self._delayed and self._delayed[0][0] <= now:
            _, _, task = heapq.heappop(self._delayed)
            if task.state == "delayed":
                self.put_back(task)
        return self._delayed[0][0] if self._delayed else None
