"""What waits in a pool: by priority, and within one, each caller in turn. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator

from supervisor._pool.tasks import Task

__all__ = ["FairQueue"]

_Level = OrderedDict[Hashable, deque[Task]]


class FairQueue:
    """Tasks, in the order in which they are to be done.

    A caller with a million tasks holds up another's one for no longer than one of its own: callers
    of the same priority take turns. Tasks of one caller keep their order.
    """

    def __init__(self) -> None:
        self._levels: dict[int, _Level] = {}
        # The priorities that there are tasks of, the highest first.
        self._priorities: list[int] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, task: Task, *, front: bool = False) -> None:
        """Add a task, behind the others of its caller, or before them."""
        level = self._levels.get(task.priority)
        if level is None:
            level = self._levels[task.priority] = OrderedDict()
            self._priorities = sorted(self._levels, reverse=True)
        line = level.get(task.caller)
        if line is None:
            line = level[task.caller] = deque()
        if front:
            line.appendleft(task)
        else:
            line.append(task)
        self._size += 1

    def pop(self, blocked: set[Hashable]) -> Task | None:
        """Take the next one out; None if there is none.

        Args:
            blocked: the callers whose turn is passed over.
        """
        for priority in tuple(self._priorities):
            for caller in tuple(self._levels[priority]) if blocked else self._first(priority):
                if caller in blocked:
                    continue
                task = self._next(priority, caller)
                self._tidy(priority, caller)
                if task is not None:
                    return task
        return None

    def _first(self, priority: int) -> Iterator[Hashable]:
        """The caller whose turn it is, as long as there is one."""
        while level := self._levels.get(priority):
            yield next(iter(level))

    def discard(self, task: Task) -> None:
        """A task that is waiting here was settled: it does not count any more, and is passed over.

        Taking it out of the middle of a long line would take as long as the line is.
        """
        if task.state == "settled":
            self._size -= 1

    def discard_caller(self, caller: Hashable) -> list[Task]:
        """Take all that a caller has waiting out."""
        found: list[Task] = []
        for priority in list(self._priorities):
            line = self._levels[priority].pop(caller, ())
            found += [task for task in line if task.state != "settled"]
            self._tidy(priority)
        self._size -= len(found)
        return found

    def _next(self, priority: int, caller: Hashable) -> Task | None:
        """The first task in a line that is still wanted; the line moves behind the others."""
        level = self._levels[priority]
        line = level[caller]
        while line:
            task = line.popleft()
            if task.state == "settled":
                continue
            self._size -= 1
            level.move_to_end(caller)
            return task
        return None

    def _tidy(self, priority: int, caller: Hashable | None = None) -> None:
        level = self._levels[priority]
        if caller is not None and not level[caller]:
            del level[caller]
        if not level:
            del self._levels[priority]
            self._priorities.remove(priority)
