"""How calls are measured: by the command ``regrow bench``, and by the benchmarks of this project.

General layout: ``statistics``, ``histogram`` and ``tally`` are pure; ``clients`` has the processes
that call at the same time, ``calls`` what they do, ``progress`` how far it has come.
"""

from __future__ import annotations

from supervisor._measure.calls import Calls, calls_of
from supervisor._measure.clients import ClientFailed, Load, client_processes
from supervisor._measure.histogram import Histogram, Row, rows_of
from supervisor._measure.progress import show_progress
from supervisor._measure.statistics import (
    Percentiles,
    Spread,
    amount,
    growth,
    median,
    percentile,
    spread_of,
)
from supervisor._measure.tally import Failures, Tally

__all__ = [
    "Calls",
    "ClientFailed",
    "Failures",
    "Histogram",
    "Load",
    "Percentiles",
    "Row",
    "Spread",
    "Tally",
    "amount",
    "calls_of",
    "client_processes",
    "growth",
    "median",
    "percentile",
    "rows_of",
    "show_progress",
    "spread_of",
]
