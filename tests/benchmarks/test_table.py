"""What a report says, as text and as JSON."""

from __future__ import annotations

import json

import pytest

from benchmarks._report import Bar, Report, latency_line, rate_line
from benchmarks._table import bars_missed, render

BARE = [[1.0], [2.0], [3.0]]
SLOW = [[3.0], [6.0], [9.0]]


@pytest.fixture
def report() -> Report:
    return Report(
        "echo",
        "a call",
        [
            latency_line("bare", "ms", BARE),
            latency_line(
                "mine",
                "ms",
                SLOW,
                baseline=("bare", BARE),
                bars=[Bar("<=", 1.5, "ratio"), Bar("<=", 25, "p99")],
            ),
            rate_line("many", "/s", [[120_000.0]], bars=[Bar(">=", 100_000)]),
        ],
        ["of three rounds"],
    )


def test_each_bar_has_a_row_and_says_whether_it_is_met(report: Report) -> None:
    rows = [line.split() for line in render(report).splitlines()]
    mine = next(row for row in rows if row[0] == "mine")
    assert mine[1:3] == ["3.00", "x"]
    assert mine[-4:] == ["<=", "1.5", "x", "NO"]
    assert ["p99", "<=", "25", "ms", "yes"] in rows
    assert next(row for row in rows if row[0] == "many")[-4:] == [">=", "100,000", "/s", "yes"]
    assert ["of", "three", "rounds"] in rows


def test_what_is_missed_is_listed(report: Report) -> None:
    assert bars_missed([report]) == ["echo: mine (<= 1.5 x)"]


def test_json_has_the_numbers_and_what_they_mean(report: Report) -> None:
    data = json.loads(json.dumps(report.to_map()))
    mine = data["lines"][1]
    assert mine["ratio"]["median"] == 3
    assert mine["percentiles"] == {"p50": 6, "p90": 9, "p99": 9, "p999": 9, "maximum": 9}
    assert [bar["met"] for bar in mine["bars"]] == [False, True]


def test_a_bar_on_what_a_line_does_not_have_is_not_met() -> None:
    line = rate_line("many", "/s", [[1.0]], bars=[Bar("<=", 1, "ratio"), Bar("<=", 1, "p99")])
    assert not any(line.is_met(bar) for bar in line.bars)
