"""Queries, maintenance and the index of artifacts, as far as they are the same for every store.

The operations check what they are given; a store answers what is left of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from datetime import datetime

from ports import (
    ArtifactRecord,
    ArtifactRegistry,
    CostSummary,
    Event,
    NotFound,
    Page,
    Run,
    Session,
    SessionExport,
    SessionQuery,
    SessionStats,
    UsageSummary,
)
from ports._arguments import artifact_key, artifact_record_argument, session_id_argument
from ports._filters import (
    ARTIFACT_ORDERS,
    EVENT_ORDERS,
    RUN_ORDERS,
    SESSION_ORDERS,
    ArtifactFilter,
    EventFilter,
    RunFilter,
    SessionFilter,
)
from ports._paging import Paging
from ports._validation import show
from stores._totals import Costs, Usages

__all__ = ["CheckedQueries", "CheckedRegistry", "no_artifact"]

_Texts = str | Collection[str] | None


class CheckedQueries(SessionQuery):
    """Checks the arguments of queries."""

    def search_sessions(
        self,
        *,
        agent_id: _Texts = None,
        status: _Texts = None,
        provider: _Texts = None,
        tags: _Texts = None,
        since: datetime | None = None,
        until: datetime | None = None,
        include_deleted: bool = False,
        order_by: str = "updated_at_desc",
        limit: int | None = 50,
        cursor: str | None = None,
        with_total: bool = False,
    ) -> Page[Session]:
        """Return a page of sessions; see `SessionQuery.search_sessions`."""
        wanted = SessionFilter.of(
            agent_id=agent_id,
            status=status,
            provider=provider,
            tags=tags,
            since=since,
            until=until,
            include_deleted=include_deleted,
        )
        paging = Paging.of(
            SESSION_ORDERS,
            wanted,
            order_by=order_by,
            limit=limit,
            cursor=cursor,
            with_total=with_total,
        )
        return self._page_of_sessions(wanted, paging)

    def get_session_stats(self, session_id: str) -> SessionStats:
        """Return a session in numbers; see `SessionQuery.get_session_stats`."""
        return self._stats(session_id_argument(session_id))

    def export_session(self, session_id: str) -> SessionExport:
        """Return all there is of a session; see `SessionQuery.export_session`."""
        return self._export(session_id_argument(session_id))

    def search_runs(
        self,
        *,
        session_id: _Texts = None,
        agent_id: _Texts = None,
        status: _Texts = None,
        provider: _Texts = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order_by: str = "started_at_desc",
        limit: int | None = 50,
        cursor: str | None = None,
        with_total: bool = False,
    ) -> Page[Run]:
        """Return a page of runs; see `SessionQuery.search_runs`."""
        wanted = RunFilter.of(
            session_id=session_id,
            agent_id=agent_id,
            status=status,
            provider=provider,
            since=since,
            until=until,
        )
        paging = Paging.of(
            RUN_ORDERS,
            wanted,
            order_by=order_by,
            limit=limit,
            cursor=cursor,
            with_total=with_total,
        )
        return self._page_of_runs(wanted, paging)

    def get_usage_summary(
        self,
        *,
        session_id: _Texts = None,
        agent_id: _Texts = None,
        status: _Texts = None,
        provider: _Texts = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> UsageSummary:
        """Return what runs have used; see `SessionQuery.get_usage_summary`."""
        wanted = RunFilter.of(
            session_id=session_id,
            agent_id=agent_id,
            status=status,
            provider=provider,
            since=since,
            until=until,
        )
        return self._usages(wanted).summary()

    def get_cost_summary(
        self,
        *,
        session_id: _Texts = None,
        agent_id: _Texts = None,
        status: _Texts = None,
        provider: _Texts = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> CostSummary:
        """Return what runs have cost; see `SessionQuery.get_cost_summary`."""
        wanted = RunFilter.of(
            session_id=session_id,
            agent_id=agent_id,
            status=status,
            provider=provider,
            since=since,
            until=until,
        )
        return self._costs(wanted).summary()

    def search_events(
        self,
        *,
        session_id: _Texts = None,
        agent_id: _Texts = None,
        run_id: _Texts = None,
        type: _Texts = None,
        provider: _Texts = None,
        correlation_id: _Texts = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order_by: str = "timestamp_asc",
        limit: int | None = 100,
        cursor: str | None = None,
        with_total: bool = False,
    ) -> Page[Event]:
        """Return a page of events; see `SessionQuery.search_events`."""
        wanted = EventFilter.of(
            session_id=session_id,
            agent_id=agent_id,
            run_id=run_id,
            type=type,
            provider=provider,
            correlation_id=correlation_id,
            since=since,
            until=until,
        )
        paging = Paging.of(
            EVENT_ORDERS,
            wanted,
            order_by=order_by,
            limit=limit,
            cursor=cursor,
            with_total=with_total,
        )
        return self._page_of_events(wanted, paging)

    def count_events(
        self,
        *,
        session_id: _Texts = None,
        agent_id: _Texts = None,
        run_id: _Texts = None,
        type: _Texts = None,
        provider: _Texts = None,
        correlation_id: _Texts = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """Return how many events there are; see `SessionQuery.count_events`."""
        wanted = EventFilter.of(
            session_id=session_id,
            agent_id=agent_id,
            run_id=run_id,
            type=type,
            provider=provider,
            correlation_id=correlation_id,
            since=since,
            until=until,
        )
        return self._number_of_events(wanted)

    @abstractmethod
    def _page_of_sessions(self, wanted: SessionFilter, paging: Paging) -> Page[Session]: ...

    @abstractmethod
    def _stats(self, session_id: str) -> SessionStats: ...

    @abstractmethod
    def _export(self, session_id: str) -> SessionExport: ...

    @abstractmethod
    def _page_of_runs(self, wanted: RunFilter, paging: Paging) -> Page[Run]: ...

    @abstractmethod
    def _usages(self, wanted: RunFilter) -> Usages: ...

    @abstractmethod
    def _costs(self, wanted: RunFilter) -> Costs: ...

    @abstractmethod
    def _page_of_events(self, wanted: EventFilter, paging: Paging) -> Page[Event]: ...

    @abstractmethod
    def _number_of_events(self, wanted: EventFilter) -> int: ...


class CheckedRegistry(ArtifactRegistry):
    """Checks the arguments of the operations on an index of artifacts."""

    def register_artifact(self, record: ArtifactRecord) -> None:
        """Store an entry; see `ArtifactRegistry.register_artifact`."""
        self._put_artifact(artifact_record_argument(record))

    def get_artifact(self, key: str) -> ArtifactRecord:
        """Return an entry; see `ArtifactRegistry.get_artifact`."""
        return self._artifact(artifact_key(key))

    def list_artifacts(
        self,
        *,
        session_id: _Texts = None,
        run_id: _Texts = None,
        backend: _Texts = None,
        include_deleted: bool = False,
        order_by: str = "created_at_asc",
        limit: int | None = 50,
        cursor: str | None = None,
        with_total: bool = False,
    ) -> Page[ArtifactRecord]:
        """Return a page of entries; see `ArtifactRegistry.list_artifacts`."""
        wanted = ArtifactFilter.of(
            session_id=session_id,
            run_id=run_id,
            backend=backend,
            include_deleted=include_deleted,
        )
        paging = Paging.of(
            ARTIFACT_ORDERS,
            wanted,
            order_by=order_by,
            limit=limit,
            cursor=cursor,
            with_total=with_total,
        )
        return self._page_of_artifacts(wanted, paging)

    def mark_artifact_deleted(self, key: str) -> None:
        """Delete an entry softly; see `ArtifactRegistry.mark_artifact_deleted`."""
        self._mark_artifact(artifact_key(key))

    def forget_artifact(self, key: str) -> None:
        """Remove an entry; see `ArtifactRegistry.forget_artifact`."""
        self._forget_artifact(artifact_key(key))

    @abstractmethod
    def _put_artifact(self, record: ArtifactRecord) -> None: ...

    @abstractmethod
    def _artifact(self, key: str) -> ArtifactRecord: ...

    @abstractmethod
    def _page_of_artifacts(
        self, wanted: ArtifactFilter, paging: Paging
    ) -> Page[ArtifactRecord]: ...

    @abstractmethod
    def _mark_artifact(self, key: str) -> None: ...

    @abstractmethod
    def _forget_artifact(self, key: str) -> None: ...


def no_artifact(key: str) -> NotFound:
    """Return the error that no artifact is registered under a key."""
    shown = show(key)
    return NotFound(f"no artifact is registered under {shown}", details={"key": shown})
