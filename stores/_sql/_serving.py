"""The operations of a process that keeps sessions in a database: writes share transactions.

A write is not carried out when its request is taken up, but together with those of all requests
that are there by then, in one transaction; each has its own result, and is answered after the
commit. Callers that have just been answered mostly come back at once, one after the other: so the
next transaction waits for as many as the last one served, though no longer than half of what that
took. Reading commits what is waiting first, so that whoever reads sees what was written before.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from ports import Event, Run, Session, StoreError
from stores._waiting import WaitingSessionStore
from supervisor import operation

__all__ = ["GroupCommitServing"]

# Seconds; a transaction may have taken long for reasons of its own.
_LONGEST_PATIENCE = 0.002

# Writes in one transaction, at most.
_MOST = 512

_Queued = tuple[tuple[str, Sequence[Any], dict[str, Any]], Future[Any]]


class GroupCommitServing(WaitingSessionStore):
    """What a database store adds as a server."""

    @abstractmethod
    def _write_batch(
        self, operations: Sequence[tuple[str, Sequence[Any], dict[str, Any]]]
    ) -> list[Any]: ...

    def on_start(self) -> None:
        """Become a server."""
        self._queue: list[_Queued] = []
        self._served_last = 1
        self._patience = 0.0
        self._is_due = False

    def _later(self, name: str, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._queue.append(((name, args, {}), future))
        waiting = len(self._queue)
        if waiting == 1 and self._served_last > 1:
            self.call_later(self._patience, self._commit_queue)
        elif waiting >= self._served_last and not self._is_due:
            self._is_due = True
            self.call_later(0, self._commit_queue)
        return future

    def _commit_queue(self) -> None:
        """Carry out what waits, and answer it."""
        self._is_due = False
        while self._queue:
            queued, self._queue = self._queue[:_MOST], self._queue[_MOST:]
            self._served_last = len(queued)
            began = time.monotonic()
            outcomes = self._write_batch([write for write, _ in queued])
            self._patience = min((time.monotonic() - began) / 2, _LONGEST_PATIENCE)
            for (_, future), outcome in zip(queued, outcomes, strict=True):
                if isinstance(outcome, StoreError):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)

    @operation("save_session", threads=False)
    def _serve_save_session(self, session: Session) -> Future[Any]:
        return self._later("save_session", session)

    @operation("delete_session", threads=False)
    def _serve_delete_session(self, session_id: str) -> Future[Any]:
        return self._later("delete_session", session_id)

    @operation("save_run", threads=False)
    def _serve_save_run(self, run: Run) -> Future[Any]:
        return self._later("save_run", run)

    @operation("append_event", threads=False)
    def _serve_append_event(self, event: Event) -> Future[Any]:
        return self._later("append_event", event)

    @operation("append_event_with_sequence", threads=False)
    def _serve_append_event_with_sequence(self, event: Event) -> Future[Any]:
        return self._later("append_event_with_sequence", event)

    @operation("append_events", threads=False)
    def _serve_append_events(self, events: Sequence[Event]) -> Future[Any]:
        return self._later("append_events", events)

    @operation("flush", threads=False)
    def _serve_flush(self, session: Session, run: Run, events: Sequence[Event]) -> Future[Any]:
        return self._later("flush", session, run, events)

    @operation("get_session", threads=False)
    def _serve_get_session(self, session_id: str) -> Session:
        self._commit_queue()
        return self.get_session(session_id)

    @operation("list_sessions", threads=False)
    def _serve_list_sessions(self, **filters: Any) -> list[Session]:
        self._commit_queue()
        return self.list_sessions(**filters)

    @operation("get_run", threads=False)
    def _serve_get_run(self, run_id: str) -> Run:
        self._commit_queue()
        return self.get_run(run_id)

    @operation("list_runs", threads=False)
    def _serve_list_runs(self, session_id: str, **filters: Any) -> list[Run]:
        self._commit_queue()
        return self.list_runs(session_id, **filters)

    @operation("get_active_run", threads=False)
    def _serve_get_active_run(self, session_id: str) -> Run | None:
        self._commit_queue()
        return self.get_active_run(session_id)

    @operation("get_latest_sequence", threads=False)
    def _serve_get_latest_sequence(self, session_id: str) -> int:
        self._commit_queue()
        return self.get_latest_sequence(session_id)

    @operation("get_events", threads=False)
    def _serve_events(
        self, session_id: str, *, wait_timeout: float | None = None, **filters: Any
    ) -> list[Event] | Future[list[Event]]:
        self._commit_queue()
        return super()._serve_events(session_id, wait_timeout=wait_timeout, **filters)
