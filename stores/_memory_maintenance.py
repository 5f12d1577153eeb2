"""Maintenance in memory: a batch at a time under the lock."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from threading import Lock
from typing import TypeVar

from ports import Event, Maintenance, MaintenanceReport, Problem, RetentionPolicy, Session
from ports._arguments import session_id_argument
from ports._retention import policy_argument
from ports._validation import now
from stores._event_log import EventLog
from stores._pruned import MOST_PROBLEMS, orphans, sequence_problems, size, sorted_problems
from stores._timeline import RunTimelines, Timeline

__all__ = ["MemoryMaintenance"]

# Seconds between one batch and the next. A lock is not fair: without them, those who wait for it
# would mostly find it taken again.
_PAUSE = 0.0005

_Item = TypeVar("_Item")


class MemoryMaintenance(Maintenance):
    """What keeps a store in memory small, and finds out what is wrong with it."""

    _lock: Lock
    _maintaining: Lock
    _sessions: Timeline[Session]
    _runs: RunTimelines
    _logs: dict[str, EventLog]
    _events: dict[str, Event]
    _check_open: Callable[[], None]
    _put_session: Callable[[Session], None]
    _drop_session: Callable[[str], None]

    def execute(self, policy: RetentionPolicy) -> MaintenanceReport:
        """Carry a policy out; see `Maintenance.execute`."""
        policy_argument(policy)
        began = time.monotonic()
        with self._maintaining:
            moment = now()
            soft = self._delete_softly(policy, moment)
            hard = self._delete_for_good(policy, moment)
            pruned = sum(self._prune(id, policy) for id in self._sessions_with_events())
        return MaintenanceReport(
            sessions_soft_deleted=soft,
            sessions_hard_deleted=hard,
            events_pruned=pruned,
            duration=time.monotonic() - began,
        )

    def prune_session_events(self, session_id: str, policy: RetentionPolicy) -> int:
        """Remove the events that are too many; see `Maintenance.prune_session_events`."""
        session_id_argument(session_id)
        policy_argument(policy)
        with self._maintaining:
            return self._prune(session_id, policy)

    def health_check(self) -> list[Problem]:
        """Return what is wrong; see `Maintenance.health_check`."""
        with self._lock:
            self._check_open()
            sessions = {session.id for session in self._sessions}
            runs = Counter(run.session_id for _, run in self._runs.numbered())
            logs = {
                id: (log.last, [event.sequence_number or 0 for event in log.events], log.pruned)
                for id, log in self._logs.items()
            }
        problems = [
            problem
            for id, (last, numbers, pruned) in logs.items()
            if len(numbers) + size(pruned) != last or (numbers and numbers[-1] > last)
            for problem in sequence_problems(id, last, numbers, pruned)
        ]
        problems += [orphans("runs", id, count) for id, count in runs.items() if id not in sessions]
        problems += [
            orphans("events", id, len(numbers))
            for id, (_, numbers, _) in logs.items()
            if numbers and id not in sessions
        ]
        return sorted_problems(problems)[:MOST_PROBLEMS]

    def _delete_softly(self, policy: RetentionPolicy, moment: datetime) -> int:
        count = 0
        for batch in self._batches(self._ids_of(policy.is_expired, moment), policy):
            for session_id in batch:
                session = self._sessions.get(session_id)
                if session is not None and policy.is_expired(session, moment):
                    self._put_session(replace(session, deleted_at=moment))
                    count += 1
        return count

    def _delete_for_good(self, policy: RetentionPolicy, moment: datetime) -> int:
        count = 0
        for session_id in self._ids_of(policy.is_to_be_deleted, moment):
            # What the session has goes first: there may be a lot of it.
            self._remove(session_id, self._numbers(session_id), policy, moment)
            with self._lock:
                self._check_open()
                if self._is_to_be_deleted(session_id, policy, moment):
                    self._drop_session(session_id)
                    count += 1
        return count

    def _prune(self, session_id: str, policy: RetentionPolicy) -> int:
        with self._lock:
            self._check_open()
            session = self._sessions.get(session_id)
            log = self._logs.get(session_id)
            excess = 0 if log is None else policy.excess(len(log.events))
            if log is None or not excess or (session is not None and policy.is_exempt(session)):
                return 0
            events = list(log.events)
        return self._remove(session_id, _to_prune(events, excess, policy), policy)

    def _remove(
        self,
        session_id: str,
        numbers: Sequence[int],
        policy: RetentionPolicy,
        deleting_at: datetime | None = None,
    ) -> int:
        """Remove events; where their session is being deleted, as long as it is to be."""
        count = 0
        for batch in self._batches(numbers, policy):
            log = self._logs.get(session_id)
            if log is None or (
                deleting_at is not None
                and not self._is_to_be_deleted(session_id, policy, deleting_at)
            ):
                break
            for event in log.prune(batch):
                del self._events[event.id]
                count += 1
        return count

    def _batches(self, items: Sequence[_Item], policy: RetentionPolicy) -> Iterator[list[_Item]]:
        """Give some items at a time, for what is done under the lock, and let others have it."""
        for start in range(0, len(items), policy.batch_size):
            if start:
                time.sleep(_PAUSE)
            with self._lock:
                self._check_open()
                yield list(items[start : start + policy.batch_size])

    def _ids_of(self, is_meant: Callable[[Session, datetime], bool], moment: datetime) -> list[str]:
        with self._lock:
            self._check_open()
            sessions = list(self._sessions)
        return [session.id for session in sessions if is_meant(session, moment)]

    def _is_to_be_deleted(self, session_id: str, policy: RetentionPolicy, moment: datetime) -> bool:
        session = self._sessions.get(session_id)
        return session is not None and policy.is_to_be_deleted(session, moment)

    def _sessions_with_events(self) -> list[str]:
        with self._lock:
            return list(self._logs)

    def _numbers(self, session_id: str) -> list[int]:
        with self._lock:
            log = self._logs.get(session_id)
            return [] if log is None else [event.sequence_number or 0 for event in log.events]


def _to_prune(events: Iterable[Event], excess: int, policy: RetentionPolicy) -> list[int]:
    """Return the numbers of so many events: of the types that go first, then of the oldest."""
    first = frozenset(policy.prune_event_types_first)
    groups: tuple[list[int], list[int]] = ([], [])
    for event in events:
        groups[event.type not in first].append(event.sequence_number or 0)
    return [*groups[0], *groups[1]][:excess]
