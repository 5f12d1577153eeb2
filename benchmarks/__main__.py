"""The command: ``python -m benchmarks [NAME ...] [--quick] [--json FILE] [--plot FILE]``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import blobs, kills, latency, peers, pools, restart, scale, throughput
from benchmarks._machine import describe, machine
from benchmarks._plot import NotInstalled, plot
from benchmarks._report import Report, Settings
from benchmarks._table import render, render_bars
from supervisor._measure import show_progress

__all__ = ["main"]

BENCHMARKS: Mapping[str, Callable[[Settings], Report]] = {
    "latency": latency.measure,
    "restart": restart.measure,
    "throughput": throughput.measure,
    "blobs": blobs.measure,
    "scale": scale.measure,
    "peers": peers.measure,
    "kills": kills.measure,
    "pools": pools.measure,
}

logger = logging.getLogger("benchmarks")

_RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run benchmarks, or draw what a run has found.

    Returns:
        1 if one of them failed, else 0, whether or not they meet their bars: that depends on the
        machine.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.draw is not None:
        try:
            results = json.loads(options.draw.read_text())
        except (OSError, ValueError) as error:
            parser.error(f"--draw: {options.draw} holds no results: {error}")
        _draw(results, options.plot or options.draw.with_suffix(".svg"))
        return 0
    for name in options.names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name!r}; there are: {', '.join(BENCHMARKS)}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="regrow-bench-", dir=options.scratch) as scratch:
        settings = Settings(options.quick, Path(scratch), show_progress)
        facts = machine(settings.scratch)
        print(describe(facts), flush=True)
        path = options.json or _RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
        names = options.names or list(BENCHMARKS)
        reports: list[Report] = []
        # Written before it begins, and after each: of a run that is cut short, that is kept.
        results = _write(path, facts, reports)
        for name in names:
            if (report := _run(name, settings)) is not None:
                reports.append(report)
                results = _write(path, facts, reports)
    print("\n" + render_bars(reports))
    print(f"\n{time.monotonic() - began:.0f} s; written to {path}")
    _draw(results, options.plot or path.with_suffix(".svg"))
    return 0 if len(reports) == len(names) else 1


def _draw(results: Mapping[str, Any], path: Path) -> None:
    try:
        drawn = plot(results, path)
    except NotInstalled as error:
        print(f"no plot: {error}")
    else:
        print(f"drawn in {path}" if drawn else "no plot: nothing here has a chart")


def _run(name: str, settings: Settings) -> Report | None:
    """Run one of them, and show its report; None if it failed: the others go on."""
    began = time.monotonic()
    try:
        report = BENCHMARKS[name](settings)
    except Exception:
        logger.exception("%s failed", name)
        return None
    report = replace(report, seconds=time.monotonic() - began)
    print("\n" + render(report), flush=True)
    return report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="few rounds: not for comparisons")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the results")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="where to draw them (default: beside the results)"
    )
    parser.add_argument(
        "--draw", type=Path, metavar="RESULTS", help="measure nothing, draw what a run has written"
    )
    parser.add_argument("--scratch", metavar="DIR", help="a folder on the disk to be measured")
    return parser


def _write(path: Path, facts: dict[str, Any], reports: Sequence[Report]) -> dict[str, Any]:
    """Write what was found so far; return it as it is read again."""
    text = json.dumps(
        {
            "measured_at": datetime.now(UTC).isoformat(),
            "machine": facts,
            "reports": [report.to_map() for report in reports],
        },
        indent=2,
        ensure_ascii=False,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")
    results: dict[str, Any] = json.loads(text)
    return results


if __name__ == "__main__":
    sys.exit(main())
