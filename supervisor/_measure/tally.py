"""What a load has met with: of one client for a moment, or of all of them in the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from supervisor._measure.histogram import Histogram
from supervisor._measure.statistics import Spread, spread_of

__all__ = ["Failures", "Tally"]


@dataclass(slots=True)
class Failures:
    """Calls that have failed in the same way.

    Attributes:
        count: how many.
        example: what the first of them said.
    """

    count: int
    example: str


@dataclass(slots=True)
class Tally:
    """What calls have come to.

    Attributes:
        latencies: of those that were answered, in seconds.
        rounds: how many of them were answered in each round, by its number.
        failures: by the type of the error, the others.
    """

    latencies: Histogram = field(default_factory=Histogram)
    rounds: Counter[int] = field(default_factory=Counter)
    failures: dict[str, Failures] = field(default_factory=dict)

    def answered(self, seconds: float, number: int) -> None:
        """Count a call that took so long, and was answered in the round of this number."""
        self.latencies.add(seconds)
        self.rounds[number] += 1

    def failed(self, error: BaseException) -> None:
        """Count a call that has ended with this error."""
        self._add(type(error).__name__, 1, str(error))

    def merge(self, other: Tally) -> None:
        """Count what another has counted as well."""
        self.latencies.merge(other.latencies)
        self.rounds.update(other.rounds)
        for kind, failures in other.failures.items():
            self._add(kind, failures.count, failures.example)

    def _add(self, kind: str, count: int, example: str) -> None:
        known = self.failures.setdefault(kind, Failures(0, example))
        known.count += count

    @property
    def failed_count(self) -> int:
        """How many calls have failed."""
        return sum(failures.count for failures in self.failures.values())

    def rate(self, rounds: int, length: float) -> Spread | None:
        """Answers per second in the first so many rounds; None of none.

        Args:
            rounds: how many rounds are over.
            length: of a round, in seconds.
        """
        if rounds < 1:
            return None
        return spread_of(self.rounds[number] / length for number in range(rounds))
