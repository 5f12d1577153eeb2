"""Hearing of the events that other stores append to the same PostgreSQL database.

Theory of operation. A transaction that stores events says so by NOTIFY, to be delivered when it
commits. Whoever has readers that wait has one connection that LISTENs, and one thread that sleeps
in `select` until something comes; readers themselves cost nothing while they wait. What is said
are the ids of sessions: who waits for one of them is woken, and searches again.

NOTIFY is not free: PostgreSQL commits transactions that notify one after the other, in the whole
server. So it is done only where somebody listens, which shows by an advisory lock: those who listen
share it for as long as they do, and a writer tries to take it for itself. Where it gets it, nobody
listens; and as it keeps it until its end, whoever wants to listen has to wait for that, and then
finds what was written. Where it does not, somebody listens, or another writer has been first.

What was said while the connection was down is lost: all who wait search again once there is
another, as they do when the first one is there.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from ports import StoreError

from ._connections import Connections
from ._driver import Cursor

__all__ = ["Listener", "announce"]

logger = logging.getLogger("stores")

_CHANNEL = "regrow_events"

# Any number that others are unlikely to lock by: "regrow:L", as bytes.
_LOCK = int.from_bytes(b"regrow:L")

_LISTEN = f"LISTEN {_CHANNEL}"
_ATTEND = f"SELECT pg_advisory_lock_shared({_LOCK})"
_ANNOUNCE = (
    f"SELECT CASE WHEN NOT pg_try_advisory_xact_lock({_LOCK}) THEN pg_notify('{_CHANNEL}', %s) END"
)

# Bytes of session ids; a payload has to be shorter than 8000.
_LONGEST = 7900

# Said instead of the sessions where a single id is longer than that.
_ALL = "*"

# Seconds between two attempts to connect: at first, and at most.
_SHORTEST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0


def announce(cursor: Cursor, origin: str, session_ids: Iterable[str]) -> None:
    """Tell those who listen, once this transaction commits, of sessions that have new events.

    Args:
        cursor: In a transaction.
        origin: Says who tells it, to himself: he knows already.
        session_ids: The sessions.

    """
    for payload in _payloads(origin, session_ids):
        cursor.execute(_ANNOUNCE, (payload,))


def _payloads(origin: str, session_ids: Iterable[str]) -> Iterator[str]:
    some: list[str] = []
    length = 0
    for session_id in session_ids:
        # ASCII, so that its characters are bytes.
        added = len(json.dumps(session_id)) + 1
        if added > _LONGEST:
            yield json.dumps([origin, _ALL])
            return
        if length + added > _LONGEST:
            yield json.dumps([origin, some], separators=(",", ":"))
            some, length = [], 0
        some.append(session_id)
        length += added
    if some:
        yield json.dumps([origin, some], separators=(",", ":"))


class Listener:
    """Listens on one connection and one thread, from the first `start` until `close`.

    Args:
        connections: Those of the store; this one is beside them.
        heard: Is called on the thread with the ids of sessions that have new events; with None,
            where any session may have.

    Attributes:
        is_listening: Whether it hears what is said now.

    """

    def __init__(
        self, connections: Connections, heard: Callable[[Collection[str] | None], None]
    ) -> None:
        self._connections = connections
        self._heard = heard
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: Any = None
        self.is_listening = False
        self._pause = _SHORTEST_PAUSE
        # A pipe that nothing is written to: the thread wakes when its other end is closed.
        self._pipe: tuple[int, int] | None = None

    def start(self) -> None:
        """Begin to listen, unless this one does already, or is closed."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                self._pipe = os.pipe()
                self._thread = threading.Thread(
                    target=self._run, args=(self._pipe[0],), name="regrow listener", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Listen no more; twice is no error."""
        self._closed.set()
        with self._lock:
            thread, self._thread, pipe, self._pipe = self._thread, None, self._pipe, None
        if thread is not None and pipe is not None:
            os.close(pipe[1])
            thread.join()
            os.close(pipe[0])

    def after_fork(self) -> Any:
        """Let go of what belongs to the parent process, in a child that was forked from it.

        Returns:
            The connection, which is to be kept and never used again; None, if there is none.

        """
        self._closed.set()
        for end in self._pipe or ():
            os.close(end)
        self._pipe = self._thread = None
        return self._connection

    def _run(self, woken: int) -> None:
        while not self._closed.is_set():
            try:
                self._listen(woken)
            except (StoreError, self._connections.errors) as error:
                shown = self._connections.database.shown
                if self._pause == _SHORTEST_PAUSE:
                    logger.warning("not listening to %s for the moment: %s", shown, error)
                self._closed.wait(self._pause)
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _listen(self, woken: int) -> None:
        """Listen until closed; an error means that the connection is lost."""
        connection: Any = self._connections.connect()
        self._connection = connection
        try:
            cursor = connection.cursor()
            # In this order: a writer who has not seen the lock is waited for.
            cursor.execute(_LISTEN)
            cursor.execute(_ATTEND)
            self._pause = _SHORTEST_PAUSE
            self._heard(None)
            self.is_listening = True
            with selectors.DefaultSelector() as selector:
                selector.register(woken, selectors.EVENT_READ)
                selector.register(connection.fileno(), selectors.EVENT_READ)
                while not self._closed.is_set():
                    self._tell(connection.pgconn)
                    selector.select()
                    connection.pgconn.consume_input()
        finally:
            self.is_listening = False
            self._connection = None
            connection.close()

    def _tell(self, driver: Any) -> None:
        """Hand on what has come, each session once."""
        heard: set[str] | None = set()
        while (notification := driver.notifies()) is not None:
            said = _said(notification.extra)
            if said is None:
                heard = None
            elif heard is not None and said[0] != self._connections.origin:
                heard.update(said[1])
        if heard is None or heard:
            self._heard(heard)


def _said(payload: bytes) -> tuple[str, list[str]] | None:
    """Return who says what; None for what may mean anything, a stranger's included."""
    try:
        origin, session_ids = json.loads(payload)
    except (ValueError, TypeError):
        return None
    if not isinstance(origin, str) or not isinstance(session_ids, list):
        return None
    return origin, [each for each in session_ids if isinstance(each, str)]
