"""Sessions, runs and events in memory: for tests, caches, and what may be lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from threading import Lock
from types import TracebackType
from typing import Self, TypeVar

from ports import (
    ArtifactRecord,
    Event,
    Maintenance,
    Run,
    RunNotFound,
    Session,
    SessionNotFound,
    SessionQuery,
    StorageError,
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
from stores._event_log import EventLog
from stores._memory_artifacts import MemoryArtifacts
from stores._memory_maintenance import MemoryMaintenance
from stores._memory_queries import MemoryQueries
from stores._timeline import RunTimelines, Timeline
from stores._waiting import EventWaiters, WaitingSessionStore

__all__ = ["InMemorySessionStore"]

_Kept = TypeVar("_Kept", Session, Run, Event, ArtifactRecord)


@served_apart(SessionQuery)
@served_apart(Maintenance, one_by_one=True)
class InMemorySessionStore(
    WaitingSessionStore, MemoryQueries, MemoryMaintenance, MemoryArtifacts, ServingApart
):
    """Keeps everything in the memory of its process, and loses it with the process.

    It may be used by any number of threads, and in a `with` statement, which closes it::

        with InMemorySessionStore() as store:
            store.save_session(Session(agent_id="my-agent"))

    What it is given and what it returns are copies of what it keeps. Saving, appending and looking
    up take the same time however much is stored; so does reading the events after a given one.
    """

    def __init__(self) -> None:
        self._maintaining = Lock()  # one at a time, and not held by others
        self._lock = Lock()  # held for everything below
        self._closed = False
        self._inserted = 0  # sessions, so far
        self._sessions = Timeline[Session]()
        self._runs = RunTimelines()
        self._events: dict[str, Event] = {}
        self._logs: dict[str, EventLog] = {}
        self._registered = 0  # artifacts, so far
        self._artifacts: dict[str, tuple[int, ArtifactRecord]] = {}
        self._waiters = EventWaiters(self._find_events)

    # Whether to keep and hand out copies. A process that serves remote callers only may set this to
    # False: what comes off the wire is the store's alone, and what goes out is only encoded.
    _copies = True

    def _own(self, kept: _Kept) -> _Kept:
        return kept.copy() if self._copies else kept

    def on_start(self) -> None:
        """Become a server: callers are elsewhere, and hold no references to what is kept here."""
        self._copies = False

    def close(self) -> None:
        """Let go of everything stored; callers that wait for events get a `StorageError`.

        Closing again does nothing; every other call raises `StorageError` from now on.
        """
        with self._lock:
            self._closed = True
            self._sessions = Timeline[Session]()
            self._runs = RunTimelines()
            self._events = {}
            self._logs = {}
            self._artifacts = {}
        self._end_apart()
        self._waiters.close(_closed_error())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise _closed_error()

    # -- sessions --------------------------------------------------------------------------

    def save_session(self, session: Session) -> None:
        """Store a session; see `SessionStore.save_session`."""
        kept = self._own(session_argument(session))
        with self._lock:
            self._check_open()
            self._put_session(kept)

    def get_session(self, session_id: str) -> Session:
        """Return a session; see `SessionStore.get_session`."""
        session_id_argument(session_id)
        with self._lock:
            self._check_open()
            kept = self._sessions.get(session_id)
        if kept is None:
            raise SessionNotFound(
                f"no session has the id {session_id!r}", details={"session_id": session_id}
            )
        return self._own(kept)

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
        with self._lock:
            self._check_open()
            found = filter(query.matches, self._sessions)
            kept = _window(found, query.offset, query.limit, len(self._sessions))
        return [self._own(session) for session in kept]

    def delete_session(self, session_id: str) -> None:
        """Delete a session with all that belongs to it; see `SessionStore.delete_session`."""
        session_id_argument(session_id)
        with self._lock:
            self._check_open()
            self._drop_session(session_id)

    def _drop_session(self, session_id: str) -> None:
        self._sessions.discard(session_id)
        self._runs.discard_session(session_id)
        log = self._logs.pop(session_id, None)
        for event in () if log is None else log.events:
            del self._events[event.id]

    def _put_session(self, session: Session) -> None:
        number = self._sessions.number_of(session.id)
        if number is None:
            number = self._inserted
            self._inserted += 1
        self._sessions.put(session, session.created_at, number)

    # -- runs ------------------------------------------------------------------------------

    def save_run(self, run: Run) -> None:
        """Store a run; see `SessionStore.save_run`."""
        kept = self._own(run_argument(run))
        with self._lock:
            self._check_open()
            self._runs.put(kept)

    def get_run(self, run_id: str) -> Run:
        """Return a run; see `SessionStore.get_run`."""
        run_id_argument(run_id)
        with self._lock:
            self._check_open()
            kept = self._runs.get(run_id)
        if kept is None:
            raise RunNotFound(f"no run has the id {run_id!r}", details={"run_id": run_id})
        return self._own(kept)

    def list_runs(
        self, session_id: str, *, status: str | None = None, limit: int | None = None
    ) -> list[Run]:
        """Return the runs of a session; see `SessionStore.list_runs`."""
        query = RunQuery.of(session_id, status=status, limit=limit)
        with self._lock:
            self._check_open()
            runs = self._runs.of_session(query.session_id)
            kept = _window(filter(query.matches, runs), 0, query.limit, len(runs))
        return [self._own(run) for run in kept]

    def get_active_run(self, session_id: str) -> Run | None:
        """Return the running run that started last; see `SessionStore.get_active_run`."""
        session_id_argument(session_id)
        with self._lock:
            self._check_open()
            kept = self._runs.last_running(session_id)
        return None if kept is None else self._own(kept)

    # -- events ----------------------------------------------------------------------------

    def append_event(self, event: Event) -> None:
        """Store an event; see `SessionStore.append_event`."""
        self._append([event_argument(event)])

    def append_event_with_sequence(self, event: Event) -> Event:
        """Store an event and return it as stored; see `SessionStore.append_event_with_sequence`."""
        return self._own(self._append([event_argument(event)])[0])

    def append_events(self, events: Sequence[Event]) -> list[Event]:
        """Store several events, all or none; see `SessionStore.append_events`."""
        return [self._own(stored) for stored in self._append(events_argument(events))]

    def flush(self, session: Session, run: Run, events: Sequence[Event]) -> None:
        """Save a session and a run and append events, or none; see `SessionStore.flush`."""
        kept_session = self._own(session_argument(session))
        kept_run = self._own(run_argument(run))
        appended = events_argument(events)
        with self._lock:
            self._check_open()
            _, new = self._number(appended)
            # Nothing can fail from here on.
            self._put_session(kept_session)
            self._runs.put(kept_run)
            self._keep(new)
        self._waiters.publish(new)

    def get_latest_sequence(self, session_id: str) -> int:
        """Return the last sequence number; see `SessionStore.get_latest_sequence`."""
        session_id_argument(session_id)
        with self._lock:
            self._check_open()
            return self._last(session_id)

    def _last(self, session_id: str) -> int:
        log = self._logs.get(session_id)
        return 0 if log is None else log.last

    def _append(self, events: list[Event]) -> list[Event]:
        with self._lock:
            self._check_open()
            stored, new = self._number(events)
            self._keep(new)
        self._waiters.publish(new)
        return stored

    def _number(self, events: list[Event]) -> tuple[list[Event], list[Event]]:
        """Return the events as stored, and those of them that are to be; nothing changes yet."""
        stored: list[Event] = []
        new: dict[str, Event] = {}
        latest: dict[str, int] = {}
        for event in events:
            known = self._events.get(event.id) or new.get(event.id)
            if known is None:
                before = latest.get(event.session_id)
                if before is None:
                    before = self._last(event.session_id)
                known = new[event.id] = self._at(before + 1, event)
                latest[event.session_id] = before + 1
            stored.append(known)
        return stored, list(new.values())

    def _at(self, number: int, event: Event) -> Event:
        if self._copies:
            return event.with_sequence_number(number)
        vars(event)["sequence_number"] = number  # nobody else has this object
        return event

    def _keep(self, new: list[Event]) -> None:
        for event in new:
            self._events[event.id] = event
            self._logs.setdefault(event.session_id, EventLog()).append(event)

    def _find_events(self, query: EventQuery) -> list[Event]:
        with self._lock:
            self._check_open()
            log = self._logs.get(query.session_id) or EventLog()
            found = filter(query.matches, log.between(query.after or 0, query.before))
            kept = _window(found, 0, query.limit, len(log.events))
        return [self._own(event) for event in kept]


def _window(found: Iterator[_Kept], offset: int, limit: int | None, most: int) -> list[_Kept]:
    """Return what is asked for of `found`, which has `most` items at most."""
    # Bounds may be of any size, islice's may not.
    first = min(offset, most)
    end = most if limit is None else min(first + limit, most)
    return list(islice(found, first, end))


def _closed_error() -> StorageError:
    return StorageError("the InMemorySessionStore is closed")
