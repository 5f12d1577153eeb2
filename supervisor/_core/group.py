"""What is in hand for several children at once: the boot, or the restart of a group."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from supervisor._core.children import By, Entry, Running, Stopping, Why
from supervisor._core.messages import Cancel, Schedule, Timer
from supervisor._core.runs import Runs

__all__ = ["Group", "stop_last"]


@dataclass(slots=True, eq=False)
class Group:
    """Children that are stopped in reverse order, wait, and are started in order, one by one.

    Each is started when the one before it is ready, or will not be. A child that a caller
    terminates meanwhile is no longer planned, and left out.

    Attributes:
        by: ``boot`` or ``restart``.
        to_start: who may still have to be started; the first one is next.
        culprit: the child whose end made the restart necessary.
        delay: the seconds to wait between stop and start.
        to_stop: who may still have to be stopped; the last one is next.
        timer: the one that ends the wait.
        until: when it does.

    """

    by: By
    to_start: deque[Entry]
    culprit: Entry | None = None
    delay: float = 0.0
    to_stop: list[Entry] = field(default_factory=list)
    stage: Literal["stopping", "waiting", "starting"] = "starting"
    timer: Timer | None = None
    until: float = 0.0

    @classmethod
    def start(cls, by: By, entries: Iterable[Entry]) -> Group:
        """These have no processes, and are to have some."""
        return cls(by, deque(entries))

    @classmethod
    def restart(cls, entries: list[Entry], culprit: Entry, delay: float) -> Group:
        """These are stopped first."""
        return cls("restart", deque(entries), culprit, delay, list(entries), "stopping")

    @property
    def is_waiting(self) -> bool:
        """Whether everybody is stopped and nobody may be started yet."""
        return self.stage == "waiting"

    def step(self, runs: Runs, now: float) -> bool:
        """Do what can be done now; whether everybody is started."""
        if self.stage == "stopping" and self._stop_next(runs):
            self._stopped(runs, now)
        return self.stage == "starting" and self._start_next(runs)

    def call_off(self, runs: Runs, now: float) -> float:
        """Start nobody any more; the seconds that it had still to wait."""
        if self.timer is None:
            return 0.0
        runs.say(Cancel(self.timer))
        return max(0.0, self.until - now)

    def waited(self) -> None:
        """The wait is over."""
        self.timer = None
        self.stage = "starting"

    def _stop_next(self, runs: Runs) -> bool:
        # Where a caller has terminated one and started it again, that is not for us to stop.
        return stop_last(runs, self.to_stop, "group", lambda entry: entry.is_planned)

    def _stopped(self, runs: Runs, now: float) -> None:
        if not self.delay:
            self.stage = "starting"
            return
        self.stage = "waiting"
        self.until = now + self.delay
        self.timer = Timer("restart", runs.number())
        runs.say(Schedule(self.timer, self.delay))

    def _start_next(self, runs: Runs) -> bool:
        while self.to_start:
            entry = self.to_start[0]
            if entry.is_planned:
                self._spawn(runs, entry)
            if entry.is_live and not isinstance(entry.state, Running):
                return False
            self.to_start.popleft()
        return True

    def _spawn(self, runs: Runs, entry: Entry) -> None:
        if self.by == "restart" and entry is not self.culprit:
            entry.restarts += 1
            runs.report("restarting", entry)
        runs.spawn(entry, self.by)


def stop_last(
    runs: Runs, entries: list[Entry], why: Why, is_meant: Callable[[Entry], bool]
) -> bool:
    """Stop those that are meant, the last one first, one by one; whether all are gone."""
    while entries:
        entry = entries[-1]
        if isinstance(entry.state, Stopping):
            return False
        if entry.is_live and is_meant(entry):
            runs.stop(entry, why)
            return False
        entries.pop()
    return True
