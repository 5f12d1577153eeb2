"""What queries are asked for, checked: every backend runs the same checks, and means the same.

Filters of the same kind of value are kept as sorted tuples, so that equal filters have equal reprs,
in every process: cursors depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self, TypeAlias

from ._artifact_record import ArtifactRecord
from ._errors import InvalidEventType, InvalidStatus
from ._event import EVENT_TYPES, Event
from ._paging import Order
from ._run import RUN_STATUSES, Run
from ._session import SESSION_STATUSES, Session
from ._validation import check_choice, check_flag, check_id, check_moment, check_text

__all__ = [
    "ARTIFACT_ORDERS",
    "EVENT_ORDERS",
    "RUN_ORDERS",
    "SESSION_ORDERS",
    "ArtifactFilter",
    "EventFilter",
    "RunFilter",
    "SessionFilter",
]

Texts: TypeAlias = tuple[str, ...]

# The second number of these places is that of insertion.
SESSION_ORDERS = {
    "created_at_asc": Order("created_at", (int, int), descending=False),
    "created_at_desc": Order("created_at", (int, int), descending=True),
    "updated_at_asc": Order("updated_at", (int, int), descending=False),
    "updated_at_desc": Order("updated_at", (int, int), descending=True),
}
RUN_ORDERS = {
    "started_at_asc": Order("started_at", (int, int), descending=False),
    "started_at_desc": Order("started_at", (int, int), descending=True),
}
# A moment, the session, and the number in it; or the session and the number.
EVENT_ORDERS = {
    "timestamp_asc": Order("timestamp", (int, str, int), descending=False),
    "timestamp_desc": Order("timestamp", (int, str, int), descending=True),
    "sequence_asc": Order("session_id", (str, int), descending=False),
    "sequence_desc": Order("session_id", (str, int), descending=True),
}
ARTIFACT_ORDERS = {
    "created_at_asc": Order("created_at", (int, int), descending=False),
    "created_at_desc": Order("created_at", (int, int), descending=True),
}


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions are asked for."""

    agent_ids: Texts | None
    statuses: Texts | None
    providers: Texts | None
    tags: Texts
    since: datetime | None
    until: datetime | None
    include_deleted: bool

    @classmethod
    def of(
        cls,
        *,
        agent_id: object = None,
        status: object = None,
        provider: object = None,
        tags: object = None,
        since: object = None,
        until: object = None,
        include_deleted: object = False,
    ) -> Self:
        """Check the filters of `search_sessions`."""
        return cls(
            _several(agent_id, "agent_id", check_id),
            _several(status, "status", _session_status),
            _several(provider, "provider", check_text),
            _several(tags, "tags", check_text) or (),
            _moment(since, "since"),
            _moment(until, "until"),
            check_flag(include_deleted, "include_deleted"),
        )

    def matches(self, session: Session, providers: Mapping[str, Collection[str | None]]) -> bool:
        """Tell whether a session is asked for.

        Args:
            session: The session.
            providers: Those of the runs of each session; not looked at unless they are asked for.

        """
        return (
            (self.include_deleted or session.deleted_at is None)
            and _is_one(session.agent_id, self.agent_ids)
            and _is_one(session.status, self.statuses)
            and all(tag in session.tags for tag in self.tags)
            and _is_within(session.created_at, self.since, self.until)
            and (
                self.providers is None
                or not set(providers.get(session.id, ())).isdisjoint(self.providers)
            )
        )


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are asked for."""

    session_ids: Texts | None
    agent_ids: Texts | None
    statuses: Texts | None
    providers: Texts | None
    since: datetime | None
    until: datetime | None

    @classmethod
    def of(
        cls,
        *,
        session_id: object = None,
        agent_id: object = None,
        status: object = None,
        provider: object = None,
        since: object = None,
        until: object = None,
    ) -> Self:
        """Check the filters of `search_runs` and of the summaries of runs."""
        return cls(
            _several(session_id, "session_id", check_id),
            _several(agent_id, "agent_id", check_id),
            _several(status, "status", _run_status),
            _several(provider, "provider", check_text),
            _moment(since, "since"),
            _moment(until, "until"),
        )

    def matches(self, run: Run, agents: Mapping[str, str]) -> bool:
        """Tell whether a run is asked for.

        Args:
            run: The run.
            agents: That of each session stored; not looked at unless they are asked for.

        """
        return (
            _is_one(run.session_id, self.session_ids)
            and _is_one(run.status, self.statuses)
            and _is_one(run.provider, self.providers)
            and _is_within(run.started_at, self.since, self.until)
            and (self.agent_ids is None or agents.get(run.session_id) in self.agent_ids)
        )


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are asked for."""

    session_ids: Texts | None
    agent_ids: Texts | None
    run_ids: Texts | None
    types: Texts | None
    providers: Texts | None
    correlation_ids: Texts | None
    since: datetime | None
    until: datetime | None

    @classmethod
    def of(
        cls,
        *,
        session_id: object = None,
        agent_id: object = None,
        run_id: object = None,
        type: object = None,
        provider: object = None,
        correlation_id: object = None,
        since: object = None,
        until: object = None,
    ) -> Self:
        """Check the filters of `search_events` and `count_events`."""
        return cls(
            _several(session_id, "session_id", check_id),
            _several(agent_id, "agent_id", check_id),
            _several(run_id, "run_id", check_id),
            _several(type, "type", _event_type),
            _several(provider, "provider", check_text),
            _several(correlation_id, "correlation_id", check_text),
            _moment(since, "since"),
            _moment(until, "until"),
        )

    def matches(self, event: Event, agents: Mapping[str, str]) -> bool:
        """Tell whether an event is asked for.

        Args:
            event: The event.
            agents: That of each session stored; not looked at unless they are asked for.

        """
        return (
            _is_one(event.session_id, self.session_ids)
            and _is_one(event.run_id, self.run_ids)
            and _is_one(event.type, self.types)
            and _is_one(event.provider, self.providers)
            and _is_one(event.correlation_id, self.correlation_ids)
            and _is_within(event.timestamp, self.since, self.until)
            and (self.agent_ids is None or agents.get(event.session_id) in self.agent_ids)
        )


