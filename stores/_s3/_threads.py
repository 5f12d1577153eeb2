"""Threads for what blocks: a bounded number, and in order where order matters.

Not those of `concurrent.futures`: the interpreter would wait for them at its end, as long as S3
keeps silent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from threading import Condition, Thread
from typing import Any, TypeVar

__all__ = ["Threads"]

_Result = TypeVar("_Result")


class _Task:
    """Something to do, and the future of its result."""

    def __init__(self, work: Callable[[], Any], turn: str | None) -> None:
        self.future: Future[Any] = Future()
        self.turn = turn
        self._work = work

    def carry_out(self) -> None:
        if self.future.set_running_or_notify_cancel():
            try:
                result = self._work()
            except BaseException as error:  # noqa: BLE001  it is the future's
                self.future.set_exception(error)
            else:
                self.future.set_result(result)
        # Whoever keeps the future does not keep what the work was made of.
        del self._work


class Threads:
    """Carries work out on up to `size` threads, which are started as they are needed."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._changed = Condition()  # held for everything below
        self._ready: deque[_Task] = deque()
        self._turns: dict[str, deque[_Task]] = {}
        self._started = 0
        self._idle = 0
        self._closed = False

    def submit(self, work: Callable[[], _Result], *, turn: str | None = None) -> Future[_Result]:
        """Have something done.

        Args:
            work: what; what it raises is the future's.
            turn: what has been submitted with the same word is done before, and over, first. What
                waits for its turn takes no thread.

        Raises:
            RuntimeError: it is closed.

        """
        task = _Task(work, turn)
        with self._changed:
            if self._closed:
                raise RuntimeError("these threads are closed")
            if turn is None:
                self._add(task)
            elif turn in self._turns:
                self._turns[turn].append(task)
            else:
                self._turns[turn] = deque()
                self._add(task)
        return task.future

    def close(self) -> None:
        """Begin nothing any more. Work that has begun goes on; nobody waits for it."""
        with self._changed:
            self._closed = True
            abandoned = [*self._ready, *(task for turn in self._turns.values() for task in turn)]
            self._ready.clear()
            self._turns.clear()
            self._changed.notify_all()
        for task in abandoned:
            task.future.cancel()

    def _add(self, task: _Task) -> None:
        self._ready.append(task)
        if self._idle >= len(self._ready) or self._started == self._size:
            self._changed.notify()
        else:
            self._started += 1
            Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while (task := self._next()) is not None:
            task.carry_out()
            self._end_turn(task.turn)

    def _next(self) -> _Task | None:
        with self._changed:
            while not self._ready and not self._closed:
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return self._ready.popleft() if self._ready else None

    def _end_turn(self, turn: str | None) -> None:
        with self._changed:
            waiting = None if turn is None else self._turns.get(turn)
            if waiting:
                self._add(waiting.popleft())
            elif waiting is not None and turn is not None:
                del self._turns[turn]
