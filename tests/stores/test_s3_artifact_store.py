"""What is particular to artifacts in S3: objects, options, crashes. Faults: see test_s3_faults."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dill
import pytest

from ports import ArtifactStore, NotFound, StorageError, ValidationError
from stores import CompositeSessionStore, InMemorySessionStore, S3ArtifactStore
from supervisor import Child, StartError, Supervisor, connect
from tests.stores import s3
from tests.stores.fault_proxy import Exchange, FaultProxy
from tests.stores.processes import ROOT, child, line_of
from tests.support import PATIENCE, eventually

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def bucket() -> str:
    return s3.empty_bucket("objects")


@pytest.fixture(scope="module")
def shared_store(bucket: str) -> Iterator[S3ArtifactStore]:
    with S3ArtifactStore(**s3.options(bucket, part_size=5 * MEBIBYTE)) as store:
        yield store


@pytest.fixture
def store(shared_store: S3ArtifactStore) -> S3ArtifactStore:
    return shared_store


@pytest.fixture
def client() -> Iterator[Any]:
    with s3.client() as client:
        yield client


def names(client: Any, bucket: str, prefix: str = "") -> list[str]:
    found = client.list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [each["Key"] for each in found.get("Contents", ())]


class TestObjects:
    @pytest.mark.parametrize("prefix", ["deep/er", "deep/er/"])
    def test_their_names_are_below_the_prefix(self, bucket: str, client: Any, prefix: str):
        with S3ArtifactStore(**s3.options(bucket, prefix=prefix)) as store:
            store.put("../../../key", b"data")
            (name,) = names(client, bucket, "deep/er/")
            assert len(name) == len("deep/er/") + 64
            store.delete("../../../key")
        assert names(client, bucket, "deep/er/") == []

    def test_stores_with_other_prefixes_do_not_see_each_other(
        self, bucket: str, store: S3ArtifactStore
    ):
        with S3ArtifactStore(**s3.options(bucket, prefix="other")) as other:
            other.put("key", b"other")
            with pytest.raises(NotFound):
                store.get("key")
            store.delete("key")
            assert other.get("key") == b"other"

    @pytest.mark.parametrize("prefix", ["p" * 959, "é" * 479])
    def test_the_longest_prefix(self, bucket: str, prefix: str):
        with S3ArtifactStore(**s3.options(bucket, prefix=prefix)) as store:
            store.put("x" * 10_000, b"data")
            assert store.get("x" * 10_000) == b"data"

    def test_their_metadata_says_what_they_are(
        self, bucket: str, store: S3ArtifactStore, client: Any
    ):
        store.put("a key/é", b"data")
        (name,) = [
            name
            for name in names(client, bucket)
            if client.head_object(Bucket=bucket, Key=name)["Metadata"].get("regrow-key")
            == "a%20key/%C3%A9"
        ]
        metadata = client.head_object(Bucket=bucket, Key=name)["Metadata"]
        assert len(metadata["regrow-sha256"]) == 64

    def test_one_that_was_overwritten_by_others_is_an_error(self, bucket: str, client: Any):
        with S3ArtifactStore(**s3.options(bucket, prefix="changed")) as store:
            store.put("key", b"data")
            (name,) = names(client, bucket, "changed/")
            metadata = client.head_object(Bucket=bucket, Key=name)["Metadata"]
            client.put_object(Bucket=bucket, Key=name, Body=b"DATA", Metadata=metadata)
            with pytest.raises(StorageError, match="not those that were put") as raised:
                store.get("key")
            assert raised.value.details["code"] == "DigestMismatch"
            client.put_object(Bucket=bucket, Key=name, Body=b"DATA")
            with pytest.raises(StorageError, match="carries no digest"):
                store.get("key")
            store.put("key", b"again")
            assert store.get("key") == b"again"

    @pytest.mark.parametrize("size", [5 * MEBIBYTE, 5 * MEBIBYTE + 1, 11 * MEBIBYTE])
    def test_in_parts(self, store: S3ArtifactStore, bucket: str, client: Any, size: int):
        data = os.urandom(size)
        store.put("large", [data[:1000], memoryview(data)[1000:-7], bytearray(data[-7:])])
        assert store.get("large") == data
        store.delete("large")

    def test_tags_that_are_no_digests_are_looked_into_once(self, bucket: str):
        """As those of objects that are encrypted with a key of the customer's are."""

        def disguise(exchange: Exchange) -> None:
            answer = exchange.forward()
            headers = [
                (name, '"0123456789abcdef0123456789abcdef"' if name.lower() == "etag" else value)
                for name, value in answer.headers
            ]
            exchange.answer(answer._replace(headers=headers))

        with (
            FaultProxy(s3.port()) as proxy,
            S3ArtifactStore(**s3.options(bucket, proxy.port)) as store,
        ):
            proxy.act = disguise
            proxy.seen.clear()
            store.put("key", b"data")
            store.put("key", b"other data")
            assert proxy.seen == ["PUT", "HEAD", "GET", "PUT"]
            assert store.get("key") == b"other data"

    def test_a_view_is_of_the_bytes_that_were_read(self, store: S3ArtifactStore):
        store.put("key", b"data")
        view = store.view("key")
        assert isinstance(view.obj, bytes)

    def test_closing(self, bucket: str):
        store = S3ArtifactStore(**s3.options(bucket))
        store.close()
        store.close()
        for operation in (store.get, store.view, store.delete):
            with pytest.raises(StorageError, match="closed"):
                operation("key")
        with pytest.raises(StorageError, match="closed"):
            store.put("key", b"")


