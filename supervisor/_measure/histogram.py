"""Histograms of durations: of any number of them in little memory, and of several processes as one.

Buckets are log-linear, as in HdrHistogram: each power of two is cut into as many equal parts. So a
value is known to within a part, in proportion, whether it is a microsecond or a minute.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from supervisor._measure.statistics import Percentiles

__all__ = ["Histogram", "Row", "rows_of"]

# A bucket is at most 1/128 of its values wide, and is shown as its middle: 0.4 % off at most.
_PARTS = 128

# Bounds within a decade that people read easily, from fine to coarse.
_SERIES = (
    (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8),
    (1, 1.5, 2.5, 4, 6),
    (1, 2, 5),
    (1,),
)


@dataclass(slots=True)
class Histogram:
    """How many durations of each length there were.

    Attributes:
        counts: of each bucket that is not empty.
        maximum: the longest, exactly; 0.0 where there is none.
        total: the sum of all.
    """

    counts: Counter[int] = field(default_factory=Counter)
    maximum: float = 0.0
    total: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration; what a clock says is negative counts as none."""
        fraction, exponent = math.frexp(max(seconds, 1e-9))
        # The fraction is at least a half, and less than one.
        self.counts[exponent * _PARTS + int((2 * fraction - 1) * _PARTS)] += 1
        self.total += seconds
        self.maximum = max(self.maximum, seconds)

    def merge(self, other: Histogram) -> None:
        """Count what another has counted as well."""
        self.counts.update(other.counts)
        self.total += other.total
        self.maximum = max(self.maximum, other.maximum)

    def __len__(self) -> int:
        return self.counts.total()

    def __iter__(self) -> Iterator[tuple[float, int]]:
        """Each duration that there was, to within a bucket, in ascending order; and how often."""
        for bucket in sorted(self.counts):
            yield min(_middle(bucket), self.maximum), self.counts[bucket]

    def percentiles(self) -> Percentiles:
        """The percentiles, in seconds.

        Raises:
            ValueError: it is empty.
        """
        p50, p90, p99, p999 = map(self.percentile, (0.5, 0.9, 0.99, 0.999))
        return Percentiles(p50, p90, p99, p999, self.maximum)

    def percentile(self, part: float) -> float:
        """The smallest duration that this part of all does not exceed, to within a bucket.

        Raises:
            ValueError: it is empty.
        """
        if not self.counts:
            raise ValueError("nothing was measured")
        rank, seen = math.ceil(part * len(self)), 0
        for seconds, count in self:
            seen += count
            if seen >= rank:
                return seconds
        return self.maximum


def _middle(bucket: int) -> float:
    exponent, part = divmod(bucket, _PARTS)
    return math.ldexp(1 + (part + 0.5) / _PARTS, exponent - 1)


@dataclass(frozen=True, slots=True)
class Row:
    """Durations that are shown as one.

    Attributes:
        lower: from how many seconds on.
        upper: less than how many.
        count: how many they are.
    """

    lower: float
    upper: float
    count: int


def rows_of(histogram: Histogram, most: int = 20) -> list[Row]:
    """The histogram in rows with round bounds, as fine as fits into so many.

    What is shorter or longer than all but one in a thousand has a row of its own at either end.
    Rows without a value, between others, are among them.

    Args:
        histogram: of which there are no rows if it is empty.
        most: rows, at least 3.
    """
    if not len(histogram):
        return []
    for series in _SERIES:
        bounds = _bounds(histogram, series)
        if len(bounds) <= most + 1:
            break
    counts = [0] * (len(bounds) - 1)
    for value, count in histogram:
        counts[bisect.bisect_right(bounds, value) - 1] += count
    return [Row(*row) for row in zip(bounds, bounds[1:], counts, strict=False)]


def _bounds(histogram: Histogram, series: Sequence[float]) -> list[float]:
    """Bounds of rows that hold everything, in ascending order."""
    shortest, longest = histogram.percentile(0.0), histogram.percentile(1.0)
    decades = range(math.floor(math.log10(shortest)) - 1, math.floor(math.log10(longest)) + 2)
    bounds = [_round(step * 10.0**decade) for decade in decades for step in series]
    first, last = histogram.percentile(0.001), histogram.percentile(0.999)
    inner = bounds[bisect.bisect_right(bounds, first) - 1 : bisect.bisect_right(bounds, last) + 1]
    below = bounds[bisect.bisect_right(bounds, shortest) - 1]
    above = bounds[bisect.bisect_right(bounds, longest)]
    return [*([below] if below < inner[0] else []), *inner, *([above] if above > inner[-1] else [])]


def _round(bound: float) -> float:
    """Without what binary fractions add."""
    return float(f"{bound:.3g}")
