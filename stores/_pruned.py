"""Which events of a session were pruned, and what is wrong with its numbers otherwise.

The numbers of pruned events are kept as ranges, sorted, that neither overlap nor touch. There are
hardly more of them than there are events left, for between two of them is one that is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from ports import Problem

__all__ = [
    "MOST_PROBLEMS",
    "Range",
    "orphans",
    "sequence_problems",
    "size",
    "sorted_problems",
    "with_numbers",
]

MOST_PROBLEMS = 1000
"""So many problems are told of at a time."""

Range: TypeAlias = tuple[int, int]
"""The first and the last number; both are in it."""

# So many numbers, or ranges, are listed in a problem.
_SHOWN = 20


def with_numbers(ranges: Iterable[Range], numbers: Iterable[int]) -> list[Range]:
    """Return ranges that hold what these hold, and these numbers."""
    merged: list[Range] = []
    for first, last in sorted([*ranges, *((number, number) for number in numbers)]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def size(ranges: Iterable[Range]) -> int:
    """Return how many numbers there are in ranges."""
    return sum(last - first + 1 for first, last in ranges)


def sequence_problems(
    session_id: str, last: int, numbers: Sequence[int], pruned: Sequence[Range]
) -> list[Problem]:
    """Return what is wrong with the numbers of a session.

    Args:
        session_id: The session.
        last: The number that the store takes for the last it has given out.
        numbers: Those of the events that there are, sorted.
        pruned: Those of the events that were pruned.

    """
    problems = []
    highest = max(numbers[-1] if numbers else 0, pruned[-1][1] if pruned else 0)
    if highest > last:
        problems.append(
            Problem(
                kind="sequence_behind",
                session_id=session_id,
                message=f"session {session_id!r} has or had an event with the number {highest}, "
                f"and the last number that was given out is said to be {last}",
                details={"last": last, "found": highest},
            )
        )
    present = with_numbers([], numbers)
    both = _common(present, pruned)
    if both:
        problems.append(
            _of_numbers(
                "pruned_events_present",
                session_id,
                both,
                lambda count: f"has {count} whose numbers are said to be pruned",
            )
        )
    missing = _gaps(with_numbers([*present, *pruned], []), last)
    if missing:
        problems.append(
            _of_numbers(
                "sequence_gap", session_id, missing, lambda count: f"lacks {count} never pruned"
            )
        )
    return problems


def orphans(kind: str, session_id: str, count: int) -> Problem:
    """Return the problem that a session has runs or events, and is not stored itself.

    Args:
        kind: `"runs"` or `"events"`.
        session_id: The session.
        count: How many it has.

    """
    shown = kind.removesuffix("s") if count == 1 else kind
    return Problem(
        kind=f"orphaned_{kind}",
        session_id=session_id,
        message=f"session {session_id!r} is not stored, and has {count} {shown}",
        details={"count": count},
    )


def sorted_problems(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems in the order in which they are told of."""
    return sorted(problems, key=lambda problem: (problem.session_id, problem.kind))


def _gaps(ranges: Sequence[Range], last: int) -> list[Range]:
    """Return what is missing between 1 and the last number."""
    gaps = []
    expected = 1
    for first, end in ranges:
        if expected < first and expected <= last:
            gaps.append((expected, min(first - 1, last)))
        expected = end + 1
    if expected <= last:
        gaps.append((expected, last))
    return gaps


def _common(ones: Sequence[Range], others: Sequence[Range]) -> list[Range]:
    common = []
    one = other = 0
    while one < len(ones) and other < len(others):
        first = max(ones[one][0], others[other][0])
        last = min(ones[one][1], others[other][1])
        if first <= last:
            common.append((first, last))
        if ones[one][1] < others[other][1]:
            one += 1
        else:
            other += 1
    return common


def _of_numbers(
    kind: str, session_id: str, ranges: Sequence[Range], says: Callable[[str], str]
) -> Problem:
    count = size(ranges)
    events = "1 event" if count == 1 else f"{count} events"
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in ranges[:_SHOWN]]
    more = ", ..." if len(ranges) > _SHOWN else ""
    return Problem(
        kind=kind,
        session_id=session_id,
        message=f"session {session_id!r} {says(events)}: {', '.join(shown)}{more}",
        details={"count": count, "ranges": [list(each) for each in ranges[:_SHOWN]]},
    )
