"""Sums that are exact, and what is known of pruned numbers."""

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stores._pruned import sequence_problems, size, with_numbers
from stores._totals import Total

costs = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
numbers = st.sets(st.integers(1, 40))


def _total(values: list[int | float]) -> Total:
    total = Total()
    for value in values:
        total.add(value)
    return total


@given(st.lists(st.integers()))
def test_integers_add_up_to_an_integer(values: list[int]):
    assert _total(values).value == sum(values)
    assert type(_total(values).value) is int


@given(st.lists(costs), st.randoms())
def test_floats_add_up_as_they_are_written_in_any_order(values: list[int | float], random):
    total = _total(values).value
    exact = sum((Fraction(repr(value)) for value in values), Fraction())
    if any(isinstance(value, float) for value in values):
        assert total == (float(exact) if abs(exact) < 2**1024 - 2**970 else int(exact))
    random.shuffle(values)
    half = _total(values[: len(values) // 2])
    half.merge(_total(values[len(values) // 2 :]))
    assert repr(half.value) == repr(total)


def _numbers(ranges: list[tuple[int, int]]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(numbers, numbers)
def test_ranges_hold_what_was_put_into_them(one: set[int], other: set[int]):
    ranges = with_numbers(with_numbers([], one), other)
    assert _numbers(ranges) == one | other
    assert size(ranges) == len(one | other)
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(ranges))


@given(numbers, numbers, st.integers(0, 40))
def test_what_is_wrong_with_the_numbers_of_a_session(
    present: set[int], pruned: set[int], last: int
):
    problems = {
        problem.kind: problem.details
        for problem in sequence_problems("s", last, sorted(present), with_numbers([], pruned))
    }
    missing = set(range(1, last + 1)) - present - pruned
    assert ("sequence_gap" in problems) == bool(missing)
    if missing:
        assert problems["sequence_gap"]["count"] == len(missing)
    assert ("pruned_events_present" in problems) == bool(present & pruned)
    if present & pruned:
        assert problems["pruned_events_present"]["count"] == len(present & pruned)
    assert ("sequence_behind" in problems) == (max(present | pruned, default=0) > last)