class TestOptions:
    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            ({"bucket": ""}, "bucket"),
            ({"bucket": None}, "bucket"),
            ({"prefix": None}, "prefix"),
            ({"prefix": "p" * 960}, "prefix"),
            ({"prefix": "\ud800"}, "prefix"),
            ({"client_options": "http://127.0.0.1"}, "client_options"),
            ({"client_options": {1: 2}}, "client_options"),
            ({"client_options": {"service_name": "s3"}}, "service_name"),
            ({"client_options": {"no_such": 1}}, "no_such"),
            ({"client_options": {"config": {}}}, "config"),
            ({"part_size": 5 * MEBIBYTE - 1}, "part_size"),
            ({"part_size": "8M"}, "part_size"),
            ({"concurrency": 0}, "concurrency"),
            ({"attempts": True}, "attempts"),
            ({"connect_timeout": 0}, "connect_timeout"),
            ({"read_timeout": float("nan")}, "read_timeout"),
            ({"abort_uploads_after": -1}, "abort_uploads_after"),
        ],
    )
    def test_wrong_ones_are_named(self, wrong: dict[str, Any], field: str):
        with pytest.raises(ValidationError, match=field):
            S3ArtifactStore(**{"bucket": "bucket", **wrong})

    def test_a_bucket_that_there_is_not(self, bucket: str):
        for wrong in ("no-such-bucket", "NO/such bucket", "x"):
            with pytest.raises(StorageError, match=wrong):
                S3ArtifactStore(**s3.options(wrong))

    def test_one_that_may_not_be_used(self, bucket: str):
        def refuse(exchange: Exchange) -> None:
            exchange.answer(exchange.forward()._replace(status=403))

        with FaultProxy(s3.port()) as proxy:
            proxy.act = refuse
            with pytest.raises(StorageError, match="s3:ListBucket is needed"):
                S3ArtifactStore(**s3.options(bucket, proxy.port))

    def test_a_tree_says_which_child_and_which_bucket(self, bucket: str, tmp_path: Path):
        spec = Child(S3ArtifactStore, s3.options("no-such-bucket"), name="artifacts")
        with pytest.raises(StartError, match="'no-such-bucket' does not exist") as raised:
            Supervisor([spec]).start(run_dir=tmp_path)
        assert raised.value.child == ("artifacts",)

    def test_a_config_of_the_users_goes_first(self, bucket: str):
        from botocore.config import Config

        options = s3.options(bucket)
        options["client_options"]["config"] = Config(
            read_timeout=7, retries={"total_max_attempts": 9, "mode": "standard"}
        )
        with S3ArtifactStore(**options, attempts=2, connect_timeout=11) as store:
            client = store._bucket._client
            config = client._client.meta.config
            assert (config.read_timeout, config.connect_timeout) == (7, 11)
            assert client.attempts == 9

    def test_without_boto3(self):
        code = """
import sys
sys.modules["boto3"] = None
from stores import *
from stores import S3ArtifactStore
from ports import StorageError
try:
    S3ArtifactStore("bucket")
except StorageError as error:
    print(error)
"""
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert "pip install 'regrow[s3]'" in done.stdout

    def test_the_other_stores_do_not_import_it(self):
        code = "import sys, stores; stores.FileArtifactStore; print('boto3' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout == "False\n"


