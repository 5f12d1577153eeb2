"""Time that passes when a test says so."""

from __future__ import annotations

__all__ = ["FakeClock"]


class FakeClock:
    """A clock in place of ``time.monotonic``: call it for the time, in seconds.

    Args:
        now: what it shows at first.
    """

    def __init__(self, now: float = 0.0) -> None:
        self._now = now

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            ValueError: it would go back.
        """
        if seconds < 0:
            raise ValueError(f"a clock does not go back, not even by {-seconds} s")
        self._now += seconds
