"""Every statement, written once with SQLAlchemy Core and kept as text for one kind of database.

Compiling a statement costs more than SQLite takes to run it, and looking the result up in
SQLAlchemy's cache about as much. So the text is made once, and given to the driver's own cursor.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Delete,
    Dialect,
    Insert,
    Select,
    Table,
    Text,
    Update,
    bindparam,
    delete,
    literal_column,
    select,
    update,
)

from ports._arguments import EventQuery, RunQuery, SessionListing
from ports._moments import microseconds

from . import _schema as schema
from ._rows import LARGEST, Row

# So many ids are looked up by one statement; the last ones are filled up with repetitions.
IDS = 50


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as text.

    Attributes:
        sql: The text.
        names: The names of its parameters, in the order of their marks.
        constants: The values of those parameters that SQLAlchemy has made of constants.

    """

    sql: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]

    def parameters(self, values: Mapping[str, Any]) -> Row:
        """Return values in the order of the marks."""
        known = {**self.constants, **values}
        return tuple(known[name] for name in self.names)


class Statements:
    """The statements of a store for one dialect, made when first used.

    Args:
        dialect: SQLAlchemy's dialect, with a parameter style that goes by position.
        insert: That dialect's `insert`, which has `on_conflict_do_update`.

    """

    def __init__(self, dialect: Dialect, insert: Callable[[Table], Any]) -> None:
        self._dialect = dialect
        self._insert = insert
        self._selections: dict[tuple[object, ...], Statement] = {}

    def compiled(self, statement: Select[Any] | Insert | Update | Delete) -> Statement:
        """Return a statement as text."""
        compiled = statement.compile(dialect=self._dialect)
        # The names are None where there are no parameters.
        names = tuple(getattr(compiled, "positiontup", None) or ())
        return Statement(str(compiled), names, compiled.params or {})

    # -- writing, by rows ----------------------------------------------------------------------

    @cached_property
    def save_session(self) -> str:
        """Insert the row of a session, or update the one with its id."""
        return self._upsert(schema.sessions, "id")

    @cached_property
    def save_run(self) -> str:
        """Insert the row of a run, or update the one with its id."""
        return self._upsert(schema.runs, "id")

    @cached_property
    def save_artifact(self) -> str:
        """Insert the row of an artifact's entry, or update the one with its key."""
        return self._upsert(schema.artifacts, "digest")

    @cached_property
    def insert_event(self) -> str:
        """Insert the row of an event, unless its id is stored."""
        insert = self._insert(schema.events).on_conflict_do_nothing(index_elements=["id"])
        return self._by_row(insert, schema.events)

    @cached_property
    def set_sequence(self) -> str:
        """Set the last number of a session; its parameters are the session and the number."""
        return self._upsert(schema.sequences, "session_id")

    @cached_property
    def lock_sequence(self) -> Statement:
        """Return the last number of a session, and lock it, which needs a row there."""
        table = schema.sequences
        insert = self._insert(table).values(
            session_id=bindparam("session_id"), last=literal_column("0")
        )
        same = insert.on_conflict_do_update(
            index_elements=["session_id"], set_={"last": table.c.last}
        )
        return self.compiled(same.returning(table.c.last))

    def _upsert(self, table: Table, key: str) -> str:
        insert = self._insert(table)
        changed = {name: insert.excluded[name] for name in _names(table) if name != key}
        insert = insert.on_conflict_do_update(index_elements=[key], set_=changed)
        return self._by_row(insert, table)

    def _by_row(self, insert: Any, table: Table) -> str:
        names = _names(table)
        statement = self.compiled(insert.values({name: bindparam(name) for name in names}))
        if statement.names != names:
            raise AssertionError(f"{statement.names} is not the order of a row of {table.name}")
        return statement.sql

    # -- deleting ------------------------------------------------------------------------------

    @cached_property
    def delete_session(self) -> tuple[str, ...]:
        """Delete all of a session; the parameter of each is its id."""
        by_session = (schema.events, schema.runs, schema.sequences, schema.pruned)
        return (
            *(self._delete(table.c.session_id, table) for table in by_session),
            self._delete(schema.sessions.c.id, schema.sessions),
        )

    def _delete(self, column: ColumnElement[str], table: Table) -> str:
        return self.compiled(delete(table).where(column == _text("id"))).sql

    @cached_property
    def delete_artifact(self) -> str:
        """Delete the entry of an artifact; the parameter is the digest of its key."""
        return self._delete(schema.artifacts.c.digest, schema.artifacts)

    @cached_property
    def mark_artifact(self) -> Statement:
        """Set the `deleted_at` of the entry of an artifact, unless it is set."""
        columns = schema.artifacts.c
        marked = update(schema.artifacts).values(deleted_at=_number("moment"))
        return self.compiled(
            marked.where(columns.digest == _text("digest"), columns.deleted_at.is_(None))
        )

    # -- reading by key: one parameter each ----------------------------------------------------

    @cached_property
    def revision(self) -> str:
        """Return the revisions that the database says it has; there should be one."""
        return self.compiled(select(schema.revisions.c.version_num)).sql

    @cached_property
    def get_session(self) -> str:
        """Return the row of the session with an id."""
        return self.compiled(_rows(schema.sessions).where(schema.sessions.c.id == _text("id"))).sql

    @cached_property
    def get_run(self) -> str:
        """Return the row of the run with an id."""
        return self.compiled(_rows(schema.runs).where(schema.runs.c.id == _text("id"))).sql

    @cached_property
    def get_artifact(self) -> str:
        """Return the row of the entry of an artifact; the parameter is the digest of its key."""
        table = schema.artifacts
        return self.compiled(_rows(table).where(table.c.digest == _text("digest"))).sql

    @cached_property
    def get_active_run(self) -> Statement:
        """Return the row of that running run of a session which was started last."""
        columns = schema.runs.c
        query = _rows(schema.runs).where(columns.session_id == _text("session_id"))
        query = query.where(columns.status == literal_column("'running'"))
        query = query.order_by(columns.started_at.desc(), columns.position.desc())
        return self.compiled(query.limit(literal_column("1")))

    @cached_property
    def get_sequence(self) -> str:
        """Return the last number of a session."""
        sequences = schema.sequences
        query = select(sequences.c.last).where(sequences.c.session_id == _text("session_id"))
        return self.compiled(query).sql

    @cached_property
    def events_by_id(self) -> str:
        """Return the rows of those events that have one of so many ids as `IDS` says."""
        ids = [_text(f"id{number}") for number in range(IDS)]
        return self.compiled(_rows(schema.events).where(schema.events.c.id.in_(ids))).sql

    # -- reading by filters --------------------------------------------------------------------

    def list_sessions(self, query: SessionListing) -> tuple[str, Row]:
        """Return the statement that answers a query, and its parameters."""
        table = schema.sessions
        filters: dict[str, ColumnElement[bool]] = {}
        if query.status is not None:
            filters["status"] = table.c.status == _text("status")
        if query.agent_id is not None:
            filters["agent_id"] = table.c.agent_id == _text("agent_id")
        if not query.include_deleted:
            filters["not_deleted"] = table.c.deleted_at.is_(None)
        values = {
            "status": query.status,
            "agent_id": query.agent_id,
            "limit": _bounded(query.limit),
            "offset": _bounded(query.offset),
        }
        return self._selection(table, filters, ("created_at", "position"), values)

    def list_runs(self, query: RunQuery) -> tuple[str, Row]:
        """Return the statement that answers a query, and its parameters."""
        table = schema.runs
        filters = {"session_id": table.c.session_id == _text("session_id")}
        if query.status is not None:
            filters["status"] = table.c.status == _text("status")
        values = {
            "session_id": query.session_id,
            "status": query.status,
            "limit": _bounded(query.limit),
        }
        return self._selection(table, filters, ("started_at", "position"), values)

    def get_events(self, query: EventQuery) -> tuple[str, Row]:
        """Return the statement that answers a query, and its parameters."""
        columns = schema.events.c
        filters = {
            "session_id": columns.session_id == _text("session_id"),
            "after": columns.sequence_number > _number("after"),
            "before": columns.sequence_number < _number("before"),
        }
        values = {
            "session_id": query.session_id,
            "after": _bounded(query.after or 0),
            "before": _bounded(query.before),
            "limit": _bounded(query.limit),
            "run_id": query.run_id,
            "since": query.since and microseconds(query.since),
        }
        if query.run_id is not None:
            filters["run_id"] = columns.run_id == _text("run_id")
        if query.since is not None:
            filters["since"] = columns.timestamp >= _number("since")
        if query.types is not None:
            types = sorted(query.types)
            names = [f"type{number}" for number in range(len(types))]
            filters[f"{len(types)} types"] = columns.type.in_([_text(name) for name in names])
            values |= dict(zip(names, types, strict=True))
        return self._selection(schema.events, filters, ("sequence_number",), values)

    def _selection(
        self,
        table: Table,
        filters: dict[str, ColumnElement[bool]],
        order: tuple[str, ...],
        values: dict[str, Any],
    ) -> tuple[str, Row]:
        # There are as many statements as combinations of filters; their number is bounded.
        shape = (table.name, *filters)
        statement = self._selections.get(shape)
        if statement is None:
            query = _rows(table).where(*filters.values())
            query = query.order_by(*(table.c[name] for name in order)).limit(_number("limit"))
            if "offset" in values:
                query = query.offset(_number("offset"))
            statement = self._selections[shape] = self.compiled(query)
        return statement.sql, statement.parameters(values)


def _names(table: Table) -> tuple[str, ...]:
    """Return the columns of a row: all but the one that the database fills in."""
    return tuple(column.name for column in table.columns if column.name != "position")


def _rows(table: Table) -> Select[Any]:
    return select(*(table.c[name] for name in _names(table)))


def _text(name: str) -> BindParameter[str]:
    return bindparam(name, type_=Text())


def _number(name: str) -> BindParameter[int]:
    return bindparam(name, type_=BigInteger())


def _bounded(number: int | None) -> int:
    return LARGEST if number is None else min(number, LARGEST)
