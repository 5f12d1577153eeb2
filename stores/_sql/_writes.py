"""What one operation wants written, and writing many of them in one transaction.

Theory of operation. The durable part of a transaction costs far more than the statements in it, so
many operations share one (group commit). They are written as if one after the other, but by few
statements: all sessions, then all runs, then all events, between one deletion and the next. That
order does not show, as nothing in one table depends on another.

Numbers. Every session with events has a row that holds its last number. It is read, and with
PostgreSQL locked, in the transaction that stores the events and the new number; so there is no
number without its event, whatever dies, and no second event with the same number.

Ids. That an event is stored already is rare: a call that was sent again. The events are therefore
inserted on the assumption that all of them are new; if one turns out not to be, everything is
rolled back and done again, this time looking for those that are stored first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from ports import Event, Run, Session, StorageError, StorageUnavailable, StoreError

from ._connections import Connections
from ._driver import Cursor, Database
from ._rows import Row, event_of, event_row, numbered_row, run_row, session_row
from ._statements import IDS
from ._transaction import transaction

# How often a transaction is begun again because of what others do at the same moment.
_ATTEMPTS = 20


@dataclass(slots=True)
class Write:
    """What one operation wants written, all of it or nothing, as rows; made by `write_of`.

    Attributes:
        events: The events of the rows. They belong to the write, and get their numbers when they
            are stored.
        delete: The id of a session to delete; such a write holds nothing else.

    """

    session: Row | None = None
    run: Row | None = None
    events: Sequence[Event] = ()
    event_rows: Sequence[Row] = ()
    delete: str | None = None


@dataclass(slots=True)
class Written:
    """What has become of a write.

    Attributes:
        events: The events as stored: of those that were stored before, as they were first stored.
            That includes those which this very write has stored, where the connection was lost
            before it could be told.

    """

    events: list[Event] = field(default_factory=list)


Outcome = Written | StoreError


def write_of(
    *, session: Session | None = None, run: Run | None = None, events: Sequence[Event] = ()
) -> Write:
    """Return what is to be written.

    Args:
        session: To be saved.
        run: To be saved.
        events: To be appended, in their order. They are kept, and will be given their numbers: no
            one else may use them from now on.

    """
    return Write(
        None if session is None else session_row(session),
        None if run is None else run_row(run),
        events,
        [event_row(event) for event in events],
    )


def write_batch(connections: Connections, writes: Sequence[Write]) -> list[Outcome]:
    """Write what operations want written, in one transaction if that is possible.

    Returns what has become of each. One that cannot be written fails alone; where the database
    cannot be reached, all fail.
    """
    try:
        written = connections.write(lambda cursor: _Batch(connections, cursor, writes).commit())
    except StorageUnavailable as error:
        return [_again(error) for _ in writes]
    except StoreError as error:
        if len(writes) == 1:
            return [error]
        # Nobody knows whose fault it was. Alone, each one finds out.
        return [write_batch(connections, [write])[0] for write in writes]
    return list(written)


def _again(error: StoreError) -> StoreError:
    """Return an equal error: each of several threads raises its own."""
    return type(error).__from_wire__(error.__to_wire__())


class _AlreadyStored(Exception):
    """An event that was taken to be new is not."""


class _Batch:
    """One attempt after the other to write some operations in a transaction."""

    def __init__(self, connections: Connections, cursor: Cursor, writes: Sequence[Write]) -> None:
        self._connections = connections
        self._database: Database = connections.database
        self._statements = connections.database.statements
        self._cursor = cursor
        self._writes = writes
        self._look_first = False
        # What one attempt has found and done: the last number of each session, those that have to
        # be stored, and the numbers to give to the events once they are.
        self._last: dict[str, int] = {}
        self._changed: set[str] = set()
        self._numbers: list[tuple[Event, int]] = []

    def commit(self) -> list[Written]:
        """Write everything, and return what has become of each write."""
        for _ in range(_ATTEMPTS):
            try:
                holders = transaction(self._connections, self._cursor, self._apply)
            except _AlreadyStored:
                self._look_first = True
            except self._connections.errors as error:
                if not self._database.is_conflict(error):
                    raise
            else:
                return self._written(holders)
        raise StorageError(
            f"the database {self._database.shown} was changed by others during every one of "
            f"{_ATTEMPTS} attempts to write to it"
        )

    def _written(self, holders: list[list[Event]]) -> list[Written]:
        for event, number in self._numbers:
            object.__setattr__(event, "sequence_number", number)
        return [_written(write, held) for write, held in zip(self._writes, holders, strict=True)]

    def _apply(self) -> list[list[Event]]:
        """Carry everything out; return for each write the events that hold the ids of its own."""
        self._lock_sequences()
        self._changed.clear()
        self._numbers.clear()
        holders: list[list[Event]] = []
        for deleting, group in groupby(self._writes, lambda write: write.delete is not None):
            writes = list(group)
            if deleting:
                holders += self._delete(writes)
            else:
                self._save(writes)
                holders += self._append(writes)
        changed = [(session_id, self._last[session_id]) for session_id in self._changed]
        self._execute(self._statements.set_sequence, changed)
        if changed:
            self._database.announce(self._cursor, self._connections.origin, self._changed)
        return holders

    def _lock_sequences(self) -> None:
        touched = {event.session_id for write in self._writes for event in write.events}
        touched.update(write.delete for write in self._writes if write.delete is not None)
        # Sorted: two transactions that lock in the same order cannot lock each other out.
        self._last = {
            session_id: self._database.last_sequence(self._cursor, session_id)
            for session_id in sorted(touched)
        }

    def _delete(self, writes: Sequence[Write]) -> list[list[Event]]:
        ids = [write.delete for write in writes if write.delete is not None]
        for sql in self._statements.delete_session:
            self._execute(sql, [(session_id,) for session_id in ids])
        self._changed.difference_update(ids)
        self._last.update(dict.fromkeys(ids, 0))
        return [[] for _ in writes]

    def _save(self, writes: Sequence[Write]) -> None:
        sessions = [write.session for write in writes if write.session is not None]
        self._execute(self._statements.save_session, sessions)
        runs = [write.run for write in writes if write.run is not None]
        self._execute(self._statements.save_run, runs)

    def _append(self, writes: Sequence[Write]) -> list[list[Event]]:
        by_id = self._stored_events(writes) if self._look_first else {}
        holders: list[list[Event]] = []
        rows: list[Row] = []
        for write in writes:
            held = []
            for event, row in zip(write.events, write.event_rows, strict=True):
                holder = by_id.setdefault(row[0], event)
                if holder is event:
                    rows.append(self._numbered(event, row))
                held.append(holder)
            holders.append(held)
        self._execute(self._statements.insert_event, rows)
        if rows and self._cursor.rowcount != len(rows):
            raise _AlreadyStored
        return holders

    def _numbered(self, event: Event, row: Row) -> Row:
        session_id = event.session_id
        self._last[session_id] = number = self._last[session_id] + 1
        self._changed.add(session_id)
        self._numbers.append((event, number))
        return numbered_row(row, number)

    def _stored_events(self, writes: Sequence[Write]) -> dict[str, Event]:
        ids = list(dict.fromkeys(event.id for write in writes for event in write.events))
        stored: dict[str, Event] = {}
        for start in range(0, len(ids), IDS):
            some = ids[start : start + IDS]
            some += some[-1:] * (IDS - len(some))
            self._cursor.execute(self._statements.events_by_id, tuple(some))
            stored.update((row[0], event_of(row)) for row in self._cursor.fetchall())
        return stored

    def _execute(self, sql: str, rows: Sequence[Row]) -> None:
        # The drivers begin more slowly for several rows than for one.
        if len(rows) == 1:
            self._cursor.execute(sql, rows[0])
        elif rows:
            self._cursor.executemany(sql, rows)


def _written(write: Write, holders: list[Event]) -> Written:
    # Two callers that stored the same event do not get the same dicts.
    return Written(
        [
            holder if holder is event else holder.copy()
            for event, holder in zip(write.events, holders, strict=True)
        ]
    )
