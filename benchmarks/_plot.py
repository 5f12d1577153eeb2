"""Charts of what was measured, in one SVG file; matplotlib draws it, where it is installed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["NotInstalled", "plot"]

_COLUMNS, _WIDTH, _HEIGHT = 2, 6.4, 4.2


class NotInstalled(Exception):
    """There is no matplotlib: the message says how to get it."""


def plot(results: Mapping[str, Any], path: Path) -> int:
    """Draw every chart of these results, side by side.

    Args:
        results: as a run has written them.
        path: of the SVG file.

    Returns:
        How many charts that were. Where there are none, no file is written.

    Raises:
        NotInstalled: matplotlib is missing.
    """
    charts = [chart for report in results["reports"] for chart in report["charts"]]
    if not charts:
        return 0
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise NotInstalled("it takes matplotlib: pip install 'regrow[bench]'") from None
    rows = math.ceil(len(charts) / _COLUMNS)
    columns = min(len(charts), _COLUMNS)
    # Text stays text, and a file of the same results is the same.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "regrow", "font.size": 9}):
        figure = Figure(figsize=(columns * _WIDTH, rows * _HEIGHT), layout="constrained")
        for number, chart in enumerate(charts, 1):
            axes = figure.add_subplot(rows, columns, number)
            (_draw_bars if chart["bars"] else _draw_lines)(axes, chart)
            axes.set_title(chart["title"], fontsize=9, fontweight="bold")
        figure.suptitle(_caption(results["machine"]), fontsize=8)
        figure.savefig(path, format="svg", metadata={"Date": None})
    return len(charts)


def _caption(machine: Mapping[str, Any]) -> str:
    cores = f"{machine['cores']} cores ({machine['processor']})"
    return f"{cores}, {machine['kernel']}, {machine['python']}"


def _draw_lines(axes: Any, chart: Mapping[str, Any]) -> None:
    for name, points in chart["lines"].items():
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
    axes.set(xscale="log", xlabel=chart["x"], ylabel=chart["y"])
    sizes = sorted({point[0] for points in chart["lines"].values() for point in points})
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    if chart["from_zero"]:
        axes.set_ylim(bottom=0)
    else:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_plainly)
    axes.minorticks_off()
    axes.grid(visible=True, alpha=0.3)
    if len(chart["lines"]) > 1:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=3, fontsize=7)


def _draw_bars(axes: Any, chart: Mapping[str, Any]) -> None:
    # The first on top.
    names: Sequence[str] = list(chart["bars"])[::-1]
    lengths = [chart["bars"][name] for name in names]
    drawn = axes.barh(names, lengths, color="#7aa6c2")
    axes.bar_label(drawn, [f"{length:,.3g}" for length in lengths], padding=3, fontsize=8)
    axes.set(xscale="log", xlabel=chart["x"], xlim=(min(lengths) / 2, max(lengths) * 3))
    axes.xaxis.set_major_formatter(_plainly)
    axes.minorticks_off()
    axes.grid(visible=True, axis="x", alpha=0.3)


def _plainly(value: float, _: int) -> str:
    return f"{value:,g}"
