"""Checks of what the operations of a store are given: every backend runs the same ones.

Each returns the value to work with, and raises a `ValidationError` (or its subclass for statuses
and event types) that names the argument, the value and what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self, TypeVar

from ._artifact_record import ArtifactRecord, check_key
from ._errors import InvalidEventType, InvalidStatus
from ._event import EVENT_TYPES, Event
from ._run import RUN_STATUSES, Run
from ._session import SESSION_STATUSES, Session
from ._validation import (
    check_choice,
    check_count,
    check_flag,
    check_id,
    check_moment,
    check_number,
    refuse,
)

__all__ = [
    "EventQuery",
    "RunQuery",
    "SessionListing",
    "artifact_data",
    "artifact_key",
    "artifact_record_argument",
    "event_argument",
    "events_argument",
    "run_argument",
    "run_id_argument",
    "session_argument",
    "session_id_argument",
    "wait_argument",
]

# Thirty years and some; clocks and locks refuse to wait for what comes near the end of time.
_LONGEST_WAIT = 1e9

_Item = TypeVar("_Item", Session, Run, Event, ArtifactRecord)


def session_argument(value: object) -> Session:
    """Return `value`, a `Session`."""
    return _instance(value, "session", Session)


def run_argument(value: object) -> Run:
    """Return `value`, a `Run`."""
    return _instance(value, "run", Run)


def event_argument(value: object) -> Event:
    """Return `value`, an `Event`."""
    return _instance(value, "event", Event)


def events_argument(value: object) -> list[Event]:
    """Return the events of any iterable as a list."""
    if not isinstance(value, Iterable):
        refuse("events", value, "a list of Events")
    return [_instance(event, "events", Event) for event in value]


def session_id_argument(value: object) -> str:
    """Return `value`, a text that is not empty."""
    return check_id(value, "session_id")


def run_id_argument(value: object) -> str:
    """Return `value`, a text that is not empty."""
    return check_id(value, "run_id")


def wait_argument(value: object) -> float | None:
    """Return `value`, seconds from 0 on, as a float that locks and timers accept; or None."""
    if value is None:
        return None
    seconds = check_number(value, "wait_timeout")
    if seconds < 0:
        refuse("wait_timeout", value, "a number of seconds, 0 or more, or None")
    return float(min(seconds, _LONGEST_WAIT))


def _instance(value: object, name: str, of: type[_Item]) -> _Item:
    if not isinstance(value, of):
        refuse(name, value, f"of the type {of.__name__}")
    return value


@dataclass(frozen=True, slots=True)
class SessionListing:
    """What `list_sessions` is asked for, checked."""

    status: str | None
    agent_id: str | None
    limit: int | None
    offset: int
    include_deleted: bool

    @classmethod
    def of(
        cls,
        *,
        status: object = None,
        agent_id: object = None,
        limit: object = None,
        offset: object = 0,
        include_deleted: object = False,
    ) -> Self:
        """Check the arguments of `list_sessions`."""
        if status is not None:
            status = check_choice(status, "status", SESSION_STATUSES, InvalidStatus)
        return cls(
            status,
            None if agent_id is None else check_id(agent_id, "agent_id"),
            None if limit is None else check_count(limit, "limit"),
            check_count(offset, "offset"),
            check_flag(include_deleted, "include_deleted"),
        )

    def matches(self, session: Session) -> bool:
        """Tell whether the session is asked for; `limit` and `offset` are left to the caller."""
        return (
            (self.include_deleted or session.deleted_at is None)
            and (self.status is None or session.status == self.status)
            and (self.agent_id is None or session.agent_id == self.agent_id)
        )


@dataclass(frozen=True, slots=True)
class RunQuery:
    """What `list_runs` is asked for, checked."""

    session_id: str
    status: str | None
    limit: int | None

    @classmethod
    def of(cls, session_id: object, *, status: object = None, limit: object = None) -> Self:
        """Check the arguments of `list_runs`."""
        if status is not None:
            status = check_choice(status, "status", RUN_STATUSES, InvalidStatus)
        return cls(
            session_id_argument(session_id),
            status,
            None if limit is None else check_count(limit, "limit"),
        )

    def matches(self, run: Run) -> bool:
        """Tell whether the run is asked for; `limit` is left to the caller."""
        return run.session_id == self.session_id and (
            self.status is None or run.status == self.status
        )


@dataclass(frozen=True, slots=True)
class EventQuery:
    """What `get_events` is asked for, checked; how long to wait for it is not part of it."""

    session_id: str
    run_id: str | None
    types: frozenset[str] | None
    since: datetime | None
    after: int | None
    before: int | None
    limit: int | None

    @classmethod
    def of(
        cls,
        session_id: object,
        *,
        run_id: object = None,
        type: object = None,
        since: object = None,
        after: object = None,
        before: object = None,
        limit: object = None,
    ) -> Self:
        """Check the arguments of `get_events`."""
        return cls(
            session_id_argument(session_id),
            None if run_id is None else check_id(run_id, "run_id"),
            None if type is None else _event_types(type),
            None if since is None else check_moment(since, "since"),
            None if after is None else check_count(after, "after"),
            None if before is None else check_count(before, "before"),
            None if limit is None else check_count(limit, "limit"),
        )

    @property
    def never_matches(self) -> bool:
        """Whether no event at all can be asked for, so that waiting for one is in vain."""
        return (
            self.limit == 0
            or (self.types is not None and not self.types)
            or (self.before is not None and self.before <= (self.after or 0) + 1)
        )

    def matches(self, event: Event) -> bool:
        """Tell whether a stored event is asked for; `limit` is left to the caller."""
        number = event.sequence_number or 0
        return (
            event.session_id == self.session_id
            and (self.after is None or number > self.after)
            and (self.before is None or number < self.before)
            and (self.run_id is None or event.run_id == self.run_id)
            and (self.types is None or event.type in self.types)
            and (self.since is None or event.timestamp >= self.since)
        )


def _event_types(value: object) -> frozenset[str]:
    several = value if isinstance(value, (list, tuple, set, frozenset)) else (value,)
    return frozenset(check_choice(one, "type", EVENT_TYPES, InvalidEventType) for one in several)


def artifact_key(value: object) -> str:
    """Return `value`, any text that is not empty: NUL and lone surrogates are as good as others."""
    return check_key(value, "key")


def artifact_record_argument(value: object) -> ArtifactRecord:
    """Return `value`, an `ArtifactRecord`."""
    return _instance(value, "record", ArtifactRecord)


def artifact_data(value: object) -> list[memoryview]:
    """Return what is to be put as flat views of bytes, to be written one after the other.

    Args:
        value: Any object with a buffer (bytes, bytearray, memoryview, array...), or a list or
            tuple of them. The views share its memory.

    """
    parts: Iterable[Any] = value if isinstance(value, (list, tuple)) else (value,)
    return [_flat_view(part) for part in parts]


def _flat_view(part: Any) -> memoryview:
    try:
        view = memoryview(part)
    except TypeError:
        refuse("data", part, "bytes or another object with a buffer, or a list of them")
    if view.format == "B" and view.ndim == 1 and view.contiguous:
        return view
    if view.nbytes == 0 or not view.c_contiguous:
        return memoryview(view.tobytes())
    return _cast(view)


def _cast(view: memoryview) -> memoryview:
    try:
        return view.cast("B")
    except TypeError:  # a format that has no native type
        return memoryview(view.tobytes())
