"""Hands the commits out, and spreads the kills over the time in which they are recorded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stores._demo._git import Commit
from stores._demo._history import session_id, sessions_of
from stores._demo._kills import Kill, Victim, kill
from stores._demo._recording import Recorders

__all__ = ["Recorded", "record"]

# A large history is recorded as far as this takes us.
_MOST_SECONDS = 6.0


@dataclass(slots=True)
class Recorded:
    """What came of it.

    Attributes:
        commits: that were recorded, newest first.
        kills: in their order.
        calls: that the clients made.
        slowest: of them, in seconds.
        failed: calls, and what they said.
        seconds: that it took.
    """

    commits: list[Commit] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    calls: int = 0
    slowest: float = 0.0
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0


def record(
    commits: list[Commit],
    recorders: Recorders,
    victims: list[Victim],
    on_kill: Callable[[Kill, int, int], None],
) -> Recorded:
    """Have the commits recorded, newest first, and kill the victims meanwhile, one by one.

    Args:
        commits: as many of them as there is time for.
        recorders: who does it.
        victims: in the order in which they die.
        on_kill: is told of each kill, how many clients were at work, and how many calls had been
            answered.

    Raises:
        RecorderDied: a client process ended.
    """
    work = _Work(commits, recorders, victims)
    begun = time.monotonic()
    while not work.is_done:
        work.hand_out()
        if work.is_time_to_kill:
            at_work, calls = recorders.at_work, work.result.calls
            death = kill(work.next_victim())
            work.result.kills.append(death)
            on_kill(death, at_work, calls)
        else:
            work.listen()
    work.result.seconds = time.monotonic() - begun
    return work.result


class _Work:
    """The commits are released in shares, one more share with each kill.

    So there are commits left for the last kill to happen under, however few there are, and however
    fast they are recorded. Where they are recorded slowly, time releases the next kill.
    """

    def __init__(self, commits: list[Commit], recorders: Recorders, victims: list[Victim]) -> None:
        self._commits = commits
        self._sessions = sessions_of(commits)
        self._recorders = recorders
        self._victims = victims
        self._heard = 0
        self._shares = len(victims) + 1
        self._end = time.monotonic() + _MOST_SECONDS
        self._next_kill = self._slot()
        self.result = Recorded()

    def _slot(self) -> float:
        return time.monotonic() + _MOST_SECONDS / self._shares

    @property
    def _handed_out(self) -> int:
        return len(self.result.commits)

    @property
    def _released(self) -> int:
        """How many commits may be handed out before the next kill."""
        if time.monotonic() >= self._end:
            return self._handed_out
        share = len(self.result.kills) + 1
        return -(-len(self._commits) * share // self._shares)

    @property
    def _kills_left(self) -> int:
        return len(self._victims) - len(self.result.kills)

    @property
    def is_done(self) -> bool:
        """Whether all are dead, and all that was handed out is recorded."""
        waits = self._released > self._handed_out
        return not (self._kills_left or waits or self._heard < self._handed_out)

    @property
    def is_time_to_kill(self) -> bool:
        """Whether the first of the share that is out are recorded."""
        if not self._kills_left:
            return False
        most = max(1, len(self._commits) // self._shares * 3 // 4)
        return self._heard >= self._handed_out - most or time.monotonic() >= self._next_kill

    def hand_out(self) -> None:
        """Give the recorders what they have room for."""
        while self._recorders.has_room and self._handed_out < self._released:
            commit = self._commits[self._handed_out]
            self._recorders.give(self._sessions[session_id(commit)], commit)
            self.result.commits.append(commit)

    def next_victim(self) -> Victim:
        """Who is to die now."""
        self._next_kill = self._slot()
        return self._victims[len(self.result.kills)]

    def listen(self) -> None:
        """Wait for reports, not longer than until the next kill."""
        for report in self._recorders.hear(max(0.0, min(1.0, self._next_kill - time.monotonic()))):
            self._count(report)

    def _count(self, report: dict[str, Any]) -> None:
        self._heard += 1
        self.result.calls += report["calls"]
        self.result.slowest = max(self.result.slowest, report["slowest"])
        self.result.failed += report["failed"]
