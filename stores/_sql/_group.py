"""Threads that write at the same time, and share transactions.

Whoever comes while nobody is writing leads: he writes at once, for all who are waiting by then.
Whoever comes meanwhile waits; when the transaction is over, the first of those who came during it
leads the next one. Nobody waits for company that may not come, and the more threads there are, the
more of them share what a transaction costs.

One thing more: those whom a transaction has served mostly come back at once, one after the other,
and the first to come would begin the next one alone. The leader therefore waits until as many have
come as were served last, though no longer than half of what the last transaction took.
"""

import threading
from collections.abc import Callable, Sequence
from time import monotonic

from ports import StorageError

from ._writes import Outcome, Write

# What one transaction takes at most; beyond this, sharing saves little, and memory counts.
_MOST = 512

# Seconds; a transaction may have taken long for reasons of its own.
_LONGEST_PATIENCE = 0.002


class GroupCommit:
    """Hands the writes of many threads to `commit`, several at a time, one call after the other."""

    def __init__(self, commit: Callable[[Sequence[Write]], list[Outcome]]) -> None:
        self._commit = commit
        self._lock = threading.Lock()
        self._complete = threading.Condition(self._lock)
        self._waiting: list[_Turn] = []
        self._led = False
        self._served_last = 1
        self._patience = 0.0

    def write(self, write: Write) -> Outcome:
        """Return what has become of a write."""
        turn = _Turn(write)
        with self._lock:
            self._waiting.append(turn)
            turn.leads = not self._led
            self._led = True
            if len(self._waiting) == self._served_last:
                self._complete.notify()
        try:
            if not turn.leads:
                turn.wake.acquire()
            if turn.leads:
                self._lead()
        except BaseException:
            self._leave(turn)
            raise
        if turn.outcome is None:
            raise AssertionError("a turn ends with an outcome")
        return turn.outcome

    def _lead(self) -> None:
        with self._lock:
            if len(self._waiting) < self._served_last:
                self._complete.wait_for(self._is_complete, self._patience)
            turns, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            self._served_last = len(turns)
        outcomes: Sequence[Outcome] = ()
        began = monotonic()
        try:
            outcomes = self._commit([turn.write for turn in turns])
        finally:
            self._patience = min((monotonic() - began) / 2, _LONGEST_PATIENCE)
            # Next comes first: it can begin while the others are still being told.
            self._hand_over()
            if not outcomes:
                outcomes = [_interrupted() for _ in turns]
            for turn, outcome in zip(turns, outcomes, strict=True):
                turn.outcome = outcome
                turn.wake.release()

    def _is_complete(self) -> bool:
        return len(self._waiting) >= self._served_last

    def _hand_over(self) -> None:
        with self._lock:
            self._led = bool(self._waiting)
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].wake.release()

    def _leave(self, turn: "_Turn") -> None:
        """Give up a turn whose thread was interrupted, be it its turn to lead or not."""
        with self._lock:
            waits = turn in self._waiting
            if waits:
                self._waiting.remove(turn)
        if waits and turn.leads:
            self._hand_over()


class _Turn:
    """One thread's turn."""

    __slots__ = ("leads", "outcome", "wake", "write")

    def __init__(self, write: Write) -> None:
        self.write = write
        self.outcome: Outcome | None = None
        self.leads = False
        # Held until there is an outcome, or the turn leads.
        self.wake = threading.Lock()
        self.wake.acquire()


def _interrupted() -> StorageError:
    return StorageError(
        "the thread that wrote for several was interrupted: this operation may have been carried "
        "out or not, and can safely be repeated"
    )
