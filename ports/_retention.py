"""How long what is stored is kept, and what maintenance says about a store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from ._errors import InvalidEventType, InvalidStatus, ValidationError
from ._event import EVENT_TYPES
from ._record import Record
from ._session import SESSION_STATUSES, Session
from ._validation import (
    check_choice,
    check_count,
    check_id,
    check_map,
    check_number,
    check_text,
    refuse,
)

__all__ = [
    "FINISHED",
    "PROBLEM_KINDS",
    "MaintenanceReport",
    "Problem",
    "RetentionPolicy",
    "policy_argument",
]

FINISHED = frozenset({"completed", "failed", "cancelled"})
"""The statuses of sessions in which nothing happens any more."""

PROBLEM_KINDS = frozenset(
    {
        "sequence_gap",
        "sequence_behind",
        "pruned_events_present",
        "orphaned_runs",
        "orphaned_events",
    }
)
"""What a health check can find."""


@dataclass(frozen=True, kw_only=True)
class RetentionPolicy(Record):
    """How long sessions and events are kept.

    An exempt session is left alone, whatever the rest of the policy says.

    Args:
        max_finished_session_age_days: So many days after its last change (`updated_at`), a session
            that is completed, failed or cancelled gets its `deleted_at`, and so leaves the
            listings. None: never.
        hard_delete_after_days: So many days after its `deleted_at`, a session is deleted with its
            runs and events. None: never.
        max_events_per_session: A session that has more events loses as many as it has too many.
            None: however many it has.
        exempt_statuses: Sessions with one of these statuses are exempt.
        exempt_tags: Sessions with one of these tags are exempt.
        prune_event_types_first: Of the events, those of these types go first. Apart from that, the
            oldest do.
        batch_size: How many sessions, or events, are changed or removed at a time; between one time
            and the next, others use the store.

    Raises:
        InvalidStatus: A status is unknown.
        InvalidEventType: An event type is unknown.
        ValidationError: Another argument cannot be what it is. Days are numbers from 0 on, counts
            are integers, from 0 (events) or 1 (batches) on.

    """

    max_finished_session_age_days: float | None = 90
    hard_delete_after_days: float | None = 30
    max_events_per_session: int | None = None
    exempt_statuses: tuple[str, ...] = ("active", "paused")
    exempt_tags: tuple[str, ...] = ("pinned",)
    prune_event_types_first: tuple[str, ...] = ("message_streamed", "token_usage_updated")
    batch_size: int = 100

    def __post_init__(self) -> None:
        self._check_days("max_finished_session_age_days")
        self._check_days("hard_delete_after_days")
        if self.max_events_per_session is not None:
            check_count(self.max_events_per_session, "RetentionPolicy.max_events_per_session")
        check_count(self.batch_size, "RetentionPolicy.batch_size", 1)
        self._check_texts("exempt_statuses", _session_status)
        self._check_texts("exempt_tags", check_text)
        self._check_texts("prune_event_types_first", _event_type)

    def is_exempt(self, session: Session) -> bool:
        """Tell whether the policy leaves a session alone."""
        return session.status in self.exempt_statuses or not set(self.exempt_tags).isdisjoint(
            session.tags
        )

    def expired_before(self, now: datetime) -> datetime | None:
        """Return the moment before which finished sessions that are to go were changed last.

        None if there are none.
        """
        return _days_before(now, self.max_finished_session_age_days)

    def deleted_before(self, now: datetime) -> datetime | None:
        """Return the moment before which sessions that are to go for good got their `deleted_at`.

        None if there are none.
        """
        return _days_before(now, self.hard_delete_after_days)

    def is_expired(self, session: Session, now: datetime) -> bool:
        """Tell whether a session is to get its `deleted_at`."""
        before = self.expired_before(now)
        return (
            before is not None
            and session.deleted_at is None
            and session.status in FINISHED
            and session.updated_at <= before
            and not self.is_exempt(session)
        )

    def is_to_be_deleted(self, session: Session, now: datetime) -> bool:
        """Tell whether a session is to be deleted for good."""
        before = self.deleted_before(now)
        return (
            before is not None
            and session.deleted_at is not None
            and session.deleted_at <= before
            and not self.is_exempt(session)
        )

    def excess(self, event_count: int) -> int:
        """Return how many events a session has too many."""
        if self.max_events_per_session is None:
            return 0
        return max(event_count - self.max_events_per_session, 0)

    def _check_days(self, name: str) -> None:
        value = getattr(self, name)
        if value is not None and check_number(value, f"RetentionPolicy.{name}") < 0:
            refuse(f"RetentionPolicy.{name}", value, "a number of days, 0 or more, or None")

    def _check_texts(self, name: str, check: Callable[[object, str], str]) -> None:
        values = getattr(self, name)
        if not isinstance(values, (list, tuple, set, frozenset)):
            refuse(f"RetentionPolicy.{name}", values, "a list of texts")
        checked = [check(value, f"RetentionPolicy.{name}") for value in values]
        self._set(name, tuple(sorted(set(checked))))


@dataclass(frozen=True, kw_only=True)
class MaintenanceReport(Record):
    """What one execution of a policy has done.

    Args:
        sessions_soft_deleted: How many sessions got their `deleted_at`.
        sessions_hard_deleted: How many sessions were deleted with their runs and events.
        events_pruned: How many events of other sessions were removed.
        duration: How many seconds it took.

    """

    sessions_soft_deleted: int = 0
    sessions_hard_deleted: int = 0
    events_pruned: int = 0
    duration: float = 0.0

    def __post_init__(self) -> None:
        for name in ("sessions_soft_deleted", "sessions_hard_deleted", "events_pruned"):
            check_count(getattr(self, name), f"MaintenanceReport.{name}")
        check_number(self.duration, "MaintenanceReport.duration")


@dataclass(frozen=True, kw_only=True)
class Problem(Record):
    """Something that a health check has found.

    Args:
        kind: What it is, one of

            - `sequence_gap`: events of a session are gone that were not pruned,
            - `sequence_behind`: a session has, or had, events beyond the number that the store
              takes for its last, and would give out their numbers again,
            - `pruned_events_present`: a session has events whose numbers are said to be pruned,
            - `orphaned_runs`, `orphaned_events`: there are runs or events of a session that is not
              stored; which is allowed, and may be meant.

        session_id: The session.
        message: The same for people.
        details: The facts by name, JSON data.

    """

    _required: ClassVar = ("kind", "session_id", "message")

    kind: str
    session_id: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice(self.kind, "Problem.kind", PROBLEM_KINDS, ValidationError)
        check_id(self.session_id, "Problem.session_id")
        check_text(self.message, "Problem.message")
        self._set("details", check_map(self.details, "Problem.details"))

    def __str__(self) -> str:
        return self.message


def policy_argument(value: object) -> RetentionPolicy:
    """Return `value`, a `RetentionPolicy`."""
    if not isinstance(value, RetentionPolicy):
        refuse("policy", value, "of the type RetentionPolicy")
    return value


def _session_status(value: object, field: str) -> str:
    return check_choice(value, field, SESSION_STATUSES, InvalidStatus)


def _event_type(value: object, field: str) -> str:
    return check_choice(value, field, EVENT_TYPES, InvalidEventType)


def _days_before(now: datetime, days: float | None) -> datetime | None:
    if days is None:
        return None
    try:
        return now - timedelta(days=days)
    except OverflowError:  # before the year 1: nothing is as old as that
        return None
