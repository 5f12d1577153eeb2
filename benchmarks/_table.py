"""A report as a table for the terminal: the ratio first, then what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks._report import Bar, Line, Report
from supervisor._measure import Spread, amount

__all__ = ["render", "render_bars"]

_HEADINGS = ("", "ratio", "median", "spread", "p50", "p99", "p99.9", "bar", "met")


def render(report: Report) -> str:
    """The report as text."""
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for line in report.lines:
        rows.extend(_rows(line))
    shown = [f"{report.name}: {report.title} ({report.seconds:.0f} s)", *_columns(rows)]
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
    value = f"{amount(line.value.median)} {line.unit}".rstrip()
    bars = [_bar(line, bar) for bar in line.bars] or [("", "")]
    rows = [(line.what, ratio, value, _spread(line.value), *tail, *bars[0])]
    rows.extend(("", "", "", "", "", "", "", *bar) for bar in bars[1:])
    return rows


def _bar(line: Line, bar: Bar) -> tuple[str, str]:
    unit = "x" if bar.of == "ratio" else line.unit
    which = "p99 " if bar.of == "p99" else ""
    limit = f"{which}{bar.kind} {bar.limit:,g} {unit}".rstrip()
    return limit, "yes" if line.is_met(bar) else "NO"


def _spread(spread: Spread) -> str:
    return f"{amount(spread.lower)}..{amount(spread.upper)}"


def render_bars(reports: Sequence[Report]) -> str:
    """Every bar of these reports, with what was measured, and whether that meets it."""
    rows = [("", "ratio", "measured", "bar", "met")]
    for report in reports:
        for line in report.lines:
            rows.extend(
                (f"{report.name}: {_subject(report, line)}", *_met(line, bar)) for bar in line.bars
            )
    met = sum(row[-1] == "yes" for row in rows)
    return "\n".join([f"bars met: {met} of {len(rows) - 1}", *_columns(rows)])


def _subject(report: Report, line: Line) -> str:
    """What a line is about; one that is set in is about what is said in the line above."""
    if not line.what.startswith(" "):
        return line.what
    above = report.lines[list(report.lines).index(line) - 1]
    return f"{above.what},{line.what[1:]}"


def _met(line: Line, bar: Bar) -> tuple[str, str, str, str]:
    ratio = "" if line.ratio is None else f"{line.ratio.median:.2f} x"
    number = line.value.median if bar.of == "ratio" else line.number(bar)
    measured = "" if number is None else f"{amount(number)} {line.unit}".rstrip()
    return ratio, measured, *_bar(line, bar)


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The rows with the first column on the left, and the others on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *others = zip(row, widths, strict=True)
        cells = [cell.rjust(width) for cell, width in others]
        lines.append("  ".join((first[0].ljust(first[1]), *cells)).rstrip())
    return lines
