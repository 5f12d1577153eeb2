"""The contract of session stores: sessions."""

from datetime import UTC, datetime

import pytest

from ports import SESSION_STATUSES, RunNotFound, SessionNotFound, SessionStore
from tests.contracts.cases import cases
from tests.contracts.samples import AWKWARD_JSON, at, event, run, session

ODD_IDS = ["a", "x" * 1000, "../x", "Ünï cödé \U0001f600", "a'b\"; --", " "]


class TestSessions:
    def test_a_saved_session_is_returned_with_every_field(self, session_store: SessionStore):
        saved = session(
            status="paused",
            parent_session_id="ses_parent",
            metadata={"a": [1, {"b": None}]},
            context={"prompt": "Hello"},
            tags=["x", "y"],
            created_at=at(0),
            updated_at=at(1),
            deleted_at=at(2),
        )
        session_store.save_session(saved)
        assert session_store.get_session(saved.id) == saved

    def test_saving_replaces_the_session_with_the_same_id(self, session_store: SessionStore):
        first = session(metadata={"a": 1})
        session_store.save_session(first)
        second = session(id=first.id, agent_id="other", metadata={"b": 2}, created_at=at(0))
        session_store.save_session(second)
        assert session_store.get_session(first.id) == second
        assert session_store.list_sessions() == [second]

    def test_saving_twice_changes_nothing(self, session_store: SessionStore):
        saved = session()
        session_store.save_session(saved)
        session_store.save_session(saved)
        assert session_store.list_sessions() == [saved]

    def test_a_missing_session_is_not_found(self, session_store: SessionStore):
        with pytest.raises(SessionNotFound) as caught:
            session_store.get_session("no-such-session")
        assert caught.value.code == "session_not_found"
        assert "no-such-session" in str(caught.value)

    def test_a_session_with_deleted_at_is_returned_by_id(self, session_store: SessionStore):
        saved = session(deleted_at=at(0))
        session_store.save_session(saved)
        assert session_store.get_session(saved.id) == saved

    @cases("status", sorted(SESSION_STATUSES))
    def test_every_status_is_kept(self, session_store: SessionStore, status: str):
        saved = session(status=status)
        session_store.save_session(saved)
        assert session_store.get_session(saved.id).status == status

    @cases("id_", ["a", "x" * 1000, "../x", "Ünï cödé \U0001f600", "a'b\"; --", " "])
    def test_any_text_may_be_an_id(self, session_store: SessionStore, id_: str):
        saved = session(id=id_, agent_id=id_)
        session_store.save_session(saved)
        session_store.append_event(event(id_, id=id_))
        assert session_store.get_session(id_) == saved
        assert session_store.get_latest_sequence(id_) == 1

    def test_ids_that_differ_in_case_only_are_different(self, session_store: SessionStore):
        lower, upper = session(id="a"), session(id="A")
        session_store.save_session(lower)
        session_store.save_session(upper)
        assert session_store.get_session("a") == lower
        assert session_store.get_session("A") == upper


