"""Ids and moments that are made, and methods that return another object."""

import re
from datetime import UTC, datetime

import pytest

from ports import InvalidStatus, ValidationError
from tests.contracts.samples import NOON, at, event, run, session

TERMINAL = ["completed", "failed", "cancelled", "timeout"]


@pytest.mark.parametrize(("make", "prefix"), [(session, "ses_"), (run, "run_"), (event, "evt_")])
def test_ids_are_made_when_absent(make, prefix: str):
    made = [make().id for _ in range(100)]
    assert len(set(made)) == 100
    assert all(re.fullmatch(prefix + "[0-9a-f]{32}", each) for each in made)
    assert make(id="own").id == "own"


def test_moments_are_now_when_absent():
    before = datetime.now(UTC)
    moments = [session().created_at, session().updated_at, run().started_at, event().timestamp]
    after = datetime.now(UTC)
    assert all(before <= each <= after and each.tzinfo is UTC for each in moments)


def test_a_session_that_was_never_updated_was_so_when_created():
    made = session()
    assert made.updated_at == made.created_at
    assert session(created_at=at(-5)).updated_at == at(-5)
    assert session(created_at=at(-5), updated_at=NOON).updated_at == NOON


def test_defaults():
    assert session(id="s", created_at=NOON).to_map() == {
        "id": "s",
        "agent_id": "agent",
        "status": "pending",
        "parent_session_id": None,
        "metadata": {},
        "context": {},
        "tags": [],
        "created_at": NOON.isoformat(),
        "updated_at": NOON.isoformat(),
        "deleted_at": None,
    }
    assert run(id="r", started_at=NOON).to_map() == {
        "id": "r",
        "session_id": "s",
        "status": "pending",
        "input": None,
        "output": None,
        "error": None,
        "metadata": {},
        "turn_count": 0,
        "token_usage": {},
        "started_at": NOON.isoformat(),
        "ended_at": None,
        "provider": None,
        "provider_metadata": {},
        "cost_usd": None,
    }
    assert event(id="e", timestamp=NOON).to_map() == {
        "id": "e",
        "type": "message_sent",
        "timestamp": NOON.isoformat(),
        "session_id": "s",
        "run_id": None,
        "sequence_number": None,
        "data": {},
        "metadata": {},
        "schema_version": 1,
        "provider": None,
        "correlation_id": None,
    }


def test_a_session_with_another_status():
    before = session(metadata={"a": 1}, created_at=NOON)
    after = before.update_status("active")
    assert (before.status, after.status) == ("pending", "active")
    assert after.updated_at > before.updated_at
    unchanged = {"status", "updated_at"}
    for name, value in before.to_map().items():
        assert name in unchanged or after.to_map()[name] == value
    assert after.metadata is not before.metadata


def test_an_unknown_status():
    for made in (session(), run()):
        with pytest.raises(InvalidStatus):
            made.update_status("bogus")


@pytest.mark.parametrize("status", TERMINAL)
def test_a_terminal_status_sets_ended_at(status: str):
    running = run().update_status("running")
    assert running.ended_at is None
    before = datetime.now(UTC)
    for ended in (running.update_status(status), run(status=status)):
        assert ended.status == status
        assert ended.ended_at is not None
        assert before <= ended.ended_at <= datetime.now(UTC)
    assert run(status=status, ended_at=NOON).ended_at == NOON


def test_a_run_that_goes_on_has_not_ended():
    assert run(status="failed").update_status("running").ended_at is None


def test_set_output_completes():
    for output in ({"text": "done"}, "done", None, [1]):
        ended = run(status="running").set_output(output)
        assert (ended.status, ended.output) == ("completed", output)
        assert ended.ended_at is not None


def test_set_error_fails():
    for error in ({"message": "broken"}, "broken"):
        ended = run(status="running").set_error(error)
        assert (ended.status, ended.error) == ("failed", error)
        assert ended.ended_at is not None


def test_what_is_not_json_is_no_output_and_no_error():
    for method in (run().set_output, run().set_error):
        with pytest.raises(ValidationError):
            method(b"bytes")


def test_increment_turn():
    before = run(turn_count=2**64)
    assert before.increment_turn().increment_turn().turn_count == 2**64 + 2
    assert before.turn_count == 2**64


def test_token_usage_adds_up():
    before = run(token_usage={"input": 1, "cost": 0.5, "model": "a", "cache": {"read": 1}})
    after = before.update_token_usage(
        {"input": 2, "output": 3, "cost": 1, "model": "b", "cache": {"read": 2, "write": 1}}
    )
    assert after.token_usage == {
        "input": 3,
        "output": 3,
        "cost": 1.5,
        "model": "b",
        "cache": {"read": 3, "write": 1},
    }
    assert before.token_usage == {"input": 1, "cost": 0.5, "model": "a", "cache": {"read": 1}}
    assert before.update_token_usage({}) == before


def test_true_is_no_number_to_add():
    assert run(token_usage={"a": 1}).update_token_usage({"a": True}).token_usage == {"a": True}


@pytest.mark.parametrize("usage", [None, 5, [], {"a": b"x"}, {"a": 1e308}, {"a": 10**400}])
def test_token_usage_that_cannot_be_added(usage):
    with pytest.raises(ValidationError):
        run(token_usage={"a": 1.7e308}).update_token_usage(usage)


def test_an_event_at_its_place():
    before = event(data={"list": []})
    after = before.with_sequence_number(3)
    assert (before.sequence_number, after.sequence_number) == (None, 3)
    after.data["list"].append(1)
    assert before.data == {"list": []}
    for number in (0, -1, True, "1", None):
        with pytest.raises(ValidationError):
            before.with_sequence_number(number)
