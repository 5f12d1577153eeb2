"""The port of queries across sessions: searching, counting and adding up what is stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from datetime import datetime
from typing import ClassVar

from ._errors import StoreError
from ._event import Event
from ._idempotent import idempotent
from ._results import CostSummary, Page, SessionExport, SessionStats, UsageSummary
from ._run import Run
from ._session import Session

__all__ = ["SessionQuery"]


class SessionQuery(ABC):
    """Searches sessions, runs and events, whichever session they belong to, and adds up.

    Filters combine. One that takes a value takes a list or tuple of several as well, of which one
    has to match; an empty one matches nothing. `since` is an inclusive bound and `until` an
    exclusive one, so that periods which follow each other have nothing in common. Sessions that
    have their `deleted_at` set are left out by `search_sessions`; their runs and events count.

    A search gives a page, and the cursor for the page after it. A cursor is opaque, and good for
    the same operation with the same filters and the same order, in any process and whatever was
    stored meanwhile: what was there from the first page to the last, and did not change its place,
    comes exactly once. Sessions do change their place in the order of `updated_at`.

    Every operation raises

    - `ValidationError` for an argument of the wrong type or with a value that is not allowed,
    - `StorageError` if the store, or what is behind it, fails or has been closed;

    and every search

    - `InvalidCursor` if the cursor belongs to another search, or is none at all.
    """

    replies_with: ClassVar[tuple[type[BaseException], ...]] = (StoreError,)
    """The errors that are answers, and not bugs of the store."""

    # -- sessions --------------------------------------------------------------------------

    @idempotent
    @abstractmethod
    def search_sessions(
        self,
        *,
        agent_id: str | Collection[str] | None = None,
        status: str | Collection[str] | None = None,
        provider: str | Collection[str] | None = None,
        tags: str | Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        include_deleted: bool = False,
        order_by: str = "updated_at_desc",
        limit: int | None = 50,
        cursor: str | None = None,
        with_total: bool = False,
    ) -> Page[Session]:
        """Return a page of sessions.

        Args:
            agent_id: Only those of this agent.
            status: Only those with this status.
            provider: Only those that have a run of this provider.
            tags: Only those that have all of these tags.
            since: Only those created then or later (aware).
            until: Only those created before (aware).
            include_deleted: Also those whose `deleted_at` is set.
            order_by: `created_at_asc`, `created_at_desc`, `updated_at_asc` or `updated_at_desc`;
                of those of the same moment, the first inserted comes first, or last.
            limit: At most so many; None for all, 0 for none.
            cursor: The cursor of the page before; None for the first page.
            with_total: Whether to count how many all pages have.

        Raises:
            InvalidStatus: A status is unknown.

        """

    @idempotent
    @abstractmethod
    def get_session_stats(self, session_id: str) -> SessionStats:
        """Return what there is of a session, in numbers.

        Raises:
            SessionNotFound: There is none with this id.

        """

    @idempotent
    @abstractmethod
    def export_session(self, session_id: str) -> SessionExport:
        """Return a session with all its runs and events, as they are at one moment.

        One that is too large for a single answer is to be read page by page.

        Raises:
            SessionNotFound: There is none with this id.

        """

    # -- runs ------------------------------------------------------------------------------

    @idempotent
    @abstractmethod
    def search_runs(
        self,
        *,
        session_id: str | Collection[str] | None = None,
        agent_id: str | Collection[str] | None = None,
        status: str | Collection[str] | None = None,
        provider: str | Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order_by: str = "started_at_desc",
        limit: int | None = 50,
        cursor: str | None = None,
        with_total: bool = False,
    ) -> Page[Run]:
        """Return a page of runs.

        Args:
            session_id: Only those of this session.
            agent_id: Only those of sessions of this agent.
            status: Only those with this status.
            provider: Only those of this provider.
            since: Only those started then or later (aware).
            until: Only those started before (aware).
            order_by: `started_at_asc` or `started_at_desc`; of those of the same moment, the first
                inserted comes first, or last.
            limit: At most so many; None for all, 0 for none.
            cursor: The cursor of the page before; None for the first page.
            with_total: Whether to count how many all pages have.

        Raises:
            InvalidStatus: A status is unknown.

        """

    @idempotent
    @abstractmethod
    def get_usage_summary(
        self,
        *,
        session_id: str | Collection[str] | None = None,
        agent_id: str | Collection[str] | None = None,
        status: str | Collection[str] | None = None,
        provider: str | Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> UsageSummary:
        """Return what runs have used; the filters are those of `search_runs`.

        Raises:
            InvalidStatus: A status is unknown.

        """

    @idempotent
    @abstractmethod
    def get_cost_summary(
        self,
        *,
        session_id: str | Collection[str] | None = None,
        agent_id: str | Collection[str] | None = None,
        status: str | Collection[str] | None = None,
        provider: str | Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> CostSummary:
        """Return what runs have cost; the filters are those of `search_runs`.

        Raises:
            InvalidStatus: A status is unknown.

        """

    # -- events ----------------------------------------------------------------------------

    @idempotent
    @abstractmethod
    def search_events(
        self,
        *,
        session_id: str | Collection[str] | None = None,
        agent_id: str | Collection[str] | None = None,
        run_id: str | Collection[str] | None = None,
        type: str | Collection[str] | None = None,
        provider: str | Collection[str] | None = None,
        correlation_id: str | Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order_by: str = "timestamp_asc",
        limit: int | None = 100,
        cursor: str | None = None,
        with_total: bool = False,
    ) -> Page[Event]:
        """Return a page of events.

        Args:
            session_id: Only those of this session.
            agent_id: Only those of sessions of this agent.
            run_id: Only those of this run.
            type: Only those of this type.
            provider: Only those of this provider.
            correlation_id: Only those with this correlation id.
            since: Only those with this timestamp (aware) or a later one.
            until: Only those with an earlier timestamp (aware).
            order_by: `timestamp_asc` or `timestamp_desc`: by timestamp, session and number;
                `sequence_asc` or `sequence_desc`: by session and number.
            limit: At most so many; None for all, 0 for none.
            cursor: The cursor of the page before; None for the first page.
            with_total: Whether to count how many all pages have.

        Raises:
            InvalidEventType: A type is unknown.

        """

    @idempotent
    @abstractmethod
    def count_events(
        self,
        *,
        session_id: str | Collection[str] | None = None,
        agent_id: str | Collection[str] | None = None,
        run_id: str | Collection[str] | None = None,
        type: str | Collection[str] | None = None,
        provider: str | Collection[str] | None = None,
        correlation_id: str | Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """Return how many events there are; the filters are those of `search_events`.

        Raises:
            InvalidEventType: A type is unknown.

        """
