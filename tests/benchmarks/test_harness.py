"""Rounds, without a clock or a process."""

from __future__ import annotations

import pytest

from benchmarks._harness import interleave, ratios, repeat


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
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_each_run_is_timed_by_itself() -> None:
    times = iter([0.0, 1.0, 10.0, 12.0])
    assert repeat(lambda: None, 2, lambda: next(times)) == [1.0, 2.0]
