"""The command: ``python -m benchmarks [NAME ...] [--quick] [--json FILE]``."""

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

from benchmarks import blobs, latency, restart, scale, throughput
from benchmarks._machine import describe, machine
from benchmarks._report import Report, Settings
from benchmarks._table import bars_missed, render
from supervisor._measure import show_progress

__all__ = ["main"]

BENCHMARKS: Mapping[str, Callable[[Settings], Report]] = {
    "latency": latency.measure,
    "restart": restart.measure,
    "throughput": throughput.measure,
    "blobs": blobs.measure,
    "scale": scale.measure,
}

logger = logging.getLogger("benchmarks")

_RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run benchmarks.

    Returns:
        1 if one of them failed, else 0, whether or not they meet their bars: that depends on the
        machine.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name!r}; there are: {', '.join(BENCHMARKS)}")
    with tempfile.TemporaryDirectory(prefix="regrow-bench-", dir=options.scratch) as scratch:
        settings = Settings(options.quick, Path(scratch), show_progress)
        facts = machine(settings.scratch)
        print(describe(facts), flush=True)
        names = options.names or list(BENCHMARKS)
        reports = [report for name in names if (report := _run(name, settings)) is not None]
    missed = bars_missed(reports)
    print(f"\nbars missed: {len(missed)}" + "".join(f"\n  {bar}" for bar in missed))
    print(f"written to {_write(options.json, facts, reports)}")
    return 0 if len(reports) == len(names) else 1


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
    parser.add_argument("--scratch", metavar="DIR", help="a folder on the disk to be measured")
    return parser


def _write(path: Path | None, facts: dict[str, Any], reports: Sequence[Report]) -> Path:
    now = datetime.now(UTC)
    if path is None:
        _RESULTS.mkdir(exist_ok=True)
        path = _RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    content = {
        "measured_at": now.isoformat(),
        "machine": facts,
        "reports": [report.to_map() for report in reports],
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return path


if __name__ == "__main__":
    sys.exit(main())
