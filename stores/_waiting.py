"""Waiting for events that are not there yet, for every session store alike.

Theory of operation. A waiter is a query and a `concurrent.futures.Future` for its result. It is
registered first, and only then is the store searched, while a store publishes events only once they
are stored. So an event that comes in between is found by the search, or published to the waiter, or
both, and never missed. No lock of the store is held while this happens, and none is needed.

What is published only wakes a waiter: its result comes from another search. The published events
themselves would not do, because two threads may publish in another order than they stored in, and
because an event may have been stored and published just before the waiter was registered. A reader
who goes on after the last number that he got would then miss the earlier one for ever.

A caller in the same process blocks on the future. A server, which must not block, asks for the
future with `_watch_events`, answers when it is done, and gives it up with `_unwatch`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from copy import copy
from datetime import datetime
from threading import Lock
from typing import Any

from ports import Event, SessionStore, StoreError
from ports._arguments import EventQuery, wait_argument
from supervisor import Server, operation

__all__ = ["EventWaiters", "WaitingSessionStore"]


class EventWaiters:
    """The waiters of one store, thread-safe.

    Args:
        find: Searches the store, and returns events that the caller may keep.

    """

    def __init__(self, find: Callable[[EventQuery], list[Event]]) -> None:
        self._find = find
        self._lock = Lock()
        self._by_session: dict[str, dict[Future[list[Event]], EventQuery]] = {}
        self._session_of: dict[Future[list[Event]], str] = {}
        self._closed_by: StoreError | None = None

    def watch(self, query: EventQuery) -> Future[list[Event]]:
        """Return a future for the first events that match, be they stored already or later."""
        future: Future[list[Event]] = Future()
        with self._lock:
            if self._closed_by is not None:
                raise copy(self._closed_by)  # each caller's own, for each has a traceback
            self._session_of[future] = query.session_id
            self._by_session.setdefault(query.session_id, {})[future] = query
        try:
            self._search(future, query)
        except BaseException:
            self.unwatch(future)
            raise
        return future

    def unwatch(self, future: Future[list[Event]]) -> None:
        """Give up a future of `watch`: it is cancelled, unless it is done."""
        self._take(future)
        future.cancel()

    def expire(self, future: Future[list[Event]]) -> None:
        """The time of a future of `watch` is over: it is settled with what is stored by now."""
        with self._lock:
            session_id = self._session_of.get(future)
            query = None if session_id is None else self._by_session[session_id][future]
        if query is None:
            return
        self._search_or_fail(future, query)
        if self._take(future) and future.set_running_or_notify_cancel():
            future.set_result([])

    def publish(self, events: Sequence[Event]) -> None:
        """Settle every future that one of these events matches; they have just been stored."""
        if not self._by_session:  # nobody waits: the usual case costs no lock
            return
        for future, query in self._matching(events):
            self._search_or_fail(future, query)

    def wake(self, session_ids: Collection[str] | None) -> None:
        """Settle every future that something is stored for now, of these sessions or, None, of all.

        For events that were stored elsewhere, of which the sessions alone are known.
        """
        if not self._by_session:
            return
        with self._lock:
            chosen = self._by_session if session_ids is None else session_ids
            waiters = [
                waiter
                for session_id in chosen
                for waiter in self._by_session.get(session_id, {}).items()
            ]
        for future, query in waiters:
            self._search_or_fail(future, query)

    def close(self, error: StoreError) -> None:
        """Settle every future with an error, and raise it for whoever comes later."""
        with self._lock:
            self._closed_by = error
            futures = list(self._session_of)
            self._session_of.clear()
            self._by_session.clear()
        for future in futures:
            if future.set_running_or_notify_cancel():
                future.set_exception(copy(error))

    def _search(self, future: Future[list[Event]], query: EventQuery) -> None:
        """Settle a future with what is stored by now, if that is anything."""
        found = self._find(query)
        if found and self._take(future) and future.set_running_or_notify_cancel():
            future.set_result(found)

    def _search_or_fail(self, future: Future[list[Event]], query: EventQuery) -> None:
        try:
            self._search(future, query)
        except StoreError as error:  # it is the waiter's, not that of whoever woke it
            if self._take(future) and future.set_running_or_notify_cancel():
                future.set_exception(error)

    def _take(self, future: Future[list[Event]]) -> bool:
        """Remove a waiter; tell whether it was still there, and so is the caller's to settle."""
        with self._lock:
            session_id = self._session_of.pop(future, None)
            if session_id is None:
                return False
            waiters = self._by_session[session_id]
            del waiters[future]
            if not waiters:
                del self._by_session[session_id]
            return True

    def _matching(self, events: Sequence[Event]) -> list[tuple[Future[list[Event]], EventQuery]]:
        with self._lock:
            return [
                (future, query)
                for session_id in {event.session_id for event in events}
                for future, query in self._by_session.get(session_id, {}).items()
                if any(map(query.matches, events))
            ]


class WaitingSessionStore(SessionStore, Server):
    """A session store whose `get_events` can wait.

    As a server it answers those who wait later, by way of a future, and serves others meanwhile.

    A subclass sets `_waiters = EventWaiters(self._find_events)`, calls `_waiters.publish(events)`
    after it has stored events, and `_waiters.close(error)` when it is closed.
    """

    _waiters: EventWaiters

    @abstractmethod
    def _find_events(self, query: EventQuery) -> list[Event]:
        """Return those stored events that match, up to the limit, as the caller's own copies."""

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
        """Return the events of a session; see `SessionStore.get_events`."""
        query = EventQuery.of(
            session_id,
            run_id=run_id,
            type=type,
            since=since,
            after=after,
            before=before,
            limit=limit,
        )
        seconds = wait_argument(wait_timeout)
        found = self._find_events(query)
        if found or not seconds or query.never_matches:
            return found
        return self._wait_for_events(query, seconds)

    @operation("get_events", threads=False)
    def _serve_events(
        self,
        session_id: str,
        *,
        wait_timeout: float | None = None,
        **filters: Any,
    ) -> list[Event] | Future[list[Event]]:
        """The operation `get_events` of a process: the same, but that it never blocks."""
        found = self.get_events(session_id, **filters)
        seconds = wait_argument(wait_timeout)
        if found or not seconds:
            return found
        query = EventQuery.of(session_id, **filters)
        if query.never_matches:
            return found
        future = self._watch_events(query)
        if not future.done():
            self.call_later(seconds, self._waiters.expire, future)
        return future

    def _wait_for_events(self, query: EventQuery, seconds: float) -> list[Event]:
        future = self._watch_events(query)
        try:
            return future.result(seconds)
        except TimeoutError:
            return []
        finally:
            self._unwatch(future)

    def _watch_events(self, query: EventQuery) -> Future[list[Event]]:
        """Return a future for the first events that match; `_unwatch` it when it is not needed.

        It is settled on the thread that stores the events. A query that `never_matches` is not to
        be watched.
        """
        return self._waiters.watch(query)

    def _unwatch(self, future: Future[list[Event]]) -> None:
        """Give up a future of `_watch_events`, done or not."""
        self._waiters.unwatch(future)
