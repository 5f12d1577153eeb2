"""The statements of queries across sessions, for one kind of database.

There are as many as there are combinations of filters that are given, which is a bounded number:
how many values a filter has does not matter, for they are one parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache, cached_property
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Table,
    Text,
    bindparam,
    func,
    select,
    tuple_,
)

from ports._filters import ArtifactFilter, EventFilter, RunFilter, SessionFilter
from ports._moments import microseconds
from ports._paging import Order, Paging

from . import _schema as schema
from ._expressions import Expressions
from ._rows import LARGEST, Row
from ._statements import Statement, Statements

__all__ = ["Found", "QueryStatements", "Wanted", "query_statements"]

Wanted = SessionFilter | RunFilter | EventFilter | ArtifactFilter

_SESSIONS, _RUNS = schema.sessions.c, schema.runs.c
_EVENTS, _ARTIFACTS = schema.events.c, schema.artifacts.c

# A statement, and its parameters.
Found = tuple[str, Row]


class _Conditions:
    """What a query is asked for, as conditions by name, and the values of their parameters."""

    def __init__(self, expressions: Expressions) -> None:
        self._expressions = expressions
        self.by_name: dict[str, ColumnElement[bool]] = {}
        self.values: dict[str, Any] = {}

    def one_of(
        self,
        name: str,
        column: ColumnElement[Any],
        values: Sequence[str] | None,
        within: Callable[[ColumnElement[bool]], ColumnElement[bool]] | None = None,
    ) -> None:
        """Ask for one of some values, if any are given, as part of another condition or not."""
        if values is not None:
            condition = self._expressions.one_of(column, name)
            self.by_name[name] = condition if within is None else within(condition)
            self.values[name] = self._expressions.several(values)

    def within(
        self, column: ColumnElement[int], since: datetime | None, until: datetime | None
    ) -> None:
        """Ask for a period."""
        if since is not None:
            self.by_name["since"] = column >= _number("since")
            self.values["since"] = microseconds(since)
        if until is not None:
            self.by_name["until"] = column < _number("until")
            self.values["until"] = microseconds(until)

    def not_deleted(self, column: ColumnElement[Any]) -> None:
        """Leave out what is deleted softly."""
        self.by_name["not deleted"] = column.is_(None)

    def tags(self, tags: Sequence[str]) -> None:
        """Ask for all of some tags."""
        if tags:
            self.by_name["tags"] = self._expressions.has_all(_SESSIONS.tags, "tags")
            self.values["tags"] = self._expressions.several(tags)

    def agents(self, column: ColumnElement[str], agent_ids: Sequence[str] | None) -> None:
        """Ask for the sessions of some agents."""
        self.one_of(
            "agents",
            _SESSIONS.agent_id,
            agent_ids,
            lambda is_one: column.in_(select(_SESSIONS.id).where(is_one)),
        )


class QueryStatements:
    """The statements of queries, made when first used.

    Args:
        statements: Compiles them.
        expressions: What the database says differently.

    """

    def __init__(self, statements: Statements, expressions: Expressions) -> None:
        self._statements = statements
        self.expressions = expressions
        self._known: dict[tuple[object, ...], Statement] = {}

    def page(self, wanted: Wanted, paging: Paging) -> Found:
        """Return the query for a page and one item more; each row ends with its place."""
        conditions = self._conditions(wanted)
        values = {**conditions.values, "limit": _with_one_more(paging.limit)}
        if paging.after is not None:
            values |= {f"after{n}": value for n, value in enumerate(paging.after)}
        order, is_first = paging.order, paging.after is None
        shape = ("page", type(wanted), *conditions.by_name, order, is_first)
        return self._found(
            shape, values, lambda: self._page_query(wanted, conditions, order, is_first=is_first)
        )

    def count(self, wanted: Wanted) -> Found:
        """Return the query for the number of what is asked for."""
        conditions = self._conditions(wanted)
        return self._found(
            ("count", type(wanted), *conditions.by_name),
            conditions.values,
            lambda: _count(_TABLES[type(wanted)], conditions),
        )

    def usage(self, wanted: RunFilter) -> Found:
        """Return the query for what runs have used."""
        conditions = self._conditions(wanted)
        return self._found(
            ("usage", *conditions.by_name),
            conditions.values,
            lambda: self.expressions.usage(conditions.by_name.values()),
        )

    def cost(self, wanted: RunFilter) -> Found:
        """Return the query for what runs have cost."""
        conditions = self._conditions(wanted)
        return self._found(
            ("cost", *conditions.by_name),
            conditions.values,
            lambda: self.expressions.cost(conditions.by_name.values()),
        )

    @cached_property
    def event_stats(self) -> str:
        """Ask for the number of events of a session, and the earliest and the latest moment."""
        moment = _EVENTS.timestamp
        figures: list[ColumnElement[Any]] = [func.count(), func.min(moment), func.max(moment)]
        query = select(*figures)
        return self._statements.compiled(query.where(_EVENTS.session_id == _text("id"))).sql

    @cached_property
    def run_statuses(self) -> str:
        """Ask for the number of runs of a session, by status."""
        query = select(_RUNS.status, func.count()).where(_RUNS.session_id == _text("id"))
        return self._statements.compiled(query.group_by(_RUNS.status)).sql

    def _found(
        self, shape: tuple[object, ...], values: dict[str, Any], make: Callable[[], Select[Any]]
    ) -> Found:
        statement = self._known.get(shape)
        if statement is None:
            statement = self._known[shape] = self._statements.compiled(make())
        return statement.sql, statement.parameters(values)

    def _page_query(
        self, wanted: Wanted, conditions: _Conditions, order: Order, *, is_first: bool
    ) -> Select[Any]:
        table = _TABLES[type(wanted)]
        names = [column.name for column in table.columns if column.name != "position"]
        place = self._place(table, order)
        query = select(*(table.c[name] for name in names), *place).where(
            *conditions.by_name.values()
        )
        if not is_first:
            marks = [
                bindparam(f"after{number}", type_=Text() if kind is str else BigInteger())
                for number, kind in enumerate(order.place)
            ]
            ours, last = tuple_(*place), tuple_(*marks)
            query = query.where(ours < last if order.descending else ours > last)
        ordered = [column.desc() if order.descending else column.asc() for column in place]
        return query.order_by(*ordered).limit(_number("limit"))

    def _place(self, table: Table, order: Order) -> list[ColumnElement[Any]]:
        if table is not schema.events:
            return [table.c[order.by], table.c.position]
        place: list[ColumnElement[Any]] = [
            self.expressions.in_byte_order(_EVENTS.session_id),
            _EVENTS.sequence_number,
        ]
        return [_EVENTS.timestamp, *place] if order.by == "timestamp" else place

    def _conditions(self, wanted: Wanted) -> _Conditions:
        conditions = _Conditions(self.expressions)
        if isinstance(wanted, SessionFilter):
            _of_sessions(conditions, wanted)
        elif isinstance(wanted, RunFilter):
            _of_runs(conditions, wanted)
        elif isinstance(wanted, EventFilter):
            _of_events(conditions, wanted)
        else:
            _of_artifacts(conditions, wanted)
        return conditions


@cache
def query_statements(statements: Statements, expressions: Expressions) -> QueryStatements:
    """Return the statements that all stores on one kind of database share."""
    return QueryStatements(statements, expressions)


_TABLES: dict[type, Table] = {
    SessionFilter: schema.sessions,
    RunFilter: schema.runs,
    EventFilter: schema.events,
    ArtifactFilter: schema.artifacts,
}


def _count(table: Table, conditions: _Conditions) -> Select[Any]:
    count: Select[Any] = select(func.count())
    return count.select_from(table).where(*conditions.by_name.values())


def _of_sessions(conditions: _Conditions, wanted: SessionFilter) -> None:
    conditions.one_of("agents", _SESSIONS.agent_id, wanted.agent_ids)
    conditions.one_of("statuses", _SESSIONS.status, wanted.statuses)
    conditions.one_of("providers", _RUNS.provider, wanted.providers, _has_run)
    conditions.tags(wanted.tags)
    conditions.within(_SESSIONS.created_at, wanted.since, wanted.until)
    if not wanted.include_deleted:
        conditions.not_deleted(_SESSIONS.deleted_at)


def _has_run(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    runs = select(_RUNS.position).where(_RUNS.session_id == _SESSIONS.id, condition)
    return runs.correlate(schema.sessions).exists()


def _of_runs(conditions: _Conditions, wanted: RunFilter) -> None:
    conditions.one_of("sessions", _RUNS.session_id, wanted.session_ids)
    conditions.agents(_RUNS.session_id, wanted.agent_ids)
    conditions.one_of("statuses", _RUNS.status, wanted.statuses)
    conditions.one_of("providers", _RUNS.provider, wanted.providers)
    conditions.within(_RUNS.started_at, wanted.since, wanted.until)


def _of_events(conditions: _Conditions, wanted: EventFilter) -> None:
    conditions.one_of("sessions", _EVENTS.session_id, wanted.session_ids)
    conditions.agents(_EVENTS.session_id, wanted.agent_ids)
    conditions.one_of("runs", _EVENTS.run_id, wanted.run_ids)
    conditions.one_of("types", _EVENTS.type, wanted.types)
    conditions.one_of("providers", _EVENTS.provider, wanted.providers)
    conditions.one_of("correlations", _EVENTS.correlation_id, wanted.correlation_ids)
    conditions.within(_EVENTS.timestamp, wanted.since, wanted.until)


def _of_artifacts(conditions: _Conditions, wanted: ArtifactFilter) -> None:
    conditions.one_of("sessions", _ARTIFACTS.session_id, wanted.session_ids)
    conditions.one_of("runs", _ARTIFACTS.run_id, wanted.run_ids)
    conditions.one_of("backends", _ARTIFACTS.backend, wanted.backends)
    if not wanted.include_deleted:
        conditions.not_deleted(_ARTIFACTS.deleted_at)


def _text(name: str) -> Any:
    return bindparam(name, type_=Text())


def _number(name: str) -> Any:
    return bindparam(name, type_=BigInteger())


def _with_one_more(limit: int | None) -> int:
    return LARGEST if limit is None else min(limit + 1, LARGEST)
