"""What is special to maintenance and queries of databases: damage, several stores, indexes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ports import RetentionPolicy, StorageError
from ports._filters import (
    EVENT_ORDERS,
    RUN_ORDERS,
    SESSION_ORDERS,
    EventFilter,
    RunFilter,
    SessionFilter,
)
from ports._paging import Paging
from ports._validation import now
from stores import SQLAlchemySessionStore
from stores._sql._maintenance import SQLMaintenance
from supervisor.testing import eventually
from tests.contracts.maintenance import append, done, keeping, numbers
from tests.contracts.samples import event, run, session
from tests.stores.postgresql import empty_database
from tests.stores.processes import child, line_of

OLD = now() - timedelta(days=1000)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/sessions.db"
    else:
        with empty_database() as url:
            yield url


@pytest.fixture
def store(url: str) -> Iterator[SQLAlchemySessionStore]:
    with SQLAlchemySessionStore(url, synchronous="OFF") as store:
        yield store


def damage(store: SQLAlchemySessionStore, sql: str) -> None:
    store._connections.write(lambda cursor: cursor.execute(sql))


def problems(store: SQLAlchemySessionStore) -> list[tuple[str, str, Any]]:
    return [(each.kind, each.session_id, each.details) for each in store.health_check()]


class TestDamage:
    @pytest.fixture(autouse=True)
    def _three_sessions(self, store: SQLAlchemySessionStore):
        for id_ in ("a", "b", "c"):
            store.save_session(session(id=id_))
            append(store, 9, id_)
            store.prune_session_events(id_, keeping(6))
        assert store.health_check() == []

    @pytest.mark.parametrize(
        ("sql", "found"),
        [
            (
                "DELETE FROM regrow_events WHERE session_id = 'b' AND sequence_number IN (5, 6, 9)",
                [("sequence_gap", "b", {"count": 3, "ranges": [[5, 6], [9, 9]]})],
            ),
            (
                "DELETE FROM regrow_events WHERE session_id <> 'b'",
                [
                    ("sequence_gap", "a", {"count": 6, "ranges": [[4, 9]]}),
                    ("sequence_gap", "c", {"count": 6, "ranges": [[4, 9]]}),
                ],
            ),
            (
                "DELETE FROM regrow_pruned WHERE session_id = 'b'",
                [("sequence_gap", "b", {"count": 3, "ranges": [[1, 3]]})],
            ),
            (
                "UPDATE regrow_sequences SET last = 7 WHERE session_id = 'b'",
                [("sequence_behind", "b", {"last": 7, "found": 9})],
            ),
            (
                "DELETE FROM regrow_sequences WHERE session_id = 'b'",
                [("sequence_behind", "b", {"last": 0, "found": 9})],
            ),
            (
                "UPDATE regrow_pruned SET last = 5 WHERE session_id = 'b'",
                [("pruned_events_present", "b", {"count": 2, "ranges": [[4, 5]]})],
            ),
            (
                "DELETE FROM regrow_sessions WHERE id = 'b'",
                [("orphaned_events", "b", {"count": 6})],
            ),
        ],
    )
    def test_it_is_told_from_what_was_pruned(
        self, store: SQLAlchemySessionStore, sql: str, found: list[Any]
    ):
        damage(store, sql)
        assert problems(store) == found

    def test_no_more_than_a_thousand_problems(self, store: SQLAlchemySessionStore):
        store.append_events([event(f"x{number:04}") for number in range(1010)])
        found = store.health_check()
        assert len(found) == 1000
        assert found[-1].session_id == "x0999"


def test_usage_that_is_no_json_is_damage(store: SQLAlchemySessionStore):
    store.save_run(run(token_usage={"n": 1}))
    damage(store, "UPDATE regrow_runs SET token_usage = '{'")
    with pytest.raises(StorageError):
        store.get_usage_summary()
    assert store.get_cost_summary().run_count == 1


def test_a_large_session_goes_in_batches_and_what_is_left_is_no_damage(
    store: SQLAlchemySessionStore, monkeypatch: pytest.MonkeyPatch
):
    store.save_session(session(id="s", deleted_at=OLD))
    append(store, 25)
    delete = SQLMaintenance._delete_some

    def delete_once(self: Any, *arguments: Any) -> int:
        monkeypatch.setattr(SQLMaintenance, "_delete_some", die)
        return delete(self, *arguments)

    def die(*_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(SQLMaintenance, "_delete_some", delete_once)
    with pytest.raises(KeyboardInterrupt):
        store.execute(RetentionPolicy(batch_size=10))
    monkeypatch.undo()
    assert numbers(store) == list(range(11, 26))
    assert store.health_check() == []
    assert done(store.execute(RetentionPolicy(batch_size=10))) == (0, 1, 0)
    assert store.list_sessions(include_deleted=True) == []
    assert store.health_check() == []
    assert store.count_events() == 0


MAINTAIN = """
import sys
from ports import RetentionPolicy
from stores import SQLAlchemySessionStore
store = SQLAlchemySessionStore(sys.argv[1])
print("ready")
policy = RetentionPolicy(max_events_per_session=0, exempt_statuses=(), batch_size=1)
store.execute(policy)
"""


@pytest.mark.parametrize("deleted_at", [None, OLD])
def test_maintenance_that_is_killed_has_lost_nothing(url: str, deleted_at: Any):
    with SQLAlchemySessionStore(url) as store:
        store.save_session(session(id="s", deleted_at=deleted_at))
        append(store, 800)
        process = child(MAINTAIN, url)
        try:
            assert line_of(process) == "ready"
            eventually(lambda: 0 < len(numbers(store)) < 790)
        finally:
            process.kill()
            process.communicate()
        left = numbers(store)
        assert 0 < len(left) < 790
        assert left == list(range(801 - len(left), 801))
        assert store.health_check() == []
        assert store.append_event_with_sequence(event()).sequence_number == 801
        store.execute(keeping(5, hard_delete_after_days=1))
        assert len(numbers(store)) == (5 if deleted_at is None else 0)
        assert store.health_check() == []


def test_a_session_that_is_restored_meanwhile_stays(
    store: SQLAlchemySessionStore, monkeypatch: pytest.MonkeyPatch
):
    store.save_session(session(id="s", deleted_at=OLD))
    append(store, 3)
    delete = SQLMaintenance._delete_some

    def restore_first(self: Any, cursor: Any, ids: Any, values: Any) -> int:
        cursor.execute("UPDATE regrow_sessions SET deleted_at = NULL")
        return delete(self, cursor, ids, values)

    monkeypatch.setattr(SQLMaintenance, "_delete_some", restore_first)
    assert done(store.execute(RetentionPolicy())) == (0, 0, 0)
    assert numbers(store) == [1, 2, 3]
    assert store.get_session("s").deleted_at is None


def test_several_stores_maintain_one_database_while_others_write(url: str):
    stores = [SQLAlchemySessionStore(url, synchronous="OFF", busy_timeout=30) for _ in range(3)]
    try:
        for number in range(12):
            stores[0].save_session(
                session(id=f"old {number}", status="completed", updated_at=OLD, created_at=OLD)
            )
            append(stores[0], 5, f"old {number}")
        append(stores[0], 60)
        policy = RetentionPolicy(
            max_finished_session_age_days=1,
            hard_delete_after_days=0,
            max_events_per_session=20,
            batch_size=3,
        )

        def write(store: SQLAlchemySessionStore) -> None:
            for _ in range(20):
                store.append_event(event())

        with ThreadPoolExecutor(4) as threads:
            maintaining = [threads.submit(store.execute, policy) for store in stores[:2]]
            writing = [threads.submit(write, store) for store in stores[1:]]
            for each in writing:
                each.result()
            reports = [each.result() for each in maintaining]
        assert sum(report.sessions_soft_deleted for report in reports) == 12
        assert sum(report.sessions_hard_deleted for report in reports) == 12
        pruned = sum(report.events_pruned for report in reports)
        left = numbers(stores[2])
        assert pruned + len(left) == 100
        assert len(left) >= 20
        assert stores[0].get_latest_sequence("s") == 100
        assert [each.kind for each in stores[0].health_check()] == ["orphaned_events"]
        assert stores[0].count_events() == len(left)
    finally:
        for store in stores:
            store.close()


def plan_of(store: SQLAlchemySessionStore, found: tuple[str, Any]) -> str:
    sql, parameters = found

    def explain(cursor: Any) -> str:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
        return " / ".join(row[3] for row in cursor.fetchall())

    return store._connections.read(explain)


@pytest.mark.parametrize(
    ("orders", "wanted"),
    [
        (SESSION_ORDERS, SessionFilter.of()),
        (SESSION_ORDERS, SessionFilter.of(tags=["x"], status="active")),
        (RUN_ORDERS, RunFilter.of()),
        (EVENT_ORDERS, EventFilter.of()),
        (EVENT_ORDERS, EventFilter.of(type="message_sent", provider="p")),
    ],
)
def test_pages_are_read_along_an_index(tmp_path: Path, orders: Any, wanted: Any):
    with SQLAlchemySessionStore(f"sqlite:///{tmp_path}/sessions.db") as store:
        for order in orders:
            first = Paging.of(
                orders, wanted, order_by=order, limit=50, cursor=None, with_total=False
            )
            after = tuple("s" if kind is str else 5 for kind in first.order.place)
            for paging in (first, replace(first, after=after)):
                plan = plan_of(store, store._queries.page(wanted, paging))
                assert "USING INDEX" in plan, plan
                # Only what is of the same moment is sorted, and of events alone.
                assert "TEMP B-TREE" not in plan.replace("TEMP B-TREE FOR RIGHT PART", ""), plan


def test_events_are_found_by_their_correlation_id_along_an_index(tmp_path: Path):
    with SQLAlchemySessionStore(f"sqlite:///{tmp_path}/sessions.db") as store:
        plan = plan_of(store, store._queries.count(EventFilter.of(correlation_id="c")))
        assert "regrow_events_by_correlation" in plan, plan


def test_maintenance_does_not_go_through_all_sessions(tmp_path: Path):
    with SQLAlchemySessionStore(f"sqlite:///{tmp_path}/sessions.db") as store:
        values = {"before": 5, "limit": 5, "exempt_statuses": "[]", "exempt_tags": "[]"}
        values |= {"finished": "[]", "moment": 5}
        for statement, index in (
            (store._maintenance.to_be_deleted, "regrow_sessions_by_deletion"),
            (store._maintenance.delete_softly, "regrow_sessions_by_change"),
        ):
            plan = plan_of(store, (statement.sql, statement.parameters(values)))
            assert index in plan, plan
