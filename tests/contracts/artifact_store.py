"""The contract of artifact stores.

A test module takes it over with `from tests.contracts.artifact_store import *`, and offers a
fixture `artifact_store`: an empty store, or a client of one. The tests use nothing but the port.
"""

from array import array
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ports import ArtifactStore, NotFound, ValidationError
from tests.contracts.cases import cases

__all__ = ["TestArtifacts", "TestKeys", "TestRefusals"]

MEBIBYTE = bytes(range(256)) * 4096

# Each of them is another key than all the rest.
KEYS = [
    "a",
    "A",
    "a/b",
    "a//b",
    "a/./b",
    "a/b/",
    "a\\b",
    "/a",
    "/etc/passwd",
    ".",
    "..",
    "../a",
    "../../../../../../tmp/a",
    "a/../a",
    "~",
    "$HOME",
    "a\0",
    "\0",
    "\0a",
    " ",
    "a ",
    "a\n",
    "%61",
    "CON",
    "a.tmp",
    "a?versionId=1",
    "é",
    "e\u0301",  # the same letter, written in two code points
    "\u00df",
    "SS",
    "\U0001f600",
    "\ufeffa",
    "\u202ea",
    "x" * 255,
    "x" * 256,
    "x" * 10_000,
    "x" * 9_999 + "y",
    "\U0001f600" * 10_000,
    "d/" * 5_000,
]


class TestArtifacts:
    def test_what_was_put_is_got(self, artifact_store: ArtifactStore):
        assert artifact_store.put("key", b"data") is None
        got = artifact_store.get("key")
        assert got == b"data"
        assert type(got) is bytes

    def test_putting_again_replaces(self, artifact_store: ArtifactStore):
        artifact_store.put("key", b"a longer one")
        artifact_store.put("key", b"short")
        assert artifact_store.get("key") == b"short"
        assert bytes(artifact_store.view("key")) == b"short"

    @cases(
        ("data", "expected"),
        [
            (b"bytes", b"bytes"),
            (bytearray(b"bytearray"), b"bytearray"),
            (memoryview(b"memoryview"), b"memoryview"),
            (memoryview(b"a-b-c")[::2], b"abc"),
            (memoryview(b"abc")[::-1], b"cba"),
            (memoryview(bytearray(b"abcd")).cast("B", (2, 2)), b"abcd"),
            (array("H", [1, 2]), array("H", [1, 2]).tobytes()),
            (array("d"), b""),
            (b"", b""),
            ([], b""),
            ([b""], b""),
            ([b"a", bytearray(b"b"), memoryview(b"c"), b"", array("b", [100])], b"abcd"),
            ([b"x"] * 3000, b"x" * 3000),
        ],
    )
    def test_data_is_anything_with_bytes_or_a_list_of_it(
        self, artifact_store: ArtifactStore, data: Any, expected: bytes
    ):
        artifact_store.put("key", data)
        assert artifact_store.get("key") == expected
        assert bytes(artifact_store.view("key")) == expected

    def test_a_mebibyte(self, artifact_store: ArtifactStore):
        artifact_store.put("key", MEBIBYTE)
        assert artifact_store.get("key") == MEBIBYTE
        assert artifact_store.view("key") == MEBIBYTE

    def test_a_list_of_a_mebibyte(self, artifact_store: ArtifactStore):
        artifact_store.put("key", [MEBIBYTE[:1000], memoryview(MEBIBYTE)[1000:]])
        assert artifact_store.get("key") == MEBIBYTE

    def test_later_changes_to_what_was_put_do_not_show(self, artifact_store: ArtifactStore):
        data = bytearray(b"data")
        artifact_store.put("key", data)
        data[0] = 0
        assert artifact_store.get("key") == b"data"

    @cases("data", [b"", b"data", MEBIBYTE])
    def test_a_view_is_read_only(self, artifact_store: ArtifactStore, data: bytes):
        artifact_store.put("key", data)
        view = artifact_store.view("key")
        assert isinstance(view, memoryview)
        assert view.readonly
        assert view.nbytes == len(data)
        assert view.tobytes() == data

    def test_a_view_outlives_its_artifact(self, artifact_store: ArtifactStore):
        artifact_store.put("key", MEBIBYTE)
        view = artifact_store.view("key")
        artifact_store.put("key", b"\0" * len(MEBIBYTE))
        artifact_store.delete("key")
        assert view == MEBIBYTE

    def test_a_missing_artifact_is_not_found(self, artifact_store: ArtifactStore):
        for operation in (artifact_store.get, artifact_store.view):
            with pytest.raises(NotFound) as caught:
                operation("no-such-key")
            assert caught.value.code == "not_found"
            assert "no-such-key" in str(caught.value)

    def test_a_deleted_artifact_is_not_found(self, artifact_store: ArtifactStore):
        artifact_store.put("key", b"data")
        assert artifact_store.delete("key") is None
        for operation in (artifact_store.get, artifact_store.view):
            with pytest.raises(NotFound):
                operation("key")

    def test_deleting_is_idempotent(self, artifact_store: ArtifactStore):
        artifact_store.delete("never-was")
        artifact_store.put("key", b"data")
        artifact_store.delete("key")
        artifact_store.delete("key")
        artifact_store.put("key", b"again")
        assert artifact_store.get("key") == b"again"

    def test_readers_see_the_old_or_the_new_bytes(self, artifact_store: ArtifactStore):
        versions = [bytes([number]) * 100_000 for number in range(8)]
        artifact_store.put("key", versions[0])

        def read(_: int) -> bool:
            return artifact_store.get("key") in versions

        with ThreadPoolExecutor(8) as threads:
            reads = [threads.submit(read, number) for number in range(40)]
            writes = [threads.submit(artifact_store.put, "key", data) for data in versions]
            assert all(each.result(60) for each in reads)
            for each in writes:
                each.result(60)
        assert artifact_store.get("key") in versions

    def test_puts_of_many_keys_at_once(self, artifact_store: ArtifactStore):
        def put(number: int) -> None:
            artifact_store.put(f"key{number}", str(number).encode())

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(put, range(64)))
        for number in range(64):
            assert artifact_store.get(f"key{number}") == str(number).encode()


