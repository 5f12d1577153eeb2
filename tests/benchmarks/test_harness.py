"""Rounds and statistics, without a clock or a process."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks._harness import (
    Percentiles,
    interleave,
    median,
    percentile,
    ratios,
    repeat,
    spread_of,
)

numbers = st.lists(st.floats(min_value=0.001, max_value=1e6), min_size=1, max_size=50)


@given(numbers)
def test_median_is_the_usual_one(samples: list[float]) -> None:
    assert median(samples) == pytest.approx(statistics.median(samples))


@given(numbers, st.floats(min_value=0.001, max_value=1.0))
def test_a_percentile_is_exceeded_by_no_more_than_the_rest(
    samples: list[float], part: float
) -> None:
    found = percentile(sorted(samples), part)
    assert found in samples
    assert sum(sample > found for sample in samples) <= (1 - part) * len(samples) + 1e-9


def test_percentiles_of_a_thousand() -> None:
    assert Percentiles.of(range(1000, 0, -1)) == Percentiles(500, 990, 999)


@pytest.mark.parametrize("of_none", [median, lambda none: percentile(none, 0.5)])
def test_of_nothing_there_are_no_statistics(of_none) -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        of_none([])


def test_a_spread_is_the_middle_half() -> None:
    spread = spread_of([1, 2, 3, 4, 100])
    assert (spread.lower, spread.median, spread.upper) == (2, 3, 4)


def test_ratios_are_taken_within_each_round() -> None:
    # The machine was ten times as slow in the second round, for both.
    assert ratios([[2, 2, 9], [20, 20, 20]], [[1, 1, 1], [10, 10, 10]]) == [2, 2]


def test_ratios_want_as_many_rounds_of_both() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        ratios([[1], [1]], [[1]])


def test_candidates_take_turns_and_warm_ups_do_not_count() -> None:
    calls: list[str] = []

    def candidate(name: str):
        def once() -> list[float]:
            calls.append(name)
            return [float(len(calls))]

        return once

    told: list[tuple[int, int]] = []
    measured = interleave(
        {name: candidate(name) for name in "abc"},
        rounds=2,
        warmups=1,
        progress=lambda done, of: told.append((done, of)),
    )
    assert "".join(calls) == "abccbaabc"
    assert measured == {"a": [[6], [7]], "b": [[5], [8]], "c": [[4], [9]]}
    assert told == [(0, 3), (1, 3), (2, 3)]


def test_each_run_is_timed_by_itself() -> None:
    times = iter([0.0, 1.0, 10.0, 12.0])
    assert repeat(lambda: None, 2, lambda: next(times)) == [1.0, 2.0]
