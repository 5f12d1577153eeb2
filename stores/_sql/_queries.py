"""Queries across sessions in a database, and the index of artifacts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ports import (
    ArtifactRecord,
    Event,
    Page,
    Run,
    Session,
    SessionExport,
    SessionNotFound,
    SessionStats,
)
from ports._arguments import EventQuery, RunQuery
from ports._filters import ArtifactFilter, EventFilter, RunFilter, SessionFilter
from ports._moments import microseconds
from ports._paging import Paging
from ports._validation import now
from stores._queries import CheckedQueries, CheckedRegistry, no_artifact
from stores._totals import Costs, Usages

from ._connections import Connections
from ._driver import Cursor
from ._query_statements import Found, QueryStatements, Wanted
from ._rows import (
    Row,
    artifact_digest,
    artifact_of,
    artifact_row,
    event_of,
    moment_of,
    run_of,
    session_of,
)
from ._statements import Statements
from ._transaction import transaction

__all__ = ["SQLQueries", "SQLRegistry"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class SQLQueries(CheckedQueries):
    """What a database is asked across sessions."""

    _connections: Connections
    _statements: Statements
    _queries: QueryStatements

    def _page_of_sessions(self, wanted: SessionFilter, paging: Paging) -> Page[Session]:
        return self._page(wanted, paging, session_of)

    def _page_of_runs(self, wanted: RunFilter, paging: Paging) -> Page[Run]:
        return self._page(wanted, paging, run_of)

    def _page_of_events(self, wanted: EventFilter, paging: Paging) -> Page[Event]:
        return self._page(wanted, paging, event_of)

    def _page_of_artifacts(self, wanted: ArtifactFilter, paging: Paging) -> Page[ArtifactRecord]:
        return self._page(wanted, paging, artifact_of)

    def _number_of_events(self, wanted: EventFilter) -> int:
        return int(self._look(lambda cursor: _rows(cursor, self._queries.count(wanted)))[0][0])

    def _usages(self, wanted: RunFilter) -> Usages:
        return self._look(lambda cursor: self._usages_by(cursor, wanted))

    def _costs(self, wanted: RunFilter) -> Costs:
        return self._look(lambda cursor: self._costs_by(cursor, wanted))

    def _stats(self, session_id: str) -> SessionStats:
        return self._look(lambda cursor: self._stats_by(cursor, session_id))

    def _export(self, session_id: str) -> SessionExport:
        return self._look(lambda cursor: self._export_by(cursor, session_id))

    def _look(self, work: Callable[[Cursor], _Result]) -> _Result:
        """Return what `work` returns, to whom everything is as it is at one moment."""
        begin = self._queries.expressions.begin_reading
        return self._connections.read_apart(
            lambda cursor: transaction(self._connections, cursor, lambda: work(cursor), begin)
        )

    def _page(self, wanted: Wanted, paging: Paging, item_of: Callable[[Row], _Item]) -> Page[_Item]:
        width = len(paging.order.place)

        def look(cursor: Cursor) -> Page[_Item]:
            rows = _rows(cursor, self._queries.page(wanted, paging))
            placed = [(row[-width:], item_of(row[:-width])) for row in rows]
            total = None
            if paging.with_total:
                total = int(_rows(cursor, self._queries.count(wanted))[0][0])
            return paging.page(placed, total)

        return self._look(look)

    def _usages_by(self, cursor: Cursor, wanted: RunFilter) -> Usages:
        usages = Usages()
        for row in _rows(cursor, self._queries.usage(wanted)):
            self._queries.expressions.add_usage(usages, row)
        return usages

    def _costs_by(self, cursor: Cursor, wanted: RunFilter) -> Costs:
        costs = Costs()
        for provider, model, runs, with_cost, *total in _rows(cursor, self._queries.cost(wanted)):
            part = costs.add_count(provider, model, runs=runs, without_cost=runs - with_cost)
            part.merge(self._queries.expressions.total_of(tuple(total)))
        return costs

    def _stats_by(self, cursor: Cursor, session_id: str) -> SessionStats:
        self._session_by(cursor, session_id)
        key = (session_id,)
        ((events, first, last),) = _rows(cursor, (self._queries.event_stats, key))
        sequences = _rows(cursor, (self._statements.get_sequence, key))
        statuses = dict(sorted(_rows(cursor, (self._queries.run_statuses, key))))
        wanted = RunFilter.of(session_id=session_id)
        usages = self._usages_by(cursor, wanted)
        return SessionStats(
            session_id=session_id,
            event_count=events,
            latest_sequence=sequences[0][0] if sequences else 0,
            run_count=sum(statuses.values()),
            status_counts=statuses,
            providers_used=usages.providers,
            token_totals=usages.altogether().token_totals,
            total_cost_usd=self._costs_by(cursor, wanted).summary().total_cost_usd,
            first_event_at=None if first is None else moment_of(first),
            last_event_at=None if last is None else moment_of(last),
        )

    def _export_by(self, cursor: Cursor, session_id: str) -> SessionExport:
        session = self._session_by(cursor, session_id)
        runs = _rows(cursor, self._statements.list_runs(RunQuery.of(session_id)))
        events = _rows(cursor, self._statements.get_events(EventQuery.of(session_id)))
        return SessionExport(
            session=session, runs=list(map(run_of, runs)), events=list(map(event_of, events))
        )

    def _session_by(self, cursor: Cursor, session_id: str) -> Session:
        rows = _rows(cursor, (self._statements.get_session, (session_id,)))
        if not rows:
            raise SessionNotFound(
                f"no session has the id {session_id!r}", details={"session_id": session_id}
            )
        return session_of(rows[0])


class SQLRegistry(CheckedRegistry):
    """The index of artifacts that a database keeps."""

    _connections: Connections
    _statements: Statements

    def _put_artifact(self, record: ArtifactRecord) -> None:
        self._execute((self._statements.save_artifact, artifact_row(record)))

    def _artifact(self, key: str) -> ArtifactRecord:
        found = (self._statements.get_artifact, (artifact_digest(key),))
        rows = self._connections.read(lambda cursor: _rows(cursor, found))
        if not rows:
            raise no_artifact(key)
        return artifact_of(rows[0])

    def _mark_artifact(self, key: str) -> None:
        mark = self._statements.mark_artifact
        values = {"digest": artifact_digest(key), "moment": microseconds(now())}
        self._execute((mark.sql, mark.parameters(values)))

    def _forget_artifact(self, key: str) -> None:
        self._execute((self._statements.delete_artifact, (artifact_digest(key),)))

    def _execute(self, statement: Found) -> None:
        self._connections.write(lambda cursor: cursor.execute(*statement))


def _rows(cursor: Cursor, statement: Found) -> list[Any]:
    cursor.execute(*statement)
    return cursor.fetchall()
