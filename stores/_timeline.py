"""Sessions and runs in the order in which listings have them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from datetime import datetime
from typing import Generic, TypeAlias, TypeVar

from ports import Run, Session

__all__ = ["RunTimelines", "Timeline"]

_Kept = TypeVar("_Kept", Session, Run)

# The moment of an object, its number in the order of insertion, and its id.
_Place: TypeAlias = tuple[datetime, int, str]


class Timeline(Generic[_Kept]):
    """Objects by id, in the order of a moment that each has, then of insertion.

    What is newer than all before it, as most is, goes to the end in no time.
    """

    def __init__(self) -> None:
        self._places: list[_Place] = []
        self._by_id: dict[str, tuple[_Place, _Kept]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[_Kept]:
        return (self._by_id[place[2]][1] for place in self._places)

    def numbered(self) -> list[tuple[int, _Kept]]:
        """Return all objects, each with its number in the order of insertion."""
        return [(place[1], kept) for place, kept in self._by_id.values()]

    def get(self, id: str) -> _Kept | None:
        """Return the object with this id, if there is one."""
        entry = self._by_id.get(id)
        return None if entry is None else entry[1]

    def last(self) -> _Kept | None:
        """Return the last object, if there is any."""
        return self._by_id[self._places[-1][2]][1] if self._places else None

    def number_of(self, id: str) -> int | None:
        """Return the number with which the object was put, if it is there."""
        entry = self._by_id.get(id)
        return None if entry is None else entry[0][1]

    def put(self, kept: _Kept, moment: datetime, number: int) -> None:
        """Add an object, or replace the one with the same id.

        Args:
            kept: The object.
            moment: What decides its place.
            number: Its number in the order of insertion, for those of the same moment.

        """
        place = (moment, number, kept.id)
        entry = self._by_id.get(kept.id)
        if entry is None or entry[0] != place:
            self.discard(kept.id)
            insort(self._places, place)
        self._by_id[kept.id] = (place, kept)

    def discard(self, id: str) -> None:
        """Remove the object with this id, if there is one."""
        entry = self._by_id.pop(id, None)
        if entry is not None:
            del self._places[bisect_left(self._places, entry[0])]


class RunTimelines:
    """Runs by id, and a timeline of them for each session."""

    def __init__(self) -> None:
        self._inserted = 0
        self._by_id: dict[str, tuple[int, Run]] = {}
        self._all: dict[str, Timeline[Run]] = {}
        self._running: dict[str, Timeline[Run]] = {}

    def get(self, id: str) -> Run | None:
        """Return the run with this id, if there is one."""
        entry = self._by_id.get(id)
        return None if entry is None else entry[1]

    def numbered(self) -> list[tuple[int, Run]]:
        """Return all runs, each with its number in the order of insertion."""
        return list(self._by_id.values())

    def of_session(self, session_id: str) -> Timeline[Run]:
        """Return the runs of a session."""
        return self._all.get(session_id) or Timeline[Run]()

    def last_running(self, session_id: str) -> Run | None:
        """Return that run of a session with status `running` that was started last."""
        running = self._running.get(session_id)
        return running.last() if running else None

    def put(self, run: Run) -> None:
        """Add a run, or replace the one with the same id, which may be another session's."""
        entry = self._by_id.get(run.id)
        if entry is None:
            number = self._inserted
            self._inserted += 1
        else:
            number, before = entry
            _discard(self._running, before)
            if before.session_id != run.session_id:
                _discard(self._all, before)
        self._by_id[run.id] = (number, run)
        _timeline(self._all, run).put(run, run.started_at, number)
        if run.status == "running":
            _timeline(self._running, run).put(run, run.started_at, number)

    def discard_session(self, session_id: str) -> None:
        """Remove all runs of a session."""
        self._running.pop(session_id, None)
        for run in self._all.pop(session_id, ()):
            del self._by_id[run.id]


def _timeline(timelines: dict[str, Timeline[Run]], run: Run) -> Timeline[Run]:
    return timelines.setdefault(run.session_id, Timeline[Run]())


def _discard(timelines: dict[str, Timeline[Run]], run: Run) -> None:
    """Remove a run, if it is there, and no timeline is left empty."""
    timeline = timelines.get(run.session_id)
    if timeline is not None:
        timeline.discard(run.id)
        if not timeline:
            del timelines[run.session_id]
