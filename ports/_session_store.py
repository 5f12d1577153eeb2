"""The port of sessions, runs and events: what every store of them offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import ClassVar

from ._errors import StoreError
from ._event import Event
from ._idempotent import idempotent
from ._run import Run
from ._session import Session

__all__ = ["SessionStore"]


class SessionStore(ABC):
    """Keeps sessions, their runs and their events.

    Every operation may be repeated safely, and raises

    - `ValidationError` for an argument of the wrong type or with a value that is not allowed,
    - `StorageError` if the store, or what is behind it, fails or has been closed.

    A store keeps copies: what a caller does later to the dicts of an object that it has handed in,
    or been handed, does not show in the store. Runs and events may be stored for a session that is
    not there. Lists are in order of creation (`created_at` or `started_at`, then insertion).
    """

    replies_with: ClassVar[tuple[type[BaseException], ...]] = (StoreError,)
    """The errors that are answers, and not bugs of the store."""

    # -- sessions --------------------------------------------------------------------------

    @idempotent
    @abstractmethod
    def save_session(self, session: Session) -> None:
        """Store a session, in place of the one with the same id if there is one."""

    @idempotent
    @abstractmethod
    def get_session(self, session_id: str) -> Session:
        """Return the session with this id, even if its `deleted_at` is set.

        Raises:
            SessionNotFound: There is none.

        """

    @idempotent
    @abstractmethod
    def list_sessions(
        self,
        *,
        status: str | None = None,
        agent_id: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        include_deleted: bool = False,
    ) -> list[Session]:
        """Return sessions in order of creation.

        Args:
            status: Only those with this status.
            agent_id: Only those of this agent.
            limit: At most so many; None for all, 0 for none.
            offset: How many to leave out at the beginning.
            include_deleted: Also those whose `deleted_at` is set.

        Raises:
            InvalidStatus: The status is unknown.
            ValidationError: `limit` or `offset` is negative.

        """

    @idempotent
    @abstractmethod
    def delete_session(self, session_id: str) -> None:
        """Delete a session with its runs, its events and its sequence; if it is there at all.

        Its ids are free again, and the sequence of a new session with this id begins at 1.
        """

    # -- runs ------------------------------------------------------------------------------

    @idempotent
    @abstractmethod
    def save_run(self, run: Run) -> None:
        """Store a run, in place of the one with the same id if there is one."""

    @idempotent
    @abstractmethod
    def get_run(self, run_id: str) -> Run:
        """Return the run with this id.

        Raises:
            RunNotFound: There is none.

        """

    @idempotent
    @abstractmethod
    def list_runs(
        self, session_id: str, *, status: str | None = None, limit: int | None = None
    ) -> list[Run]:
        """Return the runs of a session in the order of `started_at`; `[]` if it has none.

        Args:
            session_id: The session.
            status: Only those with this status.
            limit: At most so many; None for all, 0 for none.

        Raises:
            InvalidStatus: The status is unknown.
            ValidationError: `limit` is negative.

        """

    @idempotent
    @abstractmethod
    def get_active_run(self, session_id: str) -> Run | None:
        """Return that run of the session with status `running` that was started last, or None."""

    # -- events ----------------------------------------------------------------------------

    @idempotent
    @abstractmethod
    def append_event(self, event: Event) -> None:
        """Store an event at the end of its session.

        It is numbered as by `append_event_with_sequence`. An event whose id is stored already
        changes nothing.
        """

    @idempotent
    @abstractmethod
    def append_event_with_sequence(self, event: Event) -> Event:
        """Store an event at the end of its session, and return it as stored.

        Its `sequence_number` is the next one of its session: they go from 1 without a gap or a
        repetition, whoever appends. An event whose id is stored already, in whichever session,
        changes nothing, and is returned as it was first stored.
        """

    @idempotent
    @abstractmethod
    def append_events(self, events: Sequence[Event]) -> list[Event]:
        """Store several events, all or none, in their order, and return them as stored.

        The events may belong to several sessions. An id that is stored already, or comes twice, is
        treated as by `append_event_with_sequence`.
        """

    @idempotent
    @abstractmethod
    def flush(self, session: Session, run: Run, events: Sequence[Event]) -> None:
        """Save a session and a run, and append events: all of it or nothing."""

    @idempotent
    @abstractmethod
    def get_events(
        self,
        session_id: str,
        *,
        run_id: str | None = None,
        type: str | Collection[str] | None = None,
        since: datetime | None = None,
        after: int | None = None,
        before: int | None = None,
        limit: int | None = None,
        wait_timeout: float | None = None,
    ) -> list[Event]:
        """Return the events of a session in the order of their sequence numbers.

        Args:
            session_id: The session.
            run_id: Only those of this run.
            type: Only those of this type, or of one of these types: a list or a tuple. (A store in
                this process takes a set too; through a client that is BadCall, as any set is.)
            since: Only those with this timestamp (aware) or a later one.
            after: Only those with a higher sequence number.
            before: Only those with a lower sequence number.
            limit: At most so many, from the beginning; None for all, 0 for none.
            wait_timeout: How many seconds to wait for a match if there is none yet, for a session
                that does not exist yet, too. The result is `[]` if none came.

        Raises:
            InvalidEventType: A type is unknown.
            ValidationError: A bound is negative, or `since` has no time zone.

        """

    @idempotent
    @abstractmethod
    def get_latest_sequence(self, session_id: str) -> int:
        """Return the sequence number of the session's last event, 0 if it has none."""
