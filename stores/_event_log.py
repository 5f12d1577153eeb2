"""The events of one session in memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator

from ports import Event
from stores._pruned import Range, with_numbers

__all__ = ["EventLog"]


class EventLog:
    """Events in the order of their numbers, from 1; some may have been pruned.

    Attributes:
        last: The last number that was given out, 0 before the first one.
        events: Those that there are.
        pruned: The numbers of those that were pruned.

    """

    __slots__ = ("events", "last", "pruned")

    def __init__(self) -> None:
        self.last = 0
        self.events: list[Event] = []
        self.pruned: list[Range] = []

    def append(self, event: Event) -> None:
        """Add an event that has the next number."""
        self.events.append(event)
        self.last += 1

    def between(self, after: int, before: int | None) -> Iterator[Event]:
        """Return the events with higher numbers than `after`, and lower ones than `before`."""
        return map(self.events.__getitem__, range(self._end(after), self._begin(before)))

    def prune(self, numbers: Collection[int]) -> list[Event]:
        """Remove the events that have one of these numbers; return those that were there."""
        if not numbers:
            return []
        begin, end = bisect_left(self.events, min(numbers), key=_number), self._end(max(numbers))
        chosen = set(numbers)
        window = self.events[begin:end]
        self.events[begin:end] = [event for event in window if _number(event) not in chosen]
        removed = [event for event in window if _number(event) in chosen]
        self.pruned = with_numbers(self.pruned, map(_number, removed))
        return removed

    def _end(self, number: int) -> int:
        """Return the index behind the event with this number, or where it would be."""
        if self.last == len(self.events):  # none is missing: the usual case
            return min(number, self.last)
        return bisect_right(self.events, number, key=_number)

    def _begin(self, before: int | None) -> int:
        if before is None:
            return len(self.events)
        return self._end(max(before - 1, 0))


def _number(event: Event) -> int:
    return event.sequence_number or 0
