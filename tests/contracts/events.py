"""The contract of session stores: events."""

from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from ports import EVENT_TYPES, RunNotFound, SessionNotFound, SessionStore, ValidationError
from tests.contracts.cases import cases
from tests.contracts.samples import AWKWARD_JSON, at, event, run, session


class TestAppending:
    def test_an_event_comes_back_with_every_field_and_its_number(self, session_store: SessionStore):
        given = event(
            type="tool_call_failed",
            timestamp=at(0),
            run_id="r",
            data=AWKWARD_JSON,
            metadata={"a": [None]},
            schema_version=2,
            provider="someone",
            correlation_id="c",
        )
        stored = session_store.append_event_with_sequence(given)
        assert stored == replace(given, sequence_number=1)
        assert session_store.get_events("s") == [stored]

    def test_append_event_returns_nothing_and_numbers_like_the_others(
        self, session_store: SessionStore
    ):
        assert session_store.append_event(event(id="a")) is None
        assert session_store.append_event_with_sequence(event(id="b")).sequence_number == 2
        assert session_store.append_events([event(id="c")])[0].sequence_number == 3
        assert session_store.append_event(event(id="d")) is None
        assert _numbered(session_store) == [("a", 1), ("b", 2), ("c", 3), ("d", 4)]

    def test_sequences_are_per_session(self, session_store: SessionStore):
        for session_id in ("s", "t", "s"):
            session_store.append_event(event(session_id))
        assert session_store.get_latest_sequence("s") == 2
        assert session_store.get_latest_sequence("t") == 1

    def test_a_number_that_was_given_is_not_heeded(self, session_store: SessionStore):
        stored = session_store.append_event_with_sequence(event(sequence_number=7))
        assert stored.sequence_number == 1

    def test_an_event_may_be_stored_for_a_session_that_is_not(self, session_store: SessionStore):
        session_store.append_event(event("no-such-session"))
        assert session_store.get_latest_sequence("no-such-session") == 1
        assert session_store.list_sessions() == []

    @cases("type_", sorted(EVENT_TYPES))
    def test_every_type_is_kept(self, session_store: SessionStore, type_: str):
        session_store.append_event(event(type=type_))
        assert session_store.get_events("s")[-1].type == type_

    def test_appending_an_id_again_returns_the_event_as_first_stored(
        self, session_store: SessionStore
    ):
        first = session_store.append_event_with_sequence(event(id="e", data={"n": 1}))
        session_store.append_event(event(id="other"))
        again = session_store.append_event_with_sequence(event(id="e", data={"n": 2}))
        assert again == first
        session_store.append_event(event(id="e", data={"n": 3}))
        assert session_store.append_events([event(id="e", data={"n": 4})]) == [first]
        assert _numbered(session_store) == [("e", 1), ("other", 2)]

    def test_an_id_is_unique_across_sessions(self, session_store: SessionStore):
        first = session_store.append_event_with_sequence(event("s", id="e"))
        assert session_store.append_event_with_sequence(event("t", id="e")) == first
        assert session_store.get_events("t") == []
        assert session_store.get_latest_sequence("t") == 0

    def test_append_events_keeps_the_order_given(self, session_store: SessionStore):
        given = [event(id=str(number), timestamp=at(-number)) for number in range(20)]
        stored = session_store.append_events(given)
        assert [each.id for each in stored] == [each.id for each in given]
        assert [each.sequence_number for each in stored] == list(range(1, 21))
        assert session_store.get_events("s") == stored

    def test_append_events_of_several_sessions(self, session_store: SessionStore):
        stored = session_store.append_events([event("s"), event("t"), event("s")])
        assert [(each.session_id, each.sequence_number) for each in stored] == [
            ("s", 1),
            ("t", 1),
            ("s", 2),
        ]

    def test_append_events_of_none(self, session_store: SessionStore):
        assert session_store.append_events([]) == []

    def test_an_id_twice_in_one_batch_is_stored_once(self, session_store: SessionStore):
        stored = session_store.append_events(
            [event(id="a", data={"n": 1}), event(id="b"), event(id="a", data={"n": 2})]
        )
        assert stored[0] == stored[2]
        assert stored[0].data == {"n": 1}
        assert _numbered(session_store) == [("a", 1), ("b", 2)]

    def test_a_batch_with_known_ids_leaves_no_gap(self, session_store: SessionStore):
        session_store.append_event(event(id="a"))
        stored = session_store.append_events([event(id="b"), event(id="a"), event(id="c")])
        assert [each.sequence_number for each in stored] == [2, 1, 3]

    def test_append_events_is_all_or_nothing(self, session_store: SessionStore):
        bad = event(id="bad")
        bad.data["bytes"] = b"refused"
        with pytest.raises(ValidationError):
            session_store.append_events([event(id="good"), bad])
        with pytest.raises(ValidationError):
            session_store.append_events([event(id="good"), "no event"])
        assert session_store.get_events("s") == []
        assert session_store.append_event_with_sequence(event(id="good")).sequence_number == 1

    def test_a_long_batch(self, session_store: SessionStore):
        stored = session_store.append_events([event() for _ in range(2000)])
        assert [each.sequence_number for each in stored] == list(range(1, 2001))