class TestKeys:
    @cases("key", KEYS)
    def test_any_key_holds_its_artifact(self, artifact_store: ArtifactStore, key: str):
        artifact_store.put(key, b"data")
        assert artifact_store.get(key) == b"data"
        assert artifact_store.view(key) == b"data"
        artifact_store.delete(key)
        with pytest.raises(NotFound):
            artifact_store.get(key)

    def test_no_key_collides_with_another(self, artifact_store: ArtifactStore):
        for number, key in enumerate(KEYS):
            artifact_store.put(key, str(number).encode())
        for number, key in enumerate(KEYS):
            assert artifact_store.get(key) == str(number).encode()
        for key in KEYS[::2]:
            artifact_store.delete(key)
        for number, key in list(enumerate(KEYS))[1::2]:
            assert artifact_store.get(key) == str(number).encode()


class TestRefusals:
    @pytest.fixture(autouse=True)
    def _lives_on(self, artifact_store: ArtifactStore):
        artifact_store.put("before", b"before")
        yield
        assert artifact_store.get("before") == b"before"
        artifact_store.put("after", b"after")

    @cases("key", ["", None, 5, True, b"key", ["key"], {"key": 1}])
    def test_a_key_is_a_text_not_empty(self, artifact_store: ArtifactStore, key: Any):
        for operation in (artifact_store.get, artifact_store.view, artifact_store.delete):
            with pytest.raises(ValidationError):
                operation(key)
        with pytest.raises(ValidationError) as caught:
            artifact_store.put(key, b"data")
        assert caught.value.code == "validation_error"
        assert "key" in str(caught.value)

    @cases("data", [None, 5, True, 1.5, "text", {"a": 1}, [1, 2], ["text"], [b"a", None], [[b"a"]]])
    def test_data_has_bytes(self, artifact_store: ArtifactStore, data: Any):
        with pytest.raises(ValidationError):
            artifact_store.put("before", data)
