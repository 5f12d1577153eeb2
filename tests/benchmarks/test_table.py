"""What a report says, as text and as JSON."""

from __future__ import annotations

import json

import pytest

from benchmarks._report import Bar, Report, latency_line, rate_line
from benchmarks._table import render, render_bars

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


def test_every_bar_is_listed_with_what_was_measured(report: Report) -> None:
    heading, _, *rows = render_bars([report]).splitlines()
    assert heading == "bars met: 2 of 3"
    assert [row.split() for row in rows] == [
        ["echo:", "mine", "3.00", "x", "6", "ms", "<=", "1.5", "x", "NO"],
        ["echo:", "mine", "3.00", "x", "9", "ms", "p99", "<=", "25", "ms", "yes"],
        ["echo:", "many", "120,000", "/s", ">=", "100,000", "/s", "yes"],
    ]


def test_a_line_that_is_set_in_is_about_the_one_above() -> None:
    grows = rate_line("  growth", "", [[0.5]], bars=[Bar("<=", 1.1)])
    report = Report("scale", "", [rate_line("start", "ms", [[7.0]]), grows])
    assert render_bars([report]).splitlines()[-1].startswith("scale: start, growth ")


def test_a_speed_is_compared_the_other_way_round() -> None:
    line = latency_line("mine", "ms", SLOW, baseline=("bare", BARE), as_speed=True)
    assert line.ratio is not None
    assert line.ratio.median == pytest.approx(1 / 3)


def test_json_has_the_numbers_and_what_they_mean(report: Report) -> None:
    data = json.loads(json.dumps(report.to_map()))
    mine = data["lines"][1]
    assert mine["ratio"]["median"] == 3
    assert mine["percentiles"] == {"p50": 6, "p90": 9, "p99": 9, "p999": 9, "maximum": 9}
    assert [bar["met"] for bar in mine["bars"]] == [False, True]


def test_a_bar_on_what_a_line_does_not_have_is_not_met() -> None:
    line = rate_line("many", "/s", [[1.0]], bars=[Bar("<=", 1, "ratio"), Bar("<=", 1, "p99")])
    assert not any(line.is_met(bar) for bar in line.bars)
