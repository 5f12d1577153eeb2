"""How many restarts a supervisor bears before it gives up."""

from __future__ import annotations

from collections import deque

__all__ = ["Intensity"]


class Intensity:
    """Counts restarts within a sliding period, as OTP's ``intensity`` and ``period`` do.

    Args:
        max_restarts: so many are borne.
        max_seconds: the period; a restart exactly this long ago still counts, as in OTP.

    """

    def __init__(self, max_restarts: int, max_seconds: float) -> None:
        self._max_restarts = max_restarts
        self._max_seconds = max_seconds
        self._restarts: deque[float] = deque()

    def admit(self, now: float) -> bool:
        """Count a restart at this time; whether it is borne."""
        restarts = self._restarts
        restarts.append(now)
        while now - restarts[0] > self._max_seconds:
            restarts.popleft()
        return len(restarts) <= self._max_restarts

    def __str__(self) -> str:
        plural = "" if self._max_restarts == 1 else "s"
        return f"{self._max_restarts} restart{plural} within {self._max_seconds} s"
