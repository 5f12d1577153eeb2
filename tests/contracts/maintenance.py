"""The contract of maintenance: what a policy removes, and what a health check finds."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from ports import (
    MaintenanceReport,
    Problem,
    RetentionPolicy,
    SessionNotFound,
    ValidationError,
)
from ports._validation import now
from tests.contracts.samples import event, run, session

KEEP = RetentionPolicy(
    max_finished_session_age_days=None, hard_delete_after_days=None, exempt_statuses=()
)


def days_ago(days: float) -> Any:
    return now() - timedelta(days=days)


def keeping(count: int | None, **fields: Any) -> RetentionPolicy:
    """Return a policy that prunes and does nothing else."""
    return RetentionPolicy.from_map({**KEEP.to_map(), "max_events_per_session": count, **fields})


def done(report: MaintenanceReport) -> tuple[int, int, int]:
    assert report.duration >= 0
    return report.sessions_soft_deleted, report.sessions_hard_deleted, report.events_pruned


def numbers(store: Any, session_id: str = "s") -> list[int]:
    return [each.sequence_number for each in store.get_events(session_id)]


def append(store: Any, count: int, session_id: str = "s", **fields: Any) -> None:
    store.append_events([event(session_id, **fields) for _ in range(count)])


class TestDeleting:
    def test_finished_sessions_are_deleted_softly_at_their_age(self, session_store: Any):
        for id_, status, days in (
            ("old completed", "completed", 11),
            ("old failed", "failed", 10.01),
            ("old cancelled", "cancelled", 4000),
            ("young", "completed", 9.9),
            ("old active", "active", 11),
            ("old pending", "pending", 11),
        ):
            session_store.save_session(
                session(id=id_, status=status, created_at=days_ago(5000), updated_at=days_ago(days))
            )
        policy = RetentionPolicy(max_finished_session_age_days=10, batch_size=2)
        began = now()
        assert done(session_store.execute(policy)) == (3, 0, 0)
        listed = {each.id for each in session_store.list_sessions()}
        assert listed == {"young", "old active", "old pending"}
        deleted = session_store.get_session("old failed")
        assert deleted.deleted_at is not None
        assert began <= deleted.deleted_at <= now()
        assert deleted.updated_at < days_ago(10)
        assert done(session_store.execute(policy)) == (0, 0, 0)

    def test_sessions_are_deleted_for_good_some_time_later(self, session_store: Any):
        for id_, days in (("gone", 31), ("soon", 29)):
            session_store.save_session(session(id=id_, deleted_at=days_ago(days)))
            session_store.save_run(run(id_, id=f"{id_} run"))
            append(session_store, 5, id_)
        session_store.save_session(session(id="there"))
        assert done(session_store.execute(RetentionPolicy(batch_size=2))) == (0, 1, 0)
        with pytest.raises(SessionNotFound):
            session_store.get_session("gone")
        assert session_store.list_runs("gone") == []
        assert numbers(session_store, "gone") == []
        assert session_store.get_latest_sequence("gone") == 0
        assert numbers(session_store, "soon") == [1, 2, 3, 4, 5]
        assert session_store.get_session("there").deleted_at is None
        # Whoever uses the id again begins anew.
        append(session_store, 1, "gone")
        session_store.save_session(session(id="gone"))
        assert numbers(session_store, "gone") == [1]
        assert session_store.health_check() == []

    def test_both_at_once(self, session_store: Any):
        session_store.save_session(session(status="completed", updated_at=days_ago(1)))
        policy = RetentionPolicy(max_finished_session_age_days=0.5, hard_delete_after_days=0)
        assert done(session_store.execute(policy)) == (1, 1, 0)
        assert session_store.list_sessions(include_deleted=True) == []

    def test_never(self, session_store: Any):
        session_store.save_session(session(id="a", status="completed", updated_at=days_ago(9999)))
        session_store.save_session(session(id="b", deleted_at=days_ago(9999)))
        append(session_store, 9)
        assert done(session_store.execute(KEEP)) == (0, 0, 0)
        beyond = RetentionPolicy(max_finished_session_age_days=10**9, hard_delete_after_days=2e12)
        assert done(session_store.execute(beyond)) == (0, 0, 0)

    def test_what_is_exempt_is_left_alone(self, session_store: Any):
        old = days_ago(9999)
        for id_, fields in (
            ("status", {"status": "failed"}),
            ("tag", {"status": "completed", "tags": ["x", "keep"]}),
            ("neither", {"status": "completed", "tags": ["keep it"]}),
        ):
            session_store.save_session(session(id=id_, updated_at=old, **fields))
            session_store.save_session(session(id=f"{id_} gone", deleted_at=old, **fields))
            append(session_store, 3, id_)
        policy = RetentionPolicy(
            exempt_statuses=("failed",), exempt_tags=("keep",), max_events_per_session=1
        )
        assert done(session_store.execute(policy)) == (1, 1, 2)
        assert {each.id for each in session_store.list_sessions(include_deleted=True)} == {
            "status",
            "status gone",
            "tag",
            "tag gone",
            "neither",
        }
        assert session_store.prune_session_events("tag", policy) == 0


class TestPruning:
    def test_the_oldest_events_go(self, session_store: Any):
        append(session_store, 10)
        append(session_store, 3, "t")
        assert session_store.prune_session_events("s", keeping(4, batch_size=4)) == 6
        assert numbers(session_store) == [7, 8, 9, 10]
        assert numbers(session_store, "t") == [1, 2, 3]
        assert session_store.prune_session_events("s", keeping(4)) == 0
        assert session_store.prune_session_events("s", keeping(None)) == 0
        assert session_store.prune_session_events("no-such-session", keeping(0)) == 0

    def test_numbers_are_not_given_out_again(self, session_store: Any):
        append(session_store, 5)
        assert session_store.prune_session_events("s", keeping(0)) == 5
        assert numbers(session_store) == []
        assert session_store.get_latest_sequence("s") == 5
        assert session_store.append_event_with_sequence(event()).sequence_number == 6
        append(session_store, 2)
        assert session_store.prune_session_events("s", keeping(1)) == 2
        assert numbers(session_store) == [8]
        assert session_store.get_latest_sequence("s") == 8

    @pytest.mark.parametrize("batch_size", [3, 100])
    def test_some_types_go_first(self, session_store: Any, batch_size: int):
        for number in range(12):
            kind = ("message_sent", "message_streamed", "turn_completed")[number % 3]
            append(session_store, 1, type=kind)
        policy = keeping(
            7, prune_event_types_first=("message_streamed", "turn_completed"), batch_size=batch_size
        )
        assert session_store.prune_session_events("s", policy) == 5
        assert numbers(session_store) == [1, 4, 7, 9, 10, 11, 12]
        policy = keeping(
            2, prune_event_types_first=("message_streamed", "turn_completed"), batch_size=batch_size
        )
        assert session_store.prune_session_events("s", policy) == 5
        assert numbers(session_store) == [7, 10]
        assert session_store.health_check() == [
            Problem(
                kind="orphaned_events",
                session_id="s",
                message="session 's' is not stored, and has 2 events",
                details={"count": 2},
            )
        ]

    def test_reading_goes_on_around_what_is_gone(self, session_store: Any):
        session_store.save_session(session(id="s"))
        for number in range(1, 9):
            append(session_store, 1, type="message_streamed" if number % 2 else "message_sent")
        policy = keeping(5, prune_event_types_first=("message_streamed",))
        assert session_store.prune_session_events("s", policy) == 3
        assert numbers(session_store) == [2, 4, 6, 7, 8]

        def read(**bounds: int) -> list[int]:
            return [each.sequence_number for each in session_store.get_events("s", **bounds)]

        assert read(after=3) == [4, 6, 7, 8]
        assert read(after=4, before=8) == [6, 7]
        assert read(before=5, limit=1) == [2]
        assert read(after=8) == read(after=2**70) == read(before=1) == read(before=2) == []
        assert session_store.count_events() == 5
        stats = session_store.get_session_stats("s")
        assert (stats.event_count, stats.latest_sequence) == (5, 8)
        assert session_store.health_check() == []
        session_store.delete_session("s")
        append(session_store, 1)
        assert numbers(session_store) == [1]

    def test_a_policy_prunes_every_session(self, session_store: Any):
        for id_, count in (("a", 5), ("b", 2), ("c", 4)):
            session_store.save_session(session(id=id_))
            append(session_store, count, id_)
        assert done(session_store.execute(keeping(3))) == (0, 0, 3)
        assert [numbers(session_store, id_) for id_ in "abc"] == [[3, 4, 5], [1, 2], [2, 3, 4]]
        assert session_store.health_check() == []

    def test_others_append_and_prune_meanwhile(self, session_store: Any):
        session_store.save_session(session(id="s"))
        append(session_store, 60)
        with ThreadPoolExecutor(4) as threads:
            pruning = [
                threads.submit(session_store.prune_session_events, "s", keeping(10, batch_size=7))
                for _ in range(2)
            ]
            appending = [threads.submit(append, session_store, 20) for _ in range(2)]
            for each in appending:
                each.result()
            pruned = sum(each.result() for each in pruning)
        left = numbers(session_store)
        assert pruned + len(left) == 100
        assert left == sorted(left)
        assert session_store.get_latest_sequence("s") == 100
        assert session_store.health_check() == []

    def test_others_are_served_meanwhile(self, session_store: Any):
        append(session_store, 60)
        served = 0
        with ThreadPoolExecutor(1) as threads:
            policy = keeping(0, batch_size=1)
            pruning = threads.submit(session_store.prune_session_events, "s", policy)
            while not pruning.done():
                append(session_store, 1, "t")
                served += 1
        assert pruning.result() == 60
        assert served > 3
        assert session_store.get_latest_sequence("t") == served


class TestHealth:
    def test_an_empty_store_is_healthy(self, session_store: Any):
        assert session_store.health_check() == []

    def test_orphans_are_told_of(self, session_store: Any):
        session_store.save_session(session(id="s"))
        append(session_store, 2)
        session_store.save_run(run())
        assert session_store.health_check() == []
        append(session_store, 1, "v")
        append(session_store, 3, "u")
        for of in ("u", "w", "w"):
            session_store.save_run(run(of))
        found = session_store.health_check()
        assert [(each.kind, each.session_id, each.details) for each in found] == [
            ("orphaned_events", "u", {"count": 3}),
            ("orphaned_runs", "u", {"count": 1}),
            ("orphaned_events", "v", {"count": 1}),
            ("orphaned_runs", "w", {"count": 2}),
        ]
        assert str(found[0]) == "session 'u' is not stored, and has 3 events"


class TestWrongMaintenance:
    def test_arguments_that_cannot_be(self, session_store: Any):
        for policy in (None, 5, {}, {"batch_size": 1}, "policy", []):
            for call in (
                partial(session_store.execute, policy),
                partial(session_store.prune_session_events, "s", policy),
            ):
                with pytest.raises(ValidationError) as caught:
                    call()
                assert caught.value.details["field"] == "policy"
        for session_id in ("", None, 5, ["s"]):
            with pytest.raises(ValidationError, match="session_id"):
                session_store.prune_session_events(session_id, keeping(1))
        assert session_store.health_check() == []
