"""Statistics, without a clock or a process."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor._measure import Percentiles, amount, growth, median, percentile, spread_of

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
    assert Percentiles.of(range(1000, 0, -1)) == Percentiles(500, 900, 990, 999, 1000)


@pytest.mark.parametrize("of_none", [median, lambda none: percentile(none, 0.5)])
def test_of_nothing_there_are_no_statistics(of_none) -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        of_none([])


def test_a_spread_is_the_middle_half() -> None:
    spread = spread_of([1, 2, 3, 4, 100])
    assert (spread.lower, spread.median, spread.upper) == (2, 3, 4)


@given(st.floats(min_value=-1, max_value=3), st.floats(min_value=1e-6, max_value=1e6))
def test_growth_is_the_exponent(exponent: float, factor: float) -> None:
    points = [(size, factor * size**exponent) for size in (10, 30, 100, 1000)]
    assert growth(points) == pytest.approx(exponent, abs=1e-6)


@pytest.mark.parametrize("points", [[], [(10, 1.0)], [(10, 1.0), (10, 2.0)]])
def test_growth_needs_two_sizes(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="two sizes"):
        growth(points)


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0.0, "0"), (0.034, "0.03"), (3.14159, "3.14"), (31.4159, "31.4"), (31415.9, "31,416")],
)
def test_numbers_are_shown_with_what_means_something(number: float, shown: str) -> None:
    assert amount(number) == shown
