"""Rounds and statistics; no process, file or clock.

Everything that is compared is measured in turn, in rounds: what else the machine does meanwhile
disturbs all of it alike. A ratio is taken within each round, and the median of these is shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = [
    "Percentiles",
    "Samples",
    "Spread",
    "interleave",
    "median",
    "percentile",
    "ratios",
    "repeat",
    "spread_of",
]

# What one round of one candidate has measured: latencies, or one rate.
Samples = Sequence[float]


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and between which values the middle half of what was measured lies."""

    median: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Below which values 50 %, 99 % and 99.9 % of what was measured lie."""

    p50: float
    p99: float
    p999: float

    @classmethod
    def of(cls, samples: Iterable[float]) -> Percentiles:
        """The percentiles of these."""
        ordered = sorted(samples)
        return cls(*(percentile(ordered, part) for part in (0.5, 0.99, 0.999)))


def percentile(ordered: Sequence[float], part: float) -> float:
    """The smallest of these, in ascending order, that this part of them does not exceed.

    Raises:
        ValueError: there are none.
    """
    if not ordered:
        raise ValueError("nothing was measured")
    rank = math.ceil(part * len(ordered))
    return ordered[min(max(rank, 1), len(ordered)) - 1]


def median(samples: Iterable[float]) -> float:
    """The middle one of these, or the mean of the two in the middle.

    Raises:
        ValueError: there are none.
    """
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("nothing was measured")
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def spread_of(samples: Iterable[float]) -> Spread:
    """The median of these, and their quartiles."""
    ordered = sorted(samples)
    return Spread(median(ordered), percentile(ordered, 0.25), percentile(ordered, 0.75))


def ratios(candidate: Sequence[Samples], baseline: Sequence[Samples]) -> list[float]:
    """How many times the baseline's median the candidate's is, round by round."""
    return [median(mine) / median(other) for mine, other in zip(candidate, baseline, strict=True)]


def interleave(
    candidates: Mapping[str, Callable[[], Samples]],
    *,
    rounds: int,
    warmups: int = 1,
    progress: Callable[[int, int], object],
) -> dict[str, list[Samples]]:
    """Measure each candidate once a round.

    Every other round goes backwards, so that none of them always follows the same one.

    Args:
        candidates: by name, what measures it once.
        rounds: how many rounds count.
        warmups: how many rounds come before them, and do not count.
        progress: is told before each round how many of how many are done.

    Returns:
        By name, what each round has measured.
    """
    measured: dict[str, list[Samples]] = {name: [] for name in candidates}
    for number in range(warmups + rounds):
        progress(number, warmups + rounds)
        for name in sorted_for_round(list(candidates), number):
            samples = candidates[name]()
            if number >= warmups:
                measured[name].append(samples)
    return measured


def sorted_for_round(names: Sequence[str], number: int) -> list[str]:
    """The order of this round: forwards, then backwards."""
    return list(names) if number % 2 == 0 else list(reversed(names))


def repeat(operation: Callable[[], object], count: int, clock: Callable[[], float]) -> Samples:
    """How long each of so many runs of the operation took."""
    samples = []
    for _ in range(count):
        began = clock()
        operation()
        samples.append(clock() - began)
    return samples