@dataclass(frozen=True, slots=True)
class ArtifactFilter:
    """Which artifacts of an index are asked for."""

    session_ids: Texts | None
    run_ids: Texts | None
    backends: Texts | None
    include_deleted: bool

    @classmethod
    def of(
        cls,
        *,
        session_id: object = None,
        run_id: object = None,
        backend: object = None,
        include_deleted: object = False,
    ) -> Self:
        """Check the filters of `list_artifacts`."""
        return cls(
            _several(session_id, "session_id", check_id),
            _several(run_id, "run_id", check_id),
            _several(backend, "backend", check_id),
            check_flag(include_deleted, "include_deleted"),
        )

    def matches(self, record: ArtifactRecord) -> bool:
        """Tell whether an artifact is asked for."""
        return (
            (self.include_deleted or record.deleted_at is None)
            and _is_one(record.session_id, self.session_ids)
            and _is_one(record.run_id, self.run_ids)
            and _is_one(record.backend, self.backends)
        )


def _several(value: object, field: str, check: Callable[[object, str], str]) -> Texts | None:
    """Return the values of a filter, which is given as one value or several; None for any."""
    if value is None:
        return None
    several = value if isinstance(value, (list, tuple, set, frozenset)) else (value,)
    return tuple(sorted({check(one, field) for one in several}))


def _session_status(value: object, field: str) -> str:
    return check_choice(value, field, SESSION_STATUSES, InvalidStatus)


def _run_status(value: object, field: str) -> str:
    return check_choice(value, field, RUN_STATUSES, InvalidStatus)


def _event_type(value: object, field: str) -> str:
    return check_choice(value, field, EVENT_TYPES, InvalidEventType)


def _moment(value: object, field: str) -> datetime | None:
    return None if value is None else check_moment(value, field)


def _is_one(value: str | None, allowed: Texts | None) -> bool:
    return allowed is None or value in allowed


def _is_within(moment: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or moment >= since) and (until is None or moment < until)
