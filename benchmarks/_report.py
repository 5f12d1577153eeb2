"""What a benchmark says: lines that compare a candidate with a baseline, and with its bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks._harness import Samples, ratios
from supervisor._measure import Percentiles, Spread, median, spread_of

__all__ = ["Bar", "Line", "Report", "Settings", "latency_line", "rate_line"]

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure.

    Attributes:
        quick: few rounds: to see that it runs, not to compare.
        scratch: a folder for what is written; on a file system whose fsync is to be measured.
        progress: is told what is being measured, and how much of it is done.
    """

    quick: bool
    scratch: Path
    progress: Progress

    def pick(self, full: int, quick: int) -> int:
        """One of two numbers."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Bar:
    """What a line is to reach.

    Attributes:
        kind: whether the value may be this at most, or has to be at least this.
        limit: the bar.
        of: which number of the line is meant.
    """

    kind: Literal["<=", ">="]
    limit: float
    of: Literal["ratio", "value", "p99"] = "value"

    def is_met_by(self, number: float) -> bool:
        """Whether this number reaches it."""
        return number <= self.limit if self.kind == "<=" else number >= self.limit


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a report.

    Attributes:
        what: what was measured.
        unit: of its value.
        value: the median of the rounds, with their spread.
        ratio: the same, of how it compares with the baseline; None of what is no candidate.
        percentiles: of every single sample, where these are latencies.
        bars: what it is to reach.
        baseline: what the ratio compares it with.
    """

    what: str
    unit: str
    value: Spread
    ratio: Spread | None = None
    percentiles: Percentiles | None = None
    bars: Sequence[Bar] = ()
    baseline: str | None = None

    def number(self, bar: Bar) -> float | None:
        """The number that a bar is about; None if this line does not have it."""
        if bar.of == "ratio":
            return None if self.ratio is None else self.ratio.median
        if bar.of == "p99":
            return None if self.percentiles is None else self.percentiles.p99
        return self.value.median

    def is_met(self, bar: Bar) -> bool:
        """Whether it reaches a bar."""
        number = self.number(bar)
        return number is not None and bar.is_met_by(number)


@dataclass(frozen=True, slots=True)
class Report:
    """What one benchmark has found.

    Attributes:
        name: of the benchmark.
        title: what it measures.
        lines: what it has found.
        notes: how it was set up, and what else there is to know.
        seconds: how long it took.
    """

    name: str
    title: str
    lines: Sequence[Line]
    notes: Sequence[str] = field(default_factory=tuple)
    seconds: float = 0.0

    def to_map(self) -> dict[str, Any]:
        """The report as JSON data."""
        data = asdict(self)
        for line, kept in zip(data["lines"], self.lines, strict=True):
            for bar, known in zip(line["bars"], kept.bars, strict=True):
                bar["met"] = kept.is_met(known)
        return data


def latency_line(
    what: str,
    unit: str,
    rounds: Sequence[Samples],
    *,
    baseline: tuple[str, Sequence[Samples]] | None = None,
    bars: Iterable[Bar] = (),
) -> Line:
    """A line of latencies: the median of the rounds' medians, and percentiles of all."""
    return Line(
        what,
        unit,
        spread_of(median(samples) for samples in rounds),
        None if baseline is None else spread_of(ratios(rounds, baseline[1])),
        Percentiles.of(sample for samples in rounds for sample in samples),
        tuple(bars),
        None if baseline is None else baseline[0],
    )


def rate_line(
    what: str,
    unit: str,
    rounds: Sequence[Samples],
    *,
    baseline: tuple[str, Sequence[Samples]] | None = None,
    bars: Iterable[Bar] = (),
) -> Line:
    """A line of which each round gives one number: a rate, a size."""
    return Line(
        what,
        unit,
        spread_of(median(samples) for samples in rounds),
        None if baseline is None else spread_of(ratios(rounds, baseline[1])),
        None,
        tuple(bars),
        None if baseline is None else baseline[0],
    )