class TestKeeping:
    """What is stored is what was given: all of it, and a copy."""

    def test_what_json_can_carry_comes_back_unchanged(self, session_store: SessionStore):
        saved = session(metadata=AWKWARD_JSON, context={"in": AWKWARD_JSON}, tags=["", "\u00fc"])
        session_store.save_session(saved)
        kept = session_store.get_session(saved.id)
        assert kept == saved
        assert repr(kept.metadata["floats"]) == repr(AWKWARD_JSON["floats"])
        assert repr(kept.metadata["true"]) == repr(AWKWARD_JSON["true"])
        assert list(kept.metadata) == list(AWKWARD_JSON)

    @cases(
        "moment",
        [
            datetime.min.replace(tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
            datetime(2024, 2, 29, 12, 0, 0, 1, UTC),
            datetime.max.replace(tzinfo=UTC),
        ],
    )
    def test_moments_are_kept_to_the_microsecond(
        self, session_store: SessionStore, moment: datetime
    ):
        saved = session(created_at=moment, updated_at=moment, deleted_at=moment)
        session_store.save_session(saved)
        kept = session_store.get_session(saved.id)
        assert kept == saved
        assert kept.created_at.tzinfo is UTC

    def test_later_changes_to_what_was_saved_do_not_show(self, session_store: SessionStore):
        saved = session(metadata={"list": [1]}, tags=["a"])
        session_store.save_session(saved)
        saved.metadata["list"].append(2)
        saved.tags.append("b")
        kept = session_store.get_session(saved.id)
        assert (kept.metadata, kept.tags) == ({"list": [1]}, ["a"])

    def test_changes_to_what_was_returned_do_not_show(self, session_store: SessionStore):
        saved = session(metadata={"list": [1]})
        session_store.save_session(saved)
        session_store.get_session(saved.id).metadata["list"].append(2)
        session_store.list_sessions()[0].metadata["list"].append(3)
        assert session_store.get_session(saved.id).metadata == {"list": [1]}

    def test_changes_to_a_returned_event_do_not_show(self, session_store: SessionStore):
        given = event(data={"list": [1]})
        stored = session_store.append_event_with_sequence(given)
        given.data["list"].append(2)
        stored.data["list"].append(3)
        session_store.append_events([given])[0].data["list"].append(4)
        session_store.get_events("s")[0].data["list"].append(5)
        assert session_store.get_events("s")[0].data == {"list": [1]}

    def test_changes_to_a_returned_run_do_not_show(self, session_store: SessionStore):
        given = run(status="running", output={"list": [1]})
        session_store.save_run(given)
        given.output["list"].append(2)
        session_store.get_run(given.id).output["list"].append(3)
        session_store.list_runs("s")[0].output["list"].append(4)
        active = session_store.get_active_run("s")
        assert active is not None
        active.output["list"].append(5)
        assert session_store.get_run(given.id).output == {"list": [1]}


class TestListing:
    def test_an_empty_store_lists_nothing(self, session_store: SessionStore):
        assert session_store.list_sessions() == []

    def test_the_order_is_that_of_created_at(self, session_store: SessionStore):
        for minutes in (3, 1, 2):
            session_store.save_session(session(id=f"s{minutes}", created_at=at(minutes)))
        assert _ids(session_store.list_sessions()) == ["s1", "s2", "s3"]

    def test_sessions_of_one_moment_are_in_the_order_of_insertion(
        self, session_store: SessionStore
    ):
        for id_ in ("c", "a", "b"):
            session_store.save_session(session(id=id_, created_at=at(0)))
        session_store.save_session(session(id="c", created_at=at(0), status="active"))
        assert _ids(session_store.list_sessions()) == ["c", "a", "b"]

    def test_saving_with_another_created_at_moves_a_session(self, session_store: SessionStore):
        for minutes in (1, 2):
            session_store.save_session(session(id=f"s{minutes}", created_at=at(minutes)))
        session_store.save_session(session(id="s1", created_at=at(3)))
        assert _ids(session_store.list_sessions()) == ["s2", "s1"]

    def test_moments_are_compared_to_the_microsecond(self, session_store: SessionStore):
        later = session(id="later", created_at=at(0).replace(microsecond=2))
        earlier = session(id="earlier", created_at=at(0).replace(microsecond=1))
        session_store.save_session(later)
        session_store.save_session(earlier)
        assert _ids(session_store.list_sessions()) == ["earlier", "later"]

    def test_filters_combine(self, session_store: SessionStore):
        for id_, status, agent in (
            ("1", "active", "a"),
            ("2", "active", "b"),
            ("3", "paused", "a"),
        ):
            session_store.save_session(session(id=id_, status=status, agent_id=agent))
        assert _ids(session_store.list_sessions(status="active")) == ["1", "2"]
        assert _ids(session_store.list_sessions(agent_id="a")) == ["1", "3"]
        assert _ids(session_store.list_sessions(status="active", agent_id="a")) == ["1"]
        assert session_store.list_sessions(status="failed") == []
        assert session_store.list_sessions(agent_id="c") == []

    def test_deleted_sessions_are_listed_on_request_only(self, session_store: SessionStore):
        session_store.save_session(session(id="gone", created_at=at(0), deleted_at=at(1)))
        session_store.save_session(session(id="here", created_at=at(1)))
        assert _ids(session_store.list_sessions()) == ["here"]
        assert _ids(session_store.list_sessions(include_deleted=False)) == ["here"]
        assert _ids(session_store.list_sessions(include_deleted=True)) == ["gone", "here"]

    @cases(
        ("window", "expected"),
        [
            ({"limit": 0}, []),
            ({"limit": 2}, ["0", "1"]),
            ({"limit": 9}, ["0", "1", "2", "3"]),
            ({"limit": 2**70}, ["0", "1", "2", "3"]),
            ({"limit": None, "offset": 3}, ["3"]),
            ({"offset": 1, "limit": 2}, ["1", "2"]),
            ({"offset": 4}, []),
            ({"offset": 2**70}, []),
            ({"offset": 2**70, "limit": 2**70}, []),
        ],
    )
    def test_limit_and_offset(
        self, session_store: SessionStore, window: dict[str, int], expected: list[str]
    ):
        for number in range(4):
            session_store.save_session(session(id=str(number), created_at=at(number)))
        assert _ids(session_store.list_sessions(**window)) == expected

    def test_limit_and_offset_count_what_matches(self, session_store: SessionStore):
        for number in range(6):
            status = "active" if number % 2 else "paused"
            session_store.save_session(
                session(id=str(number), created_at=at(number), status=status)
            )
        assert _ids(session_store.list_sessions(status="active", offset=1, limit=1)) == ["3"]


class TestDeleting:
    def test_deleting_takes_runs_events_and_sequence_along(self, session_store: SessionStore):
        session_store.save_session(session(id="s"))
        session_store.save_run(run("s", id="r", status="running"))
        session_store.append_event(event("s"))
        session_store.delete_session("s")
        with pytest.raises(SessionNotFound):
            session_store.get_session("s")
        with pytest.raises(RunNotFound):
            session_store.get_run("r")
        assert session_store.list_sessions(include_deleted=True) == []
        assert session_store.list_runs("s") == []
        assert session_store.get_active_run("s") is None
        assert session_store.get_events("s") == []
        assert session_store.get_latest_sequence("s") == 0

    def test_deleting_leaves_other_sessions_alone(self, session_store: SessionStore):
        for id_ in ("s", "t"):
            session_store.save_session(session(id=id_))
            session_store.save_run(run(id_))
            session_store.append_event(event(id_))
        session_store.delete_session("s")
        assert _ids(session_store.list_sessions()) == ["t"]
        assert len(session_store.list_runs("t")) == 1
        assert session_store.get_latest_sequence("t") == 1

    def test_deleting_is_idempotent(self, session_store: SessionStore):
        session_store.delete_session("never-was")
        session_store.save_session(session(id="s"))
        session_store.delete_session("s")
        session_store.delete_session("s")
        assert session_store.list_sessions() == []

    def test_a_deleted_sequence_begins_again_at_one(self, session_store: SessionStore):
        first = event("s")
        session_store.append_events([first, event("s")])
        session_store.delete_session("s")
        assert session_store.append_event_with_sequence(first).sequence_number == 1

    def test_runs_and_events_without_a_session_are_deleted_too(self, session_store: SessionStore):
        session_store.save_run(run("s", id="r"))
        session_store.append_event(event("s"))
        session_store.delete_session("s")
        assert session_store.list_runs("s") == []
        assert session_store.get_events("s") == []

    def test_a_session_saved_again_comes_last_of_its_moment(self, session_store: SessionStore):
        for id_ in ("a", "b"):
            session_store.save_session(session(id=id_, created_at=at(0)))
        session_store.delete_session("a")
        session_store.save_session(session(id="a", created_at=at(0)))
        assert _ids(session_store.list_sessions()) == ["b", "a"]


def _ids(sessions: list) -> list[str]:
    return [each.id for each in sessions]
