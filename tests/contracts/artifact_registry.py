"""The contract of the index of artifacts."""

from typing import Any

import pytest

from ports import ArtifactRecord, InvalidCursor, NotFound, ValidationError
from tests.contracts.samples import AWKWARD_JSON, at

SHA = "0123456789abcdef" * 4
AWKWARD_KEYS = [
    "a",
    "../x",
    "a\0b",
    "\0",
    "\ud800",
    "é",
    "E\u0301",
    "\U0001f600",
    "k" * 10_000,
    " ",
    "'\"\\",
]


def keys(page: Any) -> list[str]:
    return [each.key for each in page.items]


class TestRegistering:
    def test_an_entry_is_returned_with_every_field(self, session_store: Any):
        record = ArtifactRecord(
            key="patch-1",
            session_id="s",
            run_id="r",
            content_type="text/x-diff",
            size=2**62,
            sha256=SHA.upper(),
            backend="s3",
            metadata=AWKWARD_JSON,
            created_at=at(0),
            deleted_at=at(1),
        )
        session_store.register_artifact(record)
        kept = session_store.get_artifact("patch-1")
        assert kept == record
        assert kept.sha256 == SHA
        bare = ArtifactRecord(key="bare")
        session_store.register_artifact(bare)
        assert session_store.get_artifact("bare") == bare

    def test_keys_of_every_kind(self, session_store: Any):
        for number, key in enumerate(AWKWARD_KEYS):
            session_store.register_artifact(ArtifactRecord(key=key, size=number))
        for number, key in enumerate(AWKWARD_KEYS):
            assert session_store.get_artifact(key).size == number
        assert keys(session_store.list_artifacts(limit=None)) == AWKWARD_KEYS
        for key in AWKWARD_KEYS:
            session_store.forget_artifact(key)
        assert keys(session_store.list_artifacts()) == []

    def test_registering_again_replaces(self, session_store: Any):
        session_store.register_artifact(ArtifactRecord(key="a", size=1, created_at=at(0)))
        session_store.register_artifact(ArtifactRecord(key="b", size=2, created_at=at(0)))
        session_store.mark_artifact_deleted("a")
        session_store.register_artifact(ArtifactRecord(key="a", size=3, created_at=at(0)))
        page = session_store.list_artifacts()
        assert [(each.key, each.size) for each in page.items] == [("a", 3), ("b", 2)]

    def test_what_is_not_registered(self, session_store: Any):
        with pytest.raises(NotFound, match="no-such-key") as caught:
            session_store.get_artifact("no-such-key")
        assert caught.value.code == "not_found"
        session_store.mark_artifact_deleted("no-such-key")
        session_store.forget_artifact("no-such-key")
        with pytest.raises(NotFound):
            session_store.get_artifact("\ud800")

    def test_an_entry_that_is_marked_deleted_is_not_listed(self, session_store: Any):
        session_store.register_artifact(ArtifactRecord(key="a"))
        session_store.mark_artifact_deleted("a")
        marked = session_store.get_artifact("a")
        assert marked.deleted_at is not None
        assert keys(session_store.list_artifacts()) == []
        assert session_store.list_artifacts(include_deleted=True).items == [marked]
        session_store.mark_artifact_deleted("a")
        assert session_store.get_artifact("a") == marked

    def test_deleting_a_session_leaves_its_entries(self, session_store: Any):
        session_store.register_artifact(ArtifactRecord(key="a", session_id="s"))
        session_store.delete_session("s")
        assert keys(session_store.list_artifacts(session_id="s")) == ["a"]


FOUND: list[tuple[dict[str, Any], str]] = [
    ({}, "abd"),
    ({"session_id": "s"}, "ab"),
    ({"session_id": ["s", "t"]}, "abd"),
    ({"session_id": "s", "include_deleted": True}, "abc"),
    ({"run_id": "r"}, "b"),
    ({"backend": ["s3", "file"]}, "ad"),
    ({"backend": []}, ""),
]


class TestListing:
    def test_filters(self, session_store: Any):
        for number, fields in enumerate(
            [
                {"key": "a", "session_id": "s", "backend": "s3"},
                {"key": "b", "session_id": "s", "run_id": "r"},
                {"key": "c", "session_id": "s", "deleted_at": at(9)},
                {"key": "d", "session_id": "t", "backend": "file"},
            ]
        ):
            session_store.register_artifact(ArtifactRecord(created_at=at(number // 2), **fields))
        for filters, expected in FOUND:
            page = session_store.list_artifacts(with_total=True, **filters)
            assert keys(page) == list(expected)
            assert page.total == len(expected)
            reverse = session_store.list_artifacts(order_by="created_at_desc", **filters)
            assert keys(reverse) == list(expected)[::-1]

    def test_pages(self, session_store: Any):
        for number in range(5):
            session_store.register_artifact(
                ArtifactRecord(key=str(number), created_at=at(number // 3))
            )
        first = session_store.list_artifacts(limit=2)
        second = session_store.list_artifacts(limit=2, cursor=first.cursor)
        third = session_store.list_artifacts(limit=2, cursor=second.cursor)
        assert [keys(page) for page in (first, second, third)] == [["0", "1"], ["2", "3"], ["4"]]
        assert third.cursor is None
        with pytest.raises(InvalidCursor):
            session_store.list_artifacts(cursor=first.cursor, order_by="created_at_desc")
        with pytest.raises(InvalidCursor):
            session_store.search_sessions(cursor=first.cursor, order_by="created_at_asc")


class TestWrongArtifacts:
    def test_a_key_is_a_text_not_empty(self, session_store: Any):
        for operation in ("get_artifact", "mark_artifact_deleted", "forget_artifact"):
            for key in ("", None, 5, b"x", ["a"]):
                with pytest.raises(ValidationError) as caught:
                    getattr(session_store, operation)(key)
                assert caught.value.details["field"] == "key"

    def test_an_entry_is_a_record(self, session_store: Any):
        for record in (None, {}, "a", 5, {"key": "a"}):
            with pytest.raises(ValidationError, match="record"):
                session_store.register_artifact(record)
        assert keys(session_store.list_artifacts()) == []

    def test_filters_that_cannot_be(self, session_store: Any):
        for field, value in (
            ("session_id", ""),
            ("run_id", 5),
            ("backend", [None]),
            ("limit", -1),
            ("order_by", "updated_at_asc"),
            ("include_deleted", "yes"),
        ):
            with pytest.raises(ValidationError) as caught:
                session_store.list_artifacts(**{field: value})
            assert caught.value.details["field"] == field
