"""Histories of what several callers did to one session at once, and what must be true of them.

A history has an entry for each call: when it was made, when it was answered, and what came of it.
Times are those of the system's monotonic clock, which all processes share. A call that was never
answered, because its process was killed or the database was away, may have been carried out or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        ids: of the events that it was to append, in their order; none of one that reads.
        called: when it was made.
        answered: when it was answered; None if it never was.
        numbers: those of the events that it has appended, or that it has read.
    """

    ids: tuple[str, ...]
    called: int
    answered: int | None = None
    numbers: tuple[int, ...] = ()


def calls_of(lines: Iterable[Sequence[Any]]) -> list[Call]:
    """The calls of one process, each of which it has written down in two lines.

    Args:
        lines: `[number, time, ids]` when a call was made, `[number, time, numbers]` when answered.
    """
    made: dict[int, tuple[int, tuple[str, ...]]] = {}
    calls: dict[int, Call] = {}
    for number, time, what in lines:
        if number not in made:
            made[number] = (time, tuple(what))
            calls[number] = Call(tuple(what), time)
        else:
            called, ids = made[number]
            calls[number] = Call(ids, called, time, tuple(what))
    return list(calls.values())


def check(calls: Sequence[Call], stored: Sequence[tuple[str, int]]) -> None:
    """Hold a history against what is stored in the end: ids and numbers, in their order.

    Raises:
        AssertionError: something is not as it should be; says what.
    """
    number_of = dict(stored)
    assert [number for _, number in stored] == list(range(1, len(stored) + 1)), "a gap or repeat"
    assert len(number_of) == len(stored), "an event is stored twice"
    appends = [call for call in calls if call.ids]
    assert number_of.keys() <= {id for call in appends for id in call.ids}, "nobody appended that"
    for call in appends:
        _check_append(call, number_of)
    _check_order(appends, number_of)
    _check_reads([call for call in calls if not call.ids], appends, number_of)


def _check_append(call: Call, number_of: dict[str, int]) -> None:
    found = tuple(number_of[id] for id in call.ids if id in number_of)
    if call.answered is not None:
        assert found == call.numbers, f"{call} was acknowledged, and is stored as {found}"
    if found:
        whole = tuple(range(found[0], found[0] + len(call.ids)))
        assert found == whole, f"{call} is stored in pieces: {found}"


def _check_order(appends: Sequence[Call], number_of: dict[str, int]) -> None:
    """What was acknowledged before another call was made has the smaller number."""
    answered = sorted(
        (call.answered, call.numbers[-1]) for call in appends if call.answered is not None
    )
    highest, done = 0, 0
    for call in sorted(appends, key=lambda call: call.called):
        while done < len(answered) and answered[done][0] < call.called:
            highest = max(highest, answered[done][1])
            done += 1
        first = number_of.get(call.ids[0])
        assert first is None or first > highest, (
            f"{call} has the number {first}, and was made when {highest} had been given"
        )


def _check_reads(reads: Sequence[Call], appends: Sequence[Call], number_of: dict[str, int]) -> None:
    """A read sees what was acknowledged or read before it was made, and nothing of the future."""
    seen = sorted(
        (call.answered, call.numbers[-1])
        for call in (*reads, *appends)
        if call.answered is not None and call.numbers
    )
    called = {number_of[id]: call.called for call in appends for id in call.ids if id in number_of}
    highest, done = 0, 0
    for read in sorted(reads, key=lambda call: call.called):
        if read.answered is None:
            continue
        while done < len(seen) and seen[done][0] < read.called:
            highest = max(highest, seen[done][1])
            done += 1
        last = len(read.numbers)
        assert read.numbers == tuple(range(1, last + 1)), f"a read has seen a gap: {read.numbers}"
        assert last >= highest, f"{read} has seen {last} when {highest} had been told of"
        assert all(called[number] < read.answered for number in read.numbers), "from the future"
