"""Statistics of what was measured; no process, file or clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = [
    "Percentiles",
    "Spread",
    "amount",
    "growth",
    "median",
    "percentile",
    "spread_of",
]


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and between which values the middle half of what was measured lies."""

    median: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Below which values 50, 90, 99 and 99.9 % of what was measured lie, and the largest value."""

    p50: float
    p90: float
    p99: float
    p999: float
    maximum: float

    @classmethod
    def of(cls, samples: Iterable[float]) -> Percentiles:
        """The percentiles of these."""
        ordered = sorted(samples)
        return cls(*(percentile(ordered, part) for part in (0.5, 0.9, 0.99, 0.999, 1.0)))


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


def growth(points: Sequence[tuple[float, float]]) -> float:
    """The exponent by which values grow with a size: 0 if they do not, 1 linearly, 2 squarely.

    It is the slope of the straight line that fits the logarithms best, by least squares.

    Args:
        points: sizes and values, all of them more than 0; of two sizes at least.

    Raises:
        ValueError: there are fewer sizes, or one that has no logarithm.
    """
    logs = [(math.log(size), math.log(value)) for size, value in points]
    if len({size for size, _ in logs}) < 2:
        raise ValueError("growth needs values at two sizes at least")
    middle_size = sum(size for size, _ in logs) / len(logs)
    middle_value = sum(value for _, value in logs) / len(logs)
    covariance = sum((size - middle_size) * (value - middle_value) for size, value in logs)
    return covariance / sum((size - middle_size) ** 2 for size, _ in logs)


def amount(number: float) -> str:
    """A number with about three digits that mean something."""
    size = abs(number)
    if size >= 100 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:.1f}" if size >= 10 else f"{number:.2f}"
