"""Histograms and tallies: what they keep of what they are given, and what is shown of it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor._measure import Histogram, Percentiles, Tally, rows_of

durations = st.lists(st.floats(min_value=1e-9, max_value=1e5), min_size=1, max_size=200)


def histogram_of(samples: list[float]) -> Histogram:
    histogram = Histogram()
    for sample in samples:
        histogram.add(sample)
    return histogram


@given(durations)
def test_percentiles_are_those_of_the_samples_to_within_a_bucket(samples: list[float]) -> None:
    found, exact = histogram_of(samples).percentiles(), Percentiles.of(samples)
    for name in ("p50", "p90", "p99", "p999"):
        assert getattr(found, name) == pytest.approx(getattr(exact, name), rel=1 / 128)
    assert found.maximum == exact.maximum


@given(durations, durations)
def test_two_merged_are_one_of_both(some: list[float], others: list[float]) -> None:
    merged, both = histogram_of(some), histogram_of(some + others)
    merged.merge(histogram_of(others))
    assert (merged.counts, merged.maximum, len(merged)) == (both.counts, both.maximum, len(both))


@given(durations, st.integers(min_value=3, max_value=20))
def test_every_duration_is_in_one_row(samples: list[float], most: int) -> None:
    rows = rows_of(histogram_of(samples), most)
    assert sum(row.count for row in rows) == len(samples)
    assert all(row.upper == after.lower for row, after in itertools.pairwise(rows))
    # Each is known to within a bucket, and so may be in the row beside its own.
    assert rows[0].lower <= min(samples) * (1 + 1 / 128)
    assert rows[-1].upper > max(samples) * (1 - 1 / 128)
    assert rows[0].count
    assert rows[-1].count


def test_rows_have_round_bounds_and_the_rare_have_one_of_their_own() -> None:
    samples = [11e-6, *[55e-6] * 900, *[70e-6] * 1200, 2.5]
    rows = [(row.lower, row.upper, row.count) for row in rows_of(histogram_of(samples))]
    assert rows[0] == (1e-05, 5e-05, 1)
    assert (5e-05, 6e-05, 900) in rows
    assert (6e-05, 8e-05, 1200) in rows
    assert rows[-1] == (8e-05, 3, 1)


def test_few_rows_are_coarse() -> None:
    spread = histogram_of([1.3e-6 * 1.2**power for power in range(80)])
    assert len(rows_of(spread, 20)) <= 20
    assert len(rows_of(spread, 60)) > 20


def test_of_nothing_there_is_no_row_and_no_percentile() -> None:
    assert rows_of(Histogram()) == []
    with pytest.raises(ValueError, match="nothing was measured"):
        Histogram().percentiles()


def test_what_takes_no_time_counts() -> None:
    assert len(histogram_of([0.0, -1e-9])) == 2


def test_a_tally_counts_answers_by_round_and_failures_by_type() -> None:
    whole, part = Tally(), Tally()
    whole.answered(0.5, 0)
    whole.failed(KeyError("apple"))
    for number in (0, 1, 1, 7):
        part.answered(0.1, number)
    part.failed(KeyError("pear"))
    part.failed(TimeoutError("late"))
    whole.merge(part)
    assert len(whole.latencies) == 5
    assert {kind: found.count for kind, found in whole.failures.items()} == {
        "KeyError": 2,
        "TimeoutError": 1,
    }
    assert whole.failures["KeyError"].example == "'apple'"
    assert whole.failed_count == 3
    rate = whole.rate(3, 0.5)
    assert rate is not None
    assert (rate.median, rate.lower, rate.upper) == (4, 0, 4)
    assert whole.rate(0, 0.5) is None
