"""What is in hand for several children at once: the boot, or the restart of a group."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from supervisor._core.children import By, Entry
from supervisor._core.messages import Timer

__all__ = ["Group"]


@dataclass(slots=True, eq=False)
class Group:
    """Children that are stopped in reverse order, wait, and are started in order, one by one.

    Attributes:
        by: ``boot`` or ``restart``.
        culprit: the child whose end made the restart necessary.
        delay: the seconds to wait between stop and start.
        to_stop: who may still have to be stopped; the last one is next.
        to_start: who may still have to be started; the first one is next.
        until: when the wait is over.

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
    def boot(cls, entries: Iterable[Entry]) -> Group:
        """All written children: there is nothing to stop."""
        return cls("boot", deque(entries))

    @classmethod
    def restart(cls, entries: list[Entry], culprit: Entry, delay: float) -> Group:
        """These are stopped first."""
        return cls("restart", deque(entries), culprit, delay, list(entries), "stopping")

    @property
    def is_waiting(self) -> bool:
        """Whether everybody is stopped and nobody may be started yet."""
        return self.stage == "waiting"
