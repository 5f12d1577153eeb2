"""What a benchmark says: lines that compare a candidate with a baseline, and with its bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from benchmarks._harness import Samples, ratios
from supervisor._measure import Percentiles, Spread, median, spread_of

__all__ = ["Bar", "Chart", "Line", "Report", "Settings", "latency_line", "rate_line"]

T = TypeVar("T")

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

    def pick(self, full: T, quick: T) -> T:
        """One of two values."""
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
class Chart:
    """What is better drawn than written.

    Attributes:
        title: what is shown.
        x: what its horizontal axis says.
        y: what its vertical axis says; empty where there are bars.
        lines: points, joined to a line, by what they are; both axes are logarithmic.
        from_zero: whether the vertical one begins at 0 instead.
        bars: lengths by what they are, where these are shown instead, on a logarithmic axis.
    """

    title: str
    x: str
    y: str = ""
    lines: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    from_zero: bool = False
    bars: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What one benchmark has found.

    Attributes:
        name: of the benchmark.
        title: what it measures.
        lines: what it has found.
        notes: how it was set up, and what else there is to know.
        seconds: how long it took.
        charts: what is drawn of it.
    """

    name: str
    title: str
    lines: Sequence[Line]
    notes: Sequence[str] = field(default_factory=tuple)
    seconds: float = 0.0
    charts: Sequence[Chart] = ()

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
    as_speed: bool = False,
) -> Line:
    """A line of latencies: the median of the rounds' medians, and percentiles of all.

    Where it is compared as a speed, the ratio says how many times as fast it is as its baseline,
    not how many times as long it takes.
    """
    if baseline is None:
        ratio = None
    else:
        pair = (baseline[1], rounds) if as_speed else (rounds, baseline[1])
        ratio = spread_of(ratios(*pair))
    return Line(
        what,
        unit,
        spread_of(median(samples) for samples in rounds),
        ratio,
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
