"""The contract of session stores: runs."""

import pytest

from ports import RUN_STATUSES, RunNotFound, SessionStore
from tests.contracts.cases import cases
from tests.contracts.samples import AWKWARD_JSON, at, run, session


class TestRuns:
    def test_a_saved_run_is_returned_with_every_field(self, session_store: SessionStore):
        saved = run(
            status="failed",
            input={"prompt": "Hello"},
            output=["a", 1],
            error="broken",
            metadata=AWKWARD_JSON,
            turn_count=3,
            token_usage={"input_tokens": 10, "cost": 0.5},
            started_at=at(0),
            ended_at=at(1),
            provider="someone",
            provider_metadata={"model": "m"},
            cost_usd=0.1,
        )
        session_store.save_run(saved)
        assert session_store.get_run(saved.id) == saved

    @cases("value", [None, "", "text", 0, 1.5, True, [], {}, [None], {"a": {}}])
    def test_input_output_and_error_are_any_json(self, session_store: SessionStore, value: object):
        saved = run(input=value, output=value, error=value)
        session_store.save_run(saved)
        kept = session_store.get_run(saved.id)
        assert repr((kept.input, kept.output, kept.error)) == repr((value, value, value))

    @cases("cost", [None, 0, 3, -1.5, 0.1, 1e308, 2**70])
    def test_cost_usd_is_kept_as_it_is(self, session_store: SessionStore, cost: float | None):
        saved = run(cost_usd=cost)
        session_store.save_run(saved)
        assert repr(session_store.get_run(saved.id).cost_usd) == repr(cost)

    def test_a_turn_count_may_be_of_any_size(self, session_store: SessionStore):
        saved = run(turn_count=2**70)
        session_store.save_run(saved)
        assert session_store.get_run(saved.id).turn_count == 2**70

    def test_a_run_may_be_stored_for_a_session_that_is_not(self, session_store: SessionStore):
        saved = run("no-such-session")
        session_store.save_run(saved)
        assert session_store.list_runs("no-such-session") == [saved]
        assert session_store.list_sessions() == []

    def test_saving_replaces_the_run_with_the_same_id(self, session_store: SessionStore):
        saved = run(status="running")
        session_store.save_run(saved)
        session_store.save_run(saved.set_output({"text": "done"}))
        kept = session_store.get_run(saved.id)
        assert (kept.status, kept.output) == ("completed", {"text": "done"})
        assert session_store.list_runs("s") == [kept]

    def test_saving_may_move_a_run_to_another_session(self, session_store: SessionStore):
        session_store.save_run(run("s", id="r", status="running"))
        moved = run("t", id="r", status="running")
        session_store.save_run(moved)
        assert session_store.list_runs("s") == []
        assert session_store.get_active_run("s") is None
        assert session_store.list_runs("t") == [moved]
        assert session_store.get_active_run("t") == moved
        session_store.delete_session("s")
        assert session_store.get_run("r") == moved

    def test_a_missing_run_is_not_found(self, session_store: SessionStore):
        with pytest.raises(RunNotFound) as caught:
            session_store.get_run("no-such-run")
        assert caught.value.code == "run_not_found"
        assert "no-such-run" in str(caught.value)

    def test_a_session_that_does_not_exist_has_no_runs(self, session_store: SessionStore):
        assert session_store.list_runs("no-such-session") == []
        assert session_store.get_active_run("no-such-session") is None

    def test_the_order_is_that_of_started_at_then_insertion(self, session_store: SessionStore):
        for id_, minutes in (("late", 2), ("b", 1), ("a", 1), ("early", 0)):
            session_store.save_run(run(id=id_, started_at=at(minutes)))
        session_store.save_run(run(id="b", started_at=at(1), status="failed"))
        assert _ids(session_store.list_runs("s")) == ["early", "b", "a", "late"]

    @cases("status", sorted(RUN_STATUSES))
    def test_runs_are_listed_by_status(self, session_store: SessionStore, status: str):
        for each in sorted(RUN_STATUSES):
            session_store.save_run(run(id=each, status=each))
        assert _ids(session_store.list_runs("s", status=status)) == [status]

    @cases(
        ("limit", "expected"),
        [
            (0, []),
            (1, ["0"]),
            (3, ["0", "1", "2"]),
            (2**70, ["0", "1", "2"]),
            (None, ["0", "1", "2"]),
        ],
    )
    def test_limit(self, session_store: SessionStore, limit: int | None, expected: str):
        for number in range(3):
            session_store.save_run(run(id=str(number), started_at=at(number)))
        assert _ids(session_store.list_runs("s", limit=limit)) == list(expected)

    def test_runs_of_other_sessions_are_not_listed(self, session_store: SessionStore):
        session_store.save_session(session(id="s"))
        session_store.save_run(run("t", status="running"))
        assert session_store.list_runs("s") == []
        assert session_store.get_active_run("s") is None

    def test_the_active_run_is_the_running_one_that_started_last(self, session_store: SessionStore):
        session_store.save_run(run(id="last", status="running", started_at=at(3)))
        session_store.save_run(run(id="first", status="running", started_at=at(1)))
        session_store.save_run(run(id="pending", status="pending", started_at=at(4)))
        session_store.save_run(run(id="completed", status="completed", started_at=at(5)))
        assert _active_id(session_store) == "last"

    def test_of_runs_started_at_once_the_active_one_was_inserted_last(
        self, session_store: SessionStore
    ):
        for id_ in ("b", "c", "a"):
            session_store.save_run(run(id=id_, status="running", started_at=at(0)))
        session_store.save_run(run(id="b", status="running", started_at=at(0), turn_count=1))
        assert _active_id(session_store) == "a"

    def test_there_is_no_active_run_when_all_have_ended(self, session_store: SessionStore):
        first = run(id="first", status="running", started_at=at(1))
        second = run(id="second", status="running", started_at=at(2))
        session_store.save_run(first)
        session_store.save_run(second)
        session_store.save_run(second.update_status("cancelled"))
        assert _active_id(session_store) == "first"
        session_store.save_run(first.set_error("broken"))
        assert session_store.get_active_run("s") is None


def _active_id(session_store: SessionStore) -> str:
    active = session_store.get_active_run("s")
    assert active is not None
    return active.id


def _ids(runs: list) -> list[str]:
    return [each.id for each in runs]
