"""A report as a table for the terminal: the ratio first, then what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks._report import Bar, Line, Report
from supervisor._measure import Spread, amount

__all__ = ["render"]

_HEADINGS = ("", "ratio", "median", "spread", "p50", "p99", "p99.9", "bar", "met")


def render(report: Report) -> str:
    """The report as text."""
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for line in report.lines:
        rows.extend(_rows(line))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    shown = [f"{report.name}: {report.title} ({report.seconds:.0f} s)"]
    for row in rows:
        first, *others = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        cells = [cell.strip().rjust(len(cell)) for cell in others]
        shown.append("  ".join((first, *cells)).rstrip())
    shown.extend(f"  {note}" for note in report.notes)
    return "\n".join(shown)


def _rows(line: Line) -> list[tuple[str, ...]]:
    """One row, and one more for each bar beyond the first."""
    ratio = "" if line.ratio is None else f"{line.ratio.median:.2f} x"
    percentiles = line.percentiles
    tail = (
        ("", "", "")
        if percentiles is None
        else tuple(amount(x) for x in (percentiles.p50, percentiles.p99, percentiles.p999))
    )
    value = f"{amount(line.value.median)} {line.unit}"
    bars = [_bar(line, bar) for bar in line.bars] or [("", "")]
    rows = [(line.what, ratio, value, _spread(line.value), *tail, *bars[0])]
    rows.extend(("", "", "", "", "", "", "", *bar) for bar in bars[1:])
    return rows


def _bar(line: Line, bar: Bar) -> tuple[str, str]:
    unit = "x" if bar.of == "ratio" else line.unit
    which = "p99 " if bar.of == "p99" else ""
    return f"{which}{bar.kind} {bar.limit:,g} {unit}", "yes" if line.is_met(bar) else "NO"


def _spread(spread: Spread) -> str:
    return f"{amount(spread.lower)}..{amount(spread.upper)}"


def bars_missed(reports: Sequence[Report]) -> list[str]:
    """Which bars the reports miss, for the last line."""
    return [
        f"{report.name}: {line.what} ({_bar(line, bar)[0]})"
        for report in reports
        for line in report.lines
        for bar in line.bars
        if not line.is_met(bar)
    ]
