"""How long the next restart of a child with a backoff waits."""

from __future__ import annotations

from collections.abc import Callable

from supervisor._spec import Backoff

__all__ = ["Waits"]


class Waits:
    """The waits of one child: longer each time, until it has been up for long enough."""

    def __init__(self) -> None:
        self._last: float | None = None

    def reset(self) -> None:
        """Start afresh: the next wait is the initial one."""
        self._last = None

    def next(self, backoff: Backoff, up: float | None, random: Callable[[], float]) -> float:
        """The seconds that the next restart waits.

        Args:
            backoff: the child's.
            up: the seconds that the child was up; None if it did not get that far.
            random: a number from 0 to 1.

        """
        if up is not None and up >= backoff.reset_after:
            self.reset()
        # From wait to wait, not by powers: those overflow after some hundred restarts.
        wait = backoff.initial if self._last is None else self._last * backoff.factor
        self._last = min(wait, backoff.maximum)
        return min(self._last * (1 + backoff.jitter * (2 * random() - 1)), backoff.maximum)