class TestFlush:
    def test_flush_stores_session_run_and_events(self, session_store: SessionStore):
        saved, ended = session(id="s"), run("s", id="r")
        assert session_store.flush(saved, ended, [event(id="a"), event(id="b")]) is None
        assert session_store.get_session("s") == saved
        assert session_store.get_run("r") == ended
        assert _numbered(session_store) == [("a", 1), ("b", 2)]

    def test_flush_again_changes_nothing(self, session_store: SessionStore):
        saved, ended, events = session(id="s"), run("s", id="r"), [event(id="a")]
        session_store.flush(saved, ended, events)
        session_store.flush(saved, ended, events)
        assert session_store.list_sessions() == [saved]
        assert session_store.list_runs("s") == [ended]
        assert _numbered(session_store) == [("a", 1)]

    def test_flush_without_events(self, session_store: SessionStore):
        session_store.flush(session(id="s"), run("s", id="r"), [])
        assert session_store.get_run("r").session_id == "s"

    def test_flush_is_all_or_nothing(self, session_store: SessionStore):
        bad = event(id="bad")
        bad.data["bytes"] = b"refused"
        with pytest.raises(ValidationError):
            session_store.flush(session(id="s"), run("s", id="r"), [event(id="good"), bad])
        with pytest.raises(SessionNotFound):
            session_store.get_session("s")
        with pytest.raises(RunNotFound):
            session_store.get_run("r")
        assert session_store.get_events("s") == []

    def test_flush_of_a_bad_run_stores_nothing(self, session_store: SessionStore):
        bad = run("s", id="r")
        bad.metadata["number"] = float("nan")
        with pytest.raises(ValidationError):
            session_store.flush(session(id="s"), bad, [event()])
        assert session_store.list_sessions() == []
        assert session_store.get_events("s") == []


class TestQueries:
    @pytest.fixture(autouse=True)
    def _five_events(self, session_store: SessionStore):
        types = ["message_sent", "message_received", "error_occurred"]
        session_store.append_events(
            [
                event(id=str(n), type=types[n % 3], timestamp=at(n), run_id=f"r{n % 2}")
                for n in range(1, 6)
            ]
        )

    @cases(
        ("filters", "expected"),
        [
            ({}, "12345"),
            ({"after": 0}, "12345"),
            ({"after": 2}, "345"),
            ({"after": 5}, ""),
            ({"after": 2**70}, ""),
            ({"before": 3}, "12"),
            ({"before": 1}, ""),
            ({"before": 0}, ""),
            ({"before": 2**70}, "12345"),
            ({"after": 1, "before": 5}, "234"),
            ({"after": 3, "before": 4}, ""),
            ({"after": 4, "before": 2}, ""),
            ({"since": at(3)}, "345"),
            ({"since": at(3.5)}, "45"),
            ({"since": at(3).astimezone(timezone(timedelta(hours=2)))}, "345"),
            ({"since": at(9)}, ""),
            ({"run_id": "r1"}, "135"),
            ({"run_id": "unknown"}, ""),
            ({"type": "message_received"}, "14"),
            ({"type": ["message_received"]}, "14"),
            ({"type": ["message_received", "error_occurred"]}, "1245"),
            ({"type": ("message_received", "error_occurred")}, "1245"),
            ({"type": "policy_violation"}, ""),
            ({"type": []}, ""),
            ({"limit": 0}, ""),
            ({"limit": 2}, "12"),
            ({"limit": 9}, "12345"),
            ({"limit": 2**70}, "12345"),
            ({"after": 2, "limit": 2}, "34"),
            ({"run_id": "r1", "limit": 2}, "13"),
            ({"run_id": "r1", "after": 1, "limit": 1}, "3"),
            ({"run_id": "r1", "type": ["message_received"], "since": at(0), "before": 9}, "1"),
            ({"type": "error_occurred", "since": at(3), "after": 2, "before": 6}, "5"),
        ],
    )
    def test_filters(self, session_store: SessionStore, filters: dict, expected: str):
        assert [each.id for each in session_store.get_events("s", **filters)] == list(expected)

    def test_since_is_compared_to_the_microsecond(self, session_store: SessionStore):
        later = at(5) + timedelta(microseconds=1)
        assert session_store.get_events("s", since=later) == []

    def test_a_session_that_does_not_exist_has_no_events(self, session_store: SessionStore):
        assert session_store.get_events("no-such-session") == []
        assert session_store.get_latest_sequence("no-such-session") == 0


def _numbered(session_store: SessionStore) -> list[tuple[str, int | None]]:
    return [(each.id, each.sequence_number) for each in session_store.get_events("s")]
