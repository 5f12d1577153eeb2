"""The session store on a SQL database."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from sqlalchemy import URL

from ports import (
    Event,
    Maintenance,
    Run,
    RunNotFound,
    Session,
    SessionNotFound,
    SessionQuery,
    StorageError,
    StoreError,
)
from ports._arguments import (
    EventQuery,
    RunQuery,
    SessionListing,
    event_argument,
    events_argument,
    run_argument,
    run_id_argument,
    session_argument,
    session_id_argument,
)
from stores._apart import ServingApart, served_apart
from stores._waiting import EventWaiters

from ._connections import Connections
from ._driver import Cursor
from ._group import GroupCommit
from ._listening import Listener
from ._maintenance import SQLMaintenance
from ._maintenance_statements import maintenance_statements
from ._migration import check_schema
from ._operations import prepare, result
from ._queries import SQLRegistry
from ._query_statements import query_statements
from ._rows import Row, event_of, run_of, session_of
from ._serving import GroupCommitServing
from ._statements import Statements
from ._url import database_of
from ._writes import Outcome, Write, write_batch

# The stores of this process, which have to begin anew in a process that is forked from it.
_stores: "WeakSet[SQLAlchemySessionStore]" = WeakSet()


@served_apart(SessionQuery)
@served_apart(Maintenance, one_by_one=True)
class SQLAlchemySessionStore(GroupCommitServing, SQLMaintenance, SQLRegistry, ServingApart):
    """Sessions, runs and events in a SQL database.

    Any number of threads may use one store, and any number of stores, in as many processes, one
    database. Threads that write at the same time share transactions. With PostgreSQL, events end
    the wait of `get_events(wait_timeout=...)` at once, whichever store appended them, and however
    many wait on one connection for it. With SQLite, those of this store do; what another one has
    appended is seen when the time is over.

    A lost connection is replaced when next needed, and what was asked of it is asked of the new
    one. That includes a COMMIT of which nobody knows what came of it: what is stored already is
    found by its id. Where there is no new connection, operations raise StorageUnavailable until
    there is one.

    PostgreSQL finds ids, agents and correlation ids by indexes that hold 2,600 bytes of each. One
    that is longer, and cannot be compressed to that, is refused with a StorageError.

    Args:
        url: Where the database is: `sqlite:///relative/path`, `sqlite:////absolute/path`,
            `sqlite:///:memory:`, or `postgresql://user:password@host:port/database`. A SQLite file
            and its folder are made where they are absent, the tables where there are none.
        synchronous: When SQLite waits for the disk: `"FULL"`, for every transaction, so that what
            is acknowledged survives the death of the machine; `"NORMAL"`, so that it survives the
            death of processes, while the machine's may take the last ones; or SQLite's `"OFF"` and
            `"EXTRA"`. PostgreSQL always waits.
        busy_timeout: How many seconds to wait for others that write to the same SQLite file.

    Raises:
        ValidationError: An argument cannot be what it is.
        MigrationRequired: The tables are those of an older version.
        StorageUnavailable: The database does not answer, or is locked, or cannot be opened.
        StorageError: The database cannot be used, or was made by a newer version.

    """

    def __init__(
        self, url: str | URL, *, synchronous: str = "FULL", busy_timeout: float = 5.0
    ) -> None:
        database = database_of(url, synchronous=synchronous, busy_timeout=busy_timeout)
        self._connections = Connections(database)
        self._statements: Statements = database.statements
        self._queries = query_statements(database.statements, database.expressions)
        self._maintenance = maintenance_statements(database.statements, database.expressions)
        self._maintaining = Lock()
        try:
            check_schema(self._connections)
        except BaseException:
            self._connections.close()
            raise
        self._group = GroupCommit(self._commit)
        self._wait_anew()
        self._again = partial(
            type(self), database.url, synchronous=synchronous, busy_timeout=busy_timeout
        )
        _stores.add(self)

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        """Let a copy in another process open the same database anew."""
        database = self._connections.database
        if database.single_connection:
            raise TypeError(f"a database in memory ({database.shown}) cannot be taken elsewhere")
        return self._again, ()

    # -- sessions ------------------------------------------------------------------------------

    def save_session(self, session: Session) -> None:
        """Store a session; see `SessionStore.save_session`."""
        self._perform("save_session", session_argument(session).copy())

    def get_session(self, session_id: str) -> Session:
        """Return a session; see `SessionStore.get_session`."""
        rows = self._rows(self._statements.get_session, (session_id_argument(session_id),))
        if not rows:
            raise SessionNotFound(
                f"no session has the id {session_id!r}", details={"session_id": session_id}
            )
        return session_of(rows[0])

    def list_sessions(
        self,
        *,
        status: str | None = None,
        agent_id: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        include_deleted: bool = False,
    ) -> list[Session]:
        """Return sessions in order of creation; see `SessionStore.list_sessions`."""
        query = SessionListing.of(
            status=status,
            agent_id=agent_id,
            limit=limit,
            offset=offset,
            include_deleted=include_deleted,
        )
        return [session_of(row) for row in self._rows(*self._statements.list_sessions(query))]

    def delete_session(self, session_id: str) -> None:
        """Delete a session and all that belongs to it; see `SessionStore.delete_session`."""
        self._perform("delete_session", session_id)

    # -- runs ----------------------------------------------------------------------------------

    def save_run(self, run: Run) -> None:
        """Store a run; see `SessionStore.save_run`."""
        self._perform("save_run", run_argument(run).copy())

    def get_run(self, run_id: str) -> Run:
        """Return a run; see `SessionStore.get_run`."""
        rows = self._rows(self._statements.get_run, (run_id_argument(run_id),))
        if not rows:
            raise RunNotFound(f"no run has the id {run_id!r}", details={"run_id": run_id})
        return run_of(rows[0])

    def list_runs(
        self, session_id: str, *, status: str | None = None, limit: int | None = None
    ) -> list[Run]:
        """Return the runs of a session; see `SessionStore.list_runs`."""
        query = RunQuery.of(session_id, status=status, limit=limit)
        return [run_of(row) for row in self._rows(*self._statements.list_runs(query))]

    def get_active_run(self, session_id: str) -> Run | None:
        """Return the running run that was started last; see `SessionStore.get_active_run`."""
        statement = self._statements.get_active_run
        values = {"session_id": session_id_argument(session_id)}
        rows = self._rows(statement.sql, statement.parameters(values))
        return run_of(rows[0]) if rows else None

    # -- events --------------------------------------------------------------------------------

    def append_event(self, event: Event) -> None:
        """Store an event at the end of its session; see `SessionStore.append_event`."""
        self._perform("append_event", event_argument(event).copy())

    def append_event_with_sequence(self, event: Event) -> Event:
        """Store an event, return it as stored; see `SessionStore.append_event_with_sequence`."""
        stored: Event = self._perform("append_event_with_sequence", event_argument(event).copy())
        return stored

    def append_events(self, events: Sequence[Event]) -> list[Event]:
        """Store events, all or none, in their order; see `SessionStore.append_events`."""
        own = [event.copy() for event in events_argument(events)]
        stored: list[Event] = self._perform("append_events", own)
        return stored

    def flush(self, session: Session, run: Run, events: Sequence[Event]) -> None:
        """Save a session and a run, append events, all or nothing; see `SessionStore.flush`."""
        self._perform(
            "flush",
            session_argument(session).copy(),
            run_argument(run).copy(),
            [event.copy() for event in events_argument(events)],
        )

    def get_latest_sequence(self, session_id: str) -> int:
        """Return the number of the last event; see `SessionStore.get_latest_sequence`."""
        rows = self._rows(self._statements.get_sequence, (session_id_argument(session_id),))
        return int(rows[0][0]) if rows else 0

    # -- the end -------------------------------------------------------------------------------

    def close(self) -> None:
        """Give the database up; operations raise StorageError from now on. Twice is no error."""
        shown = self._connections.database.shown
        self._waiters.close(StorageError(f"the session store in {shown} is closed"))
        if self._listener is not None:
            self._listener.close()
        self._connections.close()
        self._end_apart()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # -- for servers, which have many operations at hand at the same time -----------------------

    def _write_batch(
        self, operations: Sequence[tuple[str, Sequence[Any], dict[str, Any]]]
    ) -> list[Any]:
        """Carry out several operations that write, in their order, in one transaction.

        Args:
            operations: The name, the arguments and the keyword arguments of each. The arguments
                belong to the store from now on.

        Returns:
            For each, what it returns, or the `StoreError` that it raises. One that fails does not
            touch the others.

        Raises:
            TypeError: An operation takes other arguments; none has been carried out.
            KeyError: An operation is none that writes; none has been carried out.

        """
        prepared = [_prepared(*operation) for operation in operations]
        writes = [write for write in prepared if isinstance(write, Write)]
        outcomes = iter(self._commit(writes))
        results: list[Any] = []
        for (name, _, _), write in zip(operations, prepared, strict=True):
            outcome = next(outcomes) if isinstance(write, Write) else write
            results.append(outcome if isinstance(outcome, StoreError) else result(name, outcome))
        return results

    def _after_fork(self) -> None:
        self._connections.after_fork(self._listener.after_fork() if self._listener else None)
        self._group = GroupCommit(self._commit)
        self._maintaining = Lock()
        self._wait_anew()

    def _wait_anew(self) -> None:
        waiters = self._waiters = EventWaiters(self._find_events)
        listens = self._connections.database.listens
        self._listener = Listener(self._connections, waiters.wake) if listens else None

    def _before_apart(self) -> None:
        self._commit_queue()

    # -- within --------------------------------------------------------------------------------

    def _perform(self, operation: str, *args: Any) -> Any:
        outcome = self._group.write(prepare(operation, *args))
        if isinstance(outcome, StoreError):
            raise outcome
        return result(operation, outcome)

    def _commit(self, writes: Sequence[Write]) -> list[Outcome]:
        outcomes = write_batch(self._connections, writes) if writes else []
        stored = [
            event
            for outcome in outcomes
            if not isinstance(outcome, StoreError)
            for event in outcome.events
        ]
        # Before anyone is told: from then on the events are his, to do with as he likes.
        if stored:
            self._waiters.publish(stored)
        return outcomes

    def _rows(self, sql: str, parameters: Row) -> list[Row]:
        return self._connections.read(_selecting(sql, parameters))

    def _find_events(self, query: EventQuery) -> list[Event]:
        if query.never_matches:
            return []
        return [event_of(row) for row in self._rows(*self._statements.get_events(query))]

    def _watch_events(self, query: EventQuery) -> Future[list[Event]]:
        if self._listener is not None:
            self._listener.start()
        return super()._watch_events(query)

    def _wait_for_events(self, query: EventQuery, seconds: float) -> list[Event]:
        # A last look: not every database tells this store of what others append.
        return super()._wait_for_events(query, seconds) or self._find_events(query)


def _after_fork() -> None:
    for store in _stores:
        store._after_fork()  # noqa: SLF001 (of this module)


os.register_at_fork(after_in_child=_after_fork)


def _prepared(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Write | StoreError:
    try:
        return prepare(name, *args, **kwargs)
    except StoreError as error:
        return error


def _selecting(sql: str, parameters: Row) -> Callable[[Cursor], list[Row]]:
    def select(cursor: Cursor) -> list[Row]:
        cursor.execute(sql, parameters)
        return cursor.fetchall()

    return select