class TestProcesses:
    def test_a_copy_elsewhere_uses_the_same_bucket(self, store: S3ArtifactStore, bucket: str):
        store.put("key", b"data")
        with dill.loads(dill.dumps(store)) as copy:
            assert copy.get("key") == b"data"
            assert copy._bucket._part_size == 5 * MEBIBYTE

    def test_a_forked_one_has_connections_of_its_own(self, store: S3ArtifactStore):
        store.put("key", b"data")
        before = store._bucket._client._client
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                own = store._bucket._client
                fine = store.get("key") == b"data" and own._client is not before
                os.write(writing, b"1" if fine else b"0")
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(reading, 1) == b"1"
        os.close(reading)
        os.close(writing)
        assert store.get("key") == b"data"

    @pytest.mark.parametrize("way", ["object", "class"])
    def test_hosted(self, store: S3ArtifactStore, bucket: str, tmp_path: Path, way: str):
        artifacts = store if way == "object" else (S3ArtifactStore, s3.options(bucket))
        options = {"session_store": (InMemorySessionStore, {}), "artifact_store": artifacts}
        data = os.urandom(6 * MEBIBYTE)
        with (
            Supervisor([Child(CompositeSessionStore, options, name="store")]).start(
                run_dir=tmp_path
            ),
            connect("store", ArtifactStore, run_dir=tmp_path, timeout=PATIENCE) as client,
        ):
            client.put("large", [data[:MEBIBYTE], data[MEBIBYTE:]])
            assert client.get("large") == data
            assert client.view("large") == data

    def test_one_that_waits_for_the_server_is_stopped_in_time(self, bucket: str, tmp_path: Path):
        held, go_on = threading.Event(), threading.Event()

        def hold(_: Exchange) -> None:
            held.set()
            go_on.wait(PATIENCE)

        with FaultProxy(s3.port()) as proxy:
            spec = Child(
                S3ArtifactStore, s3.options(bucket, proxy.port), name="store", shutdown=PATIENCE
            )
            with Supervisor([spec]).start(run_dir=tmp_path) as tree:
                proxy.act = hold
                tree.child("store").cast("put", "key", b"data")
                assert held.wait(PATIENCE)
                # The server is let go only after the store has been stopped.
                tree.terminate_child("store")
                assert not go_on.is_set()
                go_on.set()

    def test_a_kill_in_the_middle_of_an_upload_leaves_the_old_bytes(
        self, store: S3ArtifactStore, bucket: str, client: Any
    ):
        old, new = os.urandom(1000), b"new" * 4 * MEBIBYTE
        store.put("key", old)
        held, go_on = threading.Event(), threading.Event()

        def hold_second_part(exchange: Exchange) -> None:
            if "partNumber=2" in exchange.path:
                held.set()
                go_on.wait(PATIENCE)
            exchange.relay()

        code = """
import sys
sys.stdin.readline()
from stores import S3ArtifactStore
from tests.stores import s3
options = s3.options(sys.argv[1], int(sys.argv[2]), part_size=5 << 20)
with S3ArtifactStore(**options) as store:
    print("started")
    store.put("key", b"new" * (4 << 20))
"""
        with FaultProxy(s3.port()) as proxy, child(code, bucket, proxy.port) as process:
            proxy.act = hold_second_part
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            assert line_of(process) == "started"
            assert held.wait(PATIENCE)
            process.send_signal(signal.SIGKILL)
            process.wait()
            go_on.set()
        assert store.get("key") == old
        # The parts are there, invisible; they are removed once they are old enough.
        uploads = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
        assert len(uploads) == 1
        with S3ArtifactStore(**s3.options(bucket)):
            assert "Uploads" in client.list_multipart_uploads(Bucket=bucket)
        eventually(lambda: _aborted_by_a_start(client, bucket))
        store.put("key", new)
        assert store.get("key") == new

    def test_an_upload_that_somebody_aborts_is_begun_anew(self, bucket: str, client: Any):
        def abort_first(exchange: Exchange) -> None:
            if exchange.method == "POST" and proxy.seen.count("POST") == 2:
                _abort_uploads(client, bucket)
                exchange.refuse(404, "NoSuchUpload")  # moto crashes
            else:
                exchange.relay()

        data = os.urandom(6 * MEBIBYTE)
        with (
            FaultProxy(s3.port()) as proxy,
            S3ArtifactStore(**s3.options(bucket, proxy.port, part_size=5 * MEBIBYTE)) as store,
        ):
            proxy.act = abort_first
            store.put("aborted", data)
            assert store.get("aborted") == data
            assert proxy.seen.count("POST") == 4  # two begun, two to be completed

    def test_uploads_below_other_prefixes_are_not_its_own(self, bucket: str, client: Any):
        upload = client.create_multipart_upload(Bucket=bucket, Key="others/object")
        with S3ArtifactStore(**s3.options(bucket, prefix="mine", abort_uploads_after=1e-6)):
            assert "Uploads" in client.list_multipart_uploads(Bucket=bucket)
        client.abort_multipart_upload(
            Bucket=bucket, Key="others/object", UploadId=upload["UploadId"]
        )

    def test_uploads_that_may_not_be_listed_are_left(
        self, bucket: str, caplog: pytest.LogCaptureFixture
    ):
        def refuse_listing(exchange: Exchange) -> None:
            if "uploads" in exchange.path:
                exchange.refuse(403, "AccessDenied", "Access Denied")
            else:
                exchange.relay()

        with FaultProxy(s3.port()) as proxy:
            proxy.act = refuse_listing
            with S3ArtifactStore(**s3.options(bucket, proxy.port)) as store:
                store.put("key", b"data")
        assert "cannot abort uploads that nobody ends: Access Denied" in caplog.text

    def test_killed_and_called_meanwhile(self, bucket: str, tmp_path: Path):
        spec = Child(S3ArtifactStore, s3.options(bucket), name="store")
        with (
            Supervisor([spec]).start(run_dir=tmp_path) as tree,
            connect("store", ArtifactStore, run_dir=tmp_path, timeout=PATIENCE) as client,
        ):
            for number in range(3):
                client.put("key", b"%d" % number)
                pid = tree.child("store").pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                assert client.get("key") == b"%d" % number


def _aborted_by_a_start(client: Any, bucket: str) -> bool:
    with S3ArtifactStore(**s3.options(bucket, abort_uploads_after=1e-6)):
        return "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


def _abort_uploads(client: Any, bucket: str) -> None:
    for upload in client.list_multipart_uploads(Bucket=bucket)["Uploads"]:
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
