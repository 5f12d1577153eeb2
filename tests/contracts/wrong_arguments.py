"""The contract of session stores: wrong arguments are refused, and the store lives on."""

from datetime import datetime
from typing import Any

import pytest

from ports import InvalidEventType, InvalidStatus, SessionStore, ValidationError
from tests.contracts.cases import cases
from tests.contracts.samples import event, run, session

# A client must be able to send them, so none is an arbitrary object.
NOT_A_TEXT = [None, 5, True, b"s", ["s"], {"id": "s"}, ""]
NOT_A_BOUND = [-1, 1.5, "1", True, [1]]
NOT_AN_OBJECT = [None, 5, "s", {}, {"id": "s"}, [], b""]


def _refused(operation: Any, *args: Any, **kwargs: Any) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        operation(*args, **kwargs)
    return caught.value


class TestWrongArguments:
    @pytest.fixture(autouse=True)
    def _lives_on(self, session_store: SessionStore):
        session_store.save_session(session(id="before"))
        yield
        session_store.save_session(session(id="after"))
        assert [each.id for each in session_store.list_sessions()] == ["before", "after"]
        assert session_store.get_events("s") == []
        assert session_store.list_runs("s") == []

    @cases("value", NOT_A_TEXT)
    @cases(
        "operation",
        [
            "get_session",
            "delete_session",
            "get_run",
            "list_runs",
            "get_active_run",
            "get_events",
            "get_latest_sequence",
        ],
    )
    def test_an_id_must_be_a_text_not_empty(
        self, session_store: SessionStore, operation: str, value: Any
    ):
        error = _refused(getattr(session_store, operation), value)
        assert error.code == "validation_error"
        assert ("run_id" if operation == "get_run" else "session_id") in str(error)

    def test_an_id_cannot_hold_nul(self, session_store: SessionStore):
        _refused(session_store.get_session, "a\0b")

    @cases("value", [*NOT_AN_OBJECT, run(), event()])
    def test_save_session_takes_a_session(self, session_store: SessionStore, value: Any):
        _refused(session_store.save_session, value)

    @cases("value", [*NOT_AN_OBJECT, session(), event()])
    def test_save_run_takes_a_run(self, session_store: SessionStore, value: Any):
        _refused(session_store.save_run, value)

    @cases("value", [*NOT_AN_OBJECT, session(), run(), [event()]])
    @cases("operation", ["append_event", "append_event_with_sequence"])
    def test_append_event_takes_an_event(
        self, session_store: SessionStore, operation: str, value: Any
    ):
        _refused(getattr(session_store, operation), value)

    @cases("value", [None, 5, "events", event(), [event(), None], [run()]])
    def test_append_events_takes_events(self, session_store: SessionStore, value: Any):
        _refused(session_store.append_events, value)

    @cases(
        "arguments",
        [
            (None, run(), []),
            (session(), None, []),
            (session(), run(), None),
            (run(), session(), []),
            (session(), run(), event()),
            (session(), run(), [event(), {}]),
            ({}, run(), [event()]),
        ],
    )
    def test_flush_takes_a_session_a_run_and_events(
        self, session_store: SessionStore, arguments: tuple
    ):
        _refused(session_store.flush, *arguments)

    @cases("value", [b"bytes", float("nan"), float("inf"), "a\0b", {"\0": 1}])
    def test_what_was_put_into_a_dict_afterwards_is_refused_too(
        self, session_store: SessionStore, value: Any
    ):
        spoilt = session(id="s"), run(id="r"), event(id="e")
        for each in spoilt:
            each.metadata["x"] = value
        _refused(session_store.save_session, spoilt[0])
        _refused(session_store.save_run, spoilt[1])
        _refused(session_store.append_event, spoilt[2])
        _refused(session_store.append_events, [event(), spoilt[2]])
        _refused(session_store.flush, session(id="s"), run(id="r"), [spoilt[2]])

    @cases("value", NOT_A_BOUND)
    @cases("bound", ["limit", "offset"])
    def test_bounds_of_list_sessions(self, session_store: SessionStore, bound: str, value: Any):
        assert bound in str(_refused(session_store.list_sessions, **{bound: value}))

    @cases("value", NOT_A_BOUND)
    def test_bounds_of_list_runs(self, session_store: SessionStore, value: Any):
        assert "limit" in str(_refused(session_store.list_runs, "s", limit=value))

    @cases("value", NOT_A_BOUND)
    @cases("bound", ["after", "before", "limit"])
    def test_bounds_of_get_events(self, session_store: SessionStore, bound: str, value: Any):
        assert bound in str(_refused(session_store.get_events, "s", **{bound: value}))

    def test_an_offset_is_never_none(self, session_store: SessionStore):
        _refused(session_store.list_sessions, offset=None)

    @cases("value", ["running", "", "ACTIVE", 5, ["active"]])
    def test_an_unknown_session_status(self, session_store: SessionStore, value: Any):
        with pytest.raises(InvalidStatus) as caught:
            session_store.list_sessions(status=value)
        assert caught.value.code == "invalid_status"

    @cases("value", ["active", "", 5, ["running"]])
    def test_an_unknown_run_status(self, session_store: SessionStore, value: Any):
        with pytest.raises(InvalidStatus):
            session_store.list_runs("s", status=value)

    @cases("value", ["unknown", "", 5, [5], ["message_sent", "unknown"], [None]])
    def test_an_unknown_event_type(self, session_store: SessionStore, value: Any):
        with pytest.raises(InvalidEventType) as caught:
            session_store.get_events("s", type=value)
        assert caught.value.code == "invalid_event_type"

    @cases("value", [5, "", ["agent"], True])
    def test_an_agent_id_must_be_a_text(self, session_store: SessionStore, value: Any):
        _refused(session_store.list_sessions, agent_id=value)

    @cases("value", [5, "", ["r"], True])
    def test_a_run_id_must_be_a_text(self, session_store: SessionStore, value: Any):
        _refused(session_store.get_events, "s", run_id=value)

    @cases("value", [0, 1, "yes", None])
    def test_include_deleted_is_true_or_false(self, session_store: SessionStore, value: Any):
        _refused(session_store.list_sessions, include_deleted=value)

    @cases("value", ["2024-01-01T00:00:00+00:00", 0, True])
    def test_since_is_a_datetime(self, session_store: SessionStore, value: Any):
        _refused(session_store.get_events, "s", since=value)

    @cases("value", [-1, -0.5, "1", True, float("nan"), float("inf"), [1]])
    def test_wait_timeout_is_a_number_from_zero(self, session_store: SessionStore, value: Any):
        _refused(session_store.get_events, "s", wait_timeout=value)


class TestWhatCannotTravel:
    """What a client cannot encode is refused with the same error as by a store that it reaches."""

    def test_a_moment_without_a_time_zone(self, session_store: SessionStore):
        _refused(session_store.get_events, "s", since=datetime(2024, 1, 1))

    @cases("operation", ["get_session", "delete_session", "get_latest_sequence"])
    def test_a_lone_surrogate_in_an_id(self, session_store: SessionStore, operation: str):
        _refused(getattr(session_store, operation), "a\ud800")

    @cases("value", ["\ud800", {"\ud800": 1}, object(), {1}, {1: 2}])
    def test_what_was_put_into_a_dict_afterwards(self, session_store: SessionStore, value: Any):
        spoilt = session()
        spoilt.metadata["x"] = value
        _refused(session_store.save_session, spoilt)
        assert session_store.list_sessions() == []
