"""Maintenance of a database: a transaction for each batch, and others in between.

Theory of operation. What is to be removed is looked for anew by each batch, or was looked for
before and is checked by the batch, under the lock of the sequence of its session. So any number of
stores may do maintenance on one database at the same time, and others may change their minds about
a session meanwhile.

A session that is deleted for good goes with one batch if it is small. Of a large one, the events go
first, batch by batch, and are written down as pruned; so whatever dies in between, nothing is said
to be lost, and the next execution goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Lock
from typing import Any, TypeVar

from ports import Maintenance, MaintenanceReport, Problem, RetentionPolicy, StorageError
from ports._arguments import session_id_argument
from ports._moments import microseconds
from ports._retention import FINISHED, policy_argument
from ports._validation import now
from stores._pruned import MOST_PROBLEMS, orphans, sequence_problems, sorted_problems, with_numbers

from ._connections import Connections
from ._driver import Cursor
from ._maintenance_statements import MaintenanceStatements
from ._queries import SQLQueries
from ._rows import LARGEST, session_of
from ._statements import Statement
from ._transaction import transaction

__all__ = ["SQLMaintenance"]

# Seconds between one batch and the next. A lock is not fair: without them, those who wait to write
# would mostly find it taken again.
_PAUSE = 0.001

# How often a batch is begun again because of what others do at the same moment.
_ATTEMPTS = 20

_Result = TypeVar("_Result")


class SQLMaintenance(SQLQueries, Maintenance):
    """What keeps a database small, and finds out what is wrong with it."""

    _connections: Connections
    _maintenance: MaintenanceStatements
    _maintaining: Lock

    def execute(self, policy: RetentionPolicy) -> MaintenanceReport:
        """Carry a policy out; see `Maintenance.execute`."""
        policy_argument(policy)
        began = time.monotonic()
        with self._maintaining:
            moment = now()
            soft = self._delete_softly(policy, moment)
            hard = self._delete_for_good(policy, moment)
            pruned = sum(self._prune(id, policy) for id in self._too_large(policy))
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
        return self._look(self._problems)

    # -- sessions ------------------------------------------------------------------------------

    def _delete_softly(self, policy: RetentionPolicy, moment: datetime) -> int:
        before = policy.expired_before(moment)
        if before is None:
            return 0
        values = {
            **self._exempt(policy),
            "finished": self._several(sorted(FINISHED)),
            "before": microseconds(before),
            "moment": microseconds(moment),
            "limit": _bounded(policy.batch_size),
        }
        count = 0
        while True:
            changed = self._batch(
                lambda cursor: _changed(cursor, self._maintenance.delete_softly, values)
            )
            count += changed
            if not changed:
                return count
            time.sleep(_PAUSE)

    def _delete_for_good(self, policy: RetentionPolicy, moment: datetime) -> int:
        before = policy.deleted_before(moment)
        if before is None:
            return 0
        values = {
            **self._exempt(policy),
            "before": microseconds(before),
            "limit": _bounded(policy.batch_size),
        }
        count = 0
        while True:
            ids = self._look(
                lambda cursor: _column(cursor, self._maintenance.to_be_deleted, values)
            )
            if not ids:
                return count
            count += self._batch(
                lambda cursor, ids=ids: self._delete_some(cursor, sorted(ids), values)  # type: ignore[misc]
            )
            time.sleep(_PAUSE)

    def _delete_some(self, cursor: Cursor, ids: Sequence[str], values: dict[str, Any]) -> int:
        """Delete sessions, but no more events than a batch has; return how many sessions went."""
        count = 0
        room = values["limit"]
        for session_id in ids:
            self._connections.database.last_sequence(cursor, session_id)
            still = {**values, "id": session_id}
            if not _column(cursor, self._maintenance.is_to_be_deleted, still):
                continue
            numbers = self._first_numbers(cursor, session_id, room)
            if len(numbers) == room:
                # There may be more.
                self._remove(cursor, session_id, numbers)
                break
            room -= len(numbers)
            for sql in self._statements.delete_session:
                cursor.execute(sql, (session_id,))
            count += 1
        return count

    # -- events --------------------------------------------------------------------------------

    def _too_large(self, policy: RetentionPolicy) -> list[str]:
        most = policy.max_events_per_session
        if most is None:
            return []
        values = {"most": _bounded(most)}
        return self._look(lambda cursor: _column(cursor, self._maintenance.too_large, values))

    def _prune(self, session_id: str, policy: RetentionPolicy) -> int:
        excess = self._look(lambda cursor: self._excess(cursor, session_id, policy))
        key = {"session_id": session_id}
        first = {**key, "types": self._several(policy.prune_event_types_first)}
        pruned = 0
        for statement, values in (
            (self._maintenance.numbers_of_types, first),
            (self._maintenance.numbers, key),
        ):
            after = 0
            while pruned < excess:
                some = {
                    **values,
                    "after": after,
                    "limit": _bounded(min(policy.batch_size, excess - pruned)),
                }
                numbers = self._batch(
                    lambda cursor, statement=statement, some=some: self._prune_some(  # type: ignore[misc]
                        cursor, statement, some, policy
                    )
                )
                pruned += len(numbers)
                if len(numbers) < some["limit"]:
                    break
                after = numbers[-1]
                time.sleep(_PAUSE)
        return pruned

    def _excess(self, cursor: Cursor, session_id: str, policy: RetentionPolicy) -> int:
        cursor.execute(self._statements.get_session, (session_id,))
        rows = cursor.fetchall()
        if rows and policy.is_exempt(session_of(rows[0])):
            return 0
        cursor.execute(self._queries.event_stats, (session_id,))
        return policy.excess(cursor.fetchall()[0][0])

    def _prune_some(
        self, cursor: Cursor, statement: Statement, some: dict[str, Any], policy: RetentionPolicy
    ) -> list[int]:
        """Remove the events that a statement selects; return their numbers.

        They are fewer than it is told if other stores have pruned the session meanwhile.
        """
        session_id = some["session_id"]
        last = self._connections.database.last_sequence(cursor, session_id)
        (gone,) = _column(cursor, self._maintenance.pruned_count, some)
        limit = min(some["limit"], policy.excess(last - int(gone)))
        numbers = _column(cursor, statement, {**some, "limit": limit})
        self._remove(cursor, session_id, numbers)
        return numbers

    def _first_numbers(self, cursor: Cursor, session_id: str, count: int) -> list[int]:
        values = {"session_id": session_id, "after": 0, "limit": count}
        return _column(cursor, self._maintenance.numbers, values)

    def _remove(self, cursor: Cursor, session_id: str, numbers: Sequence[int]) -> None:
        """Remove events that are there, and write down that they were pruned."""
        if not numbers:
            return
        values: dict[str, Any] = {"session_id": session_id, "numbers": self._several(numbers)}
        _changed(cursor, self._maintenance.delete_events, values)
        around = {"session_id": session_id, "from": numbers[0] - 1, "to": numbers[-1] + 1}
        ranges = _fetched(cursor, self._maintenance.pruned_around, around)
        _changed(cursor, self._maintenance.delete_pruned_around, around)
        for first, last in with_numbers(ranges, numbers):
            row = {"session_id": session_id, "first": first, "last": last}
            _changed(cursor, self._maintenance.insert_pruned, row)

    # -- health --------------------------------------------------------------------------------

    def _problems(self, cursor: Cursor) -> list[Problem]:
        most = {"limit": MOST_PROBLEMS}
        problems = []
        for session_id, last in _fetched(cursor, self._maintenance.suspicious, most):
            key = {"session_id": session_id, "after": 0, "limit": LARGEST}
            numbers = _column(cursor, self._maintenance.numbers, key)
            ranges = _fetched(
                cursor,
                self._maintenance.pruned_around,
                {"session_id": session_id, "from": 0, "to": LARGEST},
            )
            problems += sequence_problems(session_id, last or 0, numbers, sorted(ranges))
        for kind, statement in (
            ("runs", self._maintenance.orphaned_runs),
            ("events", self._maintenance.orphaned_events),
        ):
            problems += [orphans(kind, *row) for row in _fetched(cursor, statement, most)]
        return sorted_problems(problems)[:MOST_PROBLEMS]

    # -- within --------------------------------------------------------------------------------

    def _exempt(self, policy: RetentionPolicy) -> dict[str, Any]:
        return {
            "exempt_statuses": self._several(policy.exempt_statuses),
            "exempt_tags": self._several(policy.exempt_tags),
        }

    def _several(self, values: Sequence[Any]) -> Any:
        return self._queries.expressions.several(values)

    def _batch(self, work: Callable[[Cursor], _Result]) -> _Result:
        """Return what `work` returns, once what it did is committed."""
        for _ in range(_ATTEMPTS):
            try:
                return self._connections.write(
                    lambda cursor: self._attempt(cursor, lambda: work(cursor))
                )
            except _Conflict:
                continue
        shown = self._connections.database.shown
        raise StorageError(
            f"the database {shown} was changed by others during every one of {_ATTEMPTS} attempts "
            "to maintain it"
        )

    def _attempt(self, cursor: Cursor, work: Callable[[], _Result]) -> _Result:
        try:
            return transaction(self._connections, cursor, work)
        except self._connections.errors as error:
            if self._connections.database.is_conflict(error):
                raise _Conflict from error
            raise


class _Conflict(Exception):
    """The batch failed only because of others that ran beside it."""


def _fetched(cursor: Cursor, statement: Statement, values: dict[str, Any]) -> list[Any]:
    cursor.execute(statement.sql, statement.parameters(values))
    return cursor.fetchall()


def _column(cursor: Cursor, statement: Statement, values: dict[str, Any]) -> list[Any]:
    return [row[0] for row in _fetched(cursor, statement, values)]


def _changed(cursor: Cursor, statement: Statement, values: dict[str, Any]) -> int:
    cursor.execute(statement.sql, statement.parameters(values))
    return cursor.rowcount


def _bounded(number: int) -> int:
    return min(number, LARGEST)
