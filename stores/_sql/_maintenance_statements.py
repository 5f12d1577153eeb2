"""The statements of maintenance, for one kind of database."""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from . import _schema as schema
from ._expressions import Expressions
from ._statements import Statement, Statements

__all__ = ["MaintenanceStatements", "maintenance_statements"]

_SESSIONS, _RUNS, _EVENTS = schema.sessions.c, schema.runs.c, schema.events.c
_SEQUENCES, _PRUNED = schema.sequences.c, schema.pruned.c


class MaintenanceStatements:
    """The statements of maintenance, made when first used; see their parameters in each.

    Args:
        statements: Compiles them.
        expressions: What the database says differently.

    """

    def __init__(self, statements: Statements, expressions: Expressions) -> None:
        self._compiled = statements.compiled
        self._expressions = expressions

    # -- sessions: those exempt are left out by exempt_statuses and exempt_tags ------------------

    @cached_property
    def delete_softly(self) -> Statement:
        """Set the `deleted_at` of sessions to `moment`: so many as `limit` says.

        They have a status of `finished`, and were changed last at `before` or earlier.
        """
        expired = (
            _SESSIONS.deleted_at.is_(None),
            self._expressions.one_of(_SESSIONS.status, "finished"),
            _SESSIONS.updated_at <= _number("before"),
            *self._not_exempt(),
        )
        some = select(_SESSIONS.position).where(*expired).limit(_number("limit"))
        # The conditions once more: others may have changed a session since it was selected.
        return self._compiled(
            update(schema.sessions)
            .values(deleted_at=_number("moment"))
            .where(_SESSIONS.position.in_(some), *expired)
        )

    @cached_property
    def to_be_deleted(self) -> Statement:
        """Return the ids of sessions that were deleted softly at `before` or earlier."""
        return self._compiled(self._deleted().limit(_number("limit")))

    @cached_property
    def is_to_be_deleted(self) -> Statement:
        """Return the session `id` if it was; nobody changes that until the transaction ends."""
        query = self._deleted().where(_SESSIONS.id == _text("id"))
        return self._compiled(query.with_for_update())

    def _deleted(self) -> Select[Any]:
        query = select(_SESSIONS.id).where(_SESSIONS.deleted_at <= _number("before"))
        return query.where(*self._not_exempt())

    def _not_exempt(self) -> tuple[ColumnElement[bool], ...]:
        return (
            ~self._expressions.one_of(_SESSIONS.status, "exempt_statuses"),
            ~self._expressions.has_any(_SESSIONS.tags, "exempt_tags"),
        )

    # -- events --------------------------------------------------------------------------------

    @cached_property
    def too_large(self) -> Statement:
        """Return the ids of sessions that have more events than `most`."""
        # Counted is only where there can be so many: most sessions never had them.
        had_more = select(_SEQUENCES.session_id).where(_SEQUENCES.last > _number("most"))
        query = select(_EVENTS.session_id).where(_EVENTS.session_id.in_(had_more))
        query = query.group_by(_EVENTS.session_id)
        return self._compiled(query.having(func.count() > _number("most")))

    @cached_property
    def numbers(self) -> Statement:
        """Return the first numbers of `session_id` beyond `after`."""
        return self._compiled(self._numbers())

    @cached_property
    def numbers_of_types(self) -> Statement:
        """Return the same of events of one of `types`."""
        return self._compiled(
            self._numbers().where(self._expressions.one_of(_EVENTS.type, "types"))
        )

    def _numbers(self) -> Select[Any]:
        query = select(_EVENTS.sequence_number).where(
            _EVENTS.session_id == _text("session_id"), _EVENTS.sequence_number > _number("after")
        )
        return query.order_by(_EVENTS.sequence_number).limit(_number("limit"))

    @cached_property
    def delete_events(self) -> Statement:
        """Delete the events of `session_id` that have one of `numbers`."""
        return self._compiled(
            delete(schema.events).where(
                _EVENTS.session_id == _text("session_id"),
                self._expressions.one_of(_EVENTS.sequence_number, "numbers"),
            )
        )

    # -- pruned events: ranges that have a number between `from` and `to` ------------------------

    @cached_property
    def pruned_around(self) -> Statement:
        """Return the first and the last number of ranges."""
        return self._compiled(select(_PRUNED.first, _PRUNED.last).where(*self._around()))

    @cached_property
    def pruned_count(self) -> Statement:
        """Return how many events of `session_id` were pruned."""
        size: ColumnElement[Any] = func.sum(_PRUNED.last - _PRUNED.first + 1)
        query = select(func.coalesce(size, 0))
        return self._compiled(query.where(_PRUNED.session_id == _text("session_id")))

    @cached_property
    def delete_pruned_around(self) -> Statement:
        """Delete ranges."""
        return self._compiled(delete(schema.pruned).where(*self._around()))

    def _around(self) -> tuple[ColumnElement[bool], ...]:
        return (
            _PRUNED.session_id == _text("session_id"),
            _PRUNED.first <= _number("to"),
            _PRUNED.last >= _number("from"),
        )

    @cached_property
    def insert_pruned(self) -> Statement:
        """Insert the range from `first` to `last`."""
        return self._compiled(
            insert(schema.pruned).values(
                session_id=_text("session_id"), first=_number("first"), last=_number("last")
            )
        )

    # -- health --------------------------------------------------------------------------------

    @cached_property
    def suspicious(self) -> Statement:
        """Return sessions whose numbers do not add up, and the last number of each, or NULL.

        What does add up: as many events and pruned ones as there were numbers given out, and none
        beyond.
        """
        events = (
            select(
                _EVENTS.session_id.label("session_id"),
                func.count().label("size"),
                func.max(_EVENTS.sequence_number).label("highest"),
            )
            .group_by(_EVENTS.session_id)
            .subquery("events")
        )
        pruned = (
            select(
                _PRUNED.session_id.label("session_id"),
                func.sum(_PRUNED.last - _PRUNED.first + 1).label("size"),
                func.max(_PRUNED.last).label("highest"),
            )
            .group_by(_PRUNED.session_id)
            .subquery("pruned")
        )
        known = _sessions_of(schema.sequences, schema.events, schema.pruned)
        last = func.coalesce(_SEQUENCES.last, 0)
        size = func.coalesce(events.c.size, 0) + func.coalesce(pruned.c.size, 0)
        query = (
            select(known.c.session_id, _SEQUENCES.last)
            .outerjoin(schema.sequences, _SEQUENCES.session_id == known.c.session_id)
            .outerjoin(events, events.c.session_id == known.c.session_id)
            .outerjoin(pruned, pruned.c.session_id == known.c.session_id)
            .where(or_(last != size, events.c.highest > last, pruned.c.highest > last))
        )
        return self._compiled(self._first(query, known.c.session_id))

    @cached_property
    def orphaned_runs(self) -> Statement:
        """Return sessions that are not stored, and how many runs each has."""
        return self._orphaned(schema.runs)

    @cached_property
    def orphaned_events(self) -> Statement:
        """Return sessions that are not stored, and how many events each has."""
        return self._orphaned(schema.events)

    def _orphaned(self, table: Table) -> Statement:
        session_id = table.c.session_id
        stored = select(_SESSIONS.position).where(_SESSIONS.id == session_id)
        query = select(session_id, func.count()).where(~stored.correlate(table).exists())
        return self._compiled(self._first(query.group_by(session_id), session_id))

    def _first(self, query: Select[Any], session_id: ColumnElement[str]) -> Select[Any]:
        """Let a query return the first of its rows: so many as `limit` says."""
        order = self._expressions.in_byte_order(session_id)
        return query.order_by(order).limit(_number("limit"))


@cache
def maintenance_statements(
    statements: Statements, expressions: Expressions
) -> MaintenanceStatements:
    """Return the statements that all stores on one kind of database share."""
    return MaintenanceStatements(statements, expressions)


def _sessions_of(*tables: Table) -> Any:
    first, *others = (select(table.c.session_id) for table in tables)
    return first.union(*others).subquery("known")


def _text(name: str) -> Any:
    return bindparam(name, type_=Text())


def _number(name: str) -> Any:
    return bindparam(name, type_=BigInteger())
