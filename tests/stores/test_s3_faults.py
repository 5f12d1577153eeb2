"""What S3, and the network on the way there, can do to a store, and what its callers see."""

import logging
import os
import re
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ports import ArtifactStore, NotFound, StorageError, StorageUnavailable, StoreError
from stores import CompositeSessionStore, InMemorySessionStore, S3ArtifactStore
from supervisor import CallTimeout, Child, Supervisor, connect
from tests.stores import s3
from tests.stores.fault_proxy import Exchange, FaultProxy, flipped
from tests.support import PATIENCE

MEBIBYTE = 1 << 20
DATA = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def bucket() -> str:
    return s3.empty_bucket("faults")


@pytest.fixture
def proxy(bucket: str) -> Iterator[FaultProxy]:
    with FaultProxy(s3.port()) as proxy:
        yield proxy


@pytest.fixture
def store(bucket: str, proxy: FaultProxy) -> Iterator[S3ArtifactStore]:
    options = s3.options(bucket, proxy.port, part_size=5 * MEBIBYTE, attempts=2, read_timeout=0.3)
    with S3ArtifactStore(**options, abort_uploads_after=None) as store:
        store.put("key", DATA)
        proxy.seen.clear()
        yield store


class Faults:
    """Does something to exchanges of one method, at most so often, and relays all others."""

    def __init__(self, method: str, fault: Callable[[Exchange], object], times: int = 1000) -> None:
        self._method = method
        self._fault = fault
        self._left = times

    def __call__(self, exchange: Exchange) -> None:
        if exchange.method == self._method and self._left:
            self._left -= 1
            self._fault(exchange)
        else:
            exchange.relay()


def cut(exchange: Exchange) -> None:
    answer = exchange.forward()
    exchange.answer(answer, sent=len(answer.body) // 2)


def corrupt(exchange: Exchange) -> None:
    answer = exchange.forward()
    exchange.answer(answer._replace(body=flipped(answer.body, len(answer.body) // 2)))


def corrupt_request(exchange: Exchange) -> None:
    if exchange.body:
        exchange.body = flipped(exchange.body, len(exchange.body) // 2)
    exchange.relay()


def lose_answer(exchange: Exchange) -> None:
    exchange.forward()


def drop(_: Exchange) -> None:
    """The connection is closed without an answer."""


def garbage(exchange: Exchange) -> None:
    exchange._handler.wfile.write(b"this is not HTTP\r\n\r\n")


def not_xml(exchange: Exchange) -> None:
    exchange.answer(exchange.forward()._replace(status=503, body=b"<html>busy</html"))


def slow_down(exchange: Exchange) -> None:
    exchange.refuse(503, "SlowDown", "Reduce your request rate.")


def internal(exchange: Exchange) -> None:
    exchange.refuse(500, "InternalError", "We encountered an internal error.")


def denied(exchange: Exchange) -> None:
    exchange.refuse(403, "AccessDenied", "Access Denied")


def no_such_upload(exchange: Exchange) -> None:
    exchange.refuse(404, "NoSuchUpload", "The specified upload does not exist.")


PASSING = [slow_down, internal, drop, garbage, not_xml]


class TestPassingFaults:
    @pytest.mark.parametrize("fault", [*PASSING, cut, corrupt], ids=lambda fault: fault.__name__)
    def test_a_get_is_repeated(self, store: S3ArtifactStore, proxy: FaultProxy, fault: Any):
        proxy.act = Faults("GET", fault, times=1)
        assert store.get("key") == DATA
        assert proxy.seen == ["GET", "GET"]

    @pytest.mark.parametrize("fault", [*PASSING, lose_answer], ids=lambda fault: fault.__name__)
    def test_a_put_is_repeated(self, store: S3ArtifactStore, proxy: FaultProxy, fault: Any):
        proxy.act = Faults("PUT", fault, times=1)
        store.put("key", DATA[::-1])
        assert proxy.seen == ["PUT", "PUT"]
        assert store.get("key") == DATA[::-1]

    def test_a_put_that_arrives_otherwise_than_sent_is_repeated(
        self, store: S3ArtifactStore, proxy: FaultProxy
    ):
        proxy.act = Faults("PUT", corrupt_request, times=1)
        store.put("key", DATA[::-1])
        assert store.get("key") == DATA[::-1]
        assert proxy.seen.count("PUT") == 2

    def test_a_part_that_arrives_otherwise_than_sent_is_repeated(
        self, store: S3ArtifactStore, proxy: FaultProxy
    ):
        proxy.act = Faults("PUT", corrupt_request, times=1)
        data = DATA * 6
        store.put("key", data)
        assert store.get("key") == data

    @pytest.mark.parametrize("again", [no_such_upload, slow_down], ids=["gone", "busy"])
    def test_a_completion_whose_answer_was_lost(
        self, store: S3ArtifactStore, proxy: FaultProxy, again: Callable[[Exchange], None]
    ):
        data = DATA * 6
        proxy.act = Faults("POST", _lose_completion(again))
        store.put("key", data)
        assert store.get("key") == data
        assert proxy.seen.count("PUT") == 2  # parts, each once


def _lose_completion(again: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    lost = False

    def act(exchange: Exchange) -> None:
        nonlocal lost
        answer = exchange.forward()
        if "uploadId" in exchange.path and not lost:
            lost = True
        elif "uploadId" in exchange.path:
            again(exchange)
        else:
            exchange.answer(answer)

    return act


class TestLastingFaults:
    """The bound is two attempts."""

    @pytest.mark.parametrize(
        ("fault", "code", "status"),
        [
            (slow_down, "SlowDown", 503),
            (internal, "InternalError", 500),
            (drop, "ConnectionClosedError", None),
            (cut, "IncompleteReadError|ResponseStreamingError", None),
            (garbage, "ConnectionClosedError|HTTPClientError", None),
            (not_xml, "503", 503),
        ],
        ids=lambda value: getattr(value, "__name__", None),
    )
    def test_the_server_is_unavailable(
        self, store: S3ArtifactStore, proxy: FaultProxy, fault: Any, code: str, status: int | None
    ):
        proxy.act = Faults("GET", fault)
        with pytest.raises(StorageUnavailable) as raised:
            store.get("key")
        assert raised.value.code == "storage_connection_failed"
        assert raised.value.details["code"] in code.split("|")
        assert raised.value.details.get("status") == status
        assert raised.value.details["bucket"] == "faults"
        assert raised.value.details["key"] == "key"
        assert proxy.seen == ["GET", "GET"]

    def test_bytes_that_are_not_those_put_are_an_error(
        self, store: S3ArtifactStore, proxy: FaultProxy
    ):
        proxy.act = Faults("GET", corrupt)
        for operation in (store.get, store.view):
            with pytest.raises(StorageError) as raised:
                operation("key")
            assert raised.value.details["code"] == "DigestMismatch"
            assert type(raised.value) is StorageError

    @pytest.mark.parametrize("size", [1000, 6 * MEBIBYTE])
    def test_a_put_that_does_not_arrive_as_sent_is_an_error(
        self, store: S3ArtifactStore, proxy: FaultProxy, size: int
    ):
        proxy.act = Faults("PUT", corrupt_request)
        with pytest.raises(StorageError, match="have not arrived as sent") as raised:
            store.put("other", os.urandom(size))
        assert raised.value.details["code"] == "DigestMismatch"

    @pytest.mark.parametrize("code", ["BadDigest", "XAmzContentSHA256Mismatch"])
    def test_what_the_server_finds_damaged_is_sent_again_within_the_bound(
        self, store: S3ArtifactStore, proxy: FaultProxy, code: str
    ):
        proxy.act = Faults("PUT", lambda exchange: exchange.refuse(400, code))
        with pytest.raises(StorageError) as raised:
            store.put("key", b"new")
        assert raised.value.details["code"] == code
        assert proxy.seen == ["PUT", "PUT"]
        assert store.get("key") == DATA

    def test_a_refusal_is_not_repeated(self, store: S3ArtifactStore, proxy: FaultProxy):
        proxy.act = denied
        for operation in (store.get, store.delete, lambda key: store.put(key, b"new")):
            with pytest.raises(StorageError, match="Access Denied") as raised:
                operation("key")
            assert not isinstance(raised.value, StorageUnavailable)
            assert raised.value.details["code"] == "AccessDenied"
            assert raised.value.details["status"] == 403
        assert proxy.seen == ["GET", "DELETE", "PUT"]

    def test_a_bucket_that_is_gone_is_not_an_artifact_that_is_missing(
        self, store: S3ArtifactStore, proxy: FaultProxy
    ):
        proxy.act = lambda exchange: exchange.refuse(404, "NoSuchBucket", "It does not exist.")
        with pytest.raises(StorageError) as raised:
            store.get("key")
        assert not isinstance(raised.value, NotFound)
        assert raised.value.details["code"] == "NoSuchBucket"

    def test_silence_ends_in_time(self, store: S3ArtifactStore, proxy: FaultProxy):
        silent = threading.Event()
        proxy.act = lambda exchange: silent.wait(PATIENCE)
        with pytest.raises(StorageUnavailable) as raised:
            store.get("key")
        silent.set()
        assert raised.value.details["code"] == "ReadTimeoutError"

    def test_nobody_listens(self, bucket: str):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(StorageUnavailable, match=bucket) as raised:
            S3ArtifactStore(**s3.options(bucket, port, attempts=2))
        assert raised.value.details["code"] == "EndpointConnectionError"

    def test_it_recovers_by_itself(self, store: S3ArtifactStore, proxy: FaultProxy):
        proxy.act = drop
        with pytest.raises(StorageUnavailable):
            store.get("key")
        proxy.act = Exchange.relay
        assert store.get("key") == DATA


class TestParts:
    def test_an_upload_that_fails_leaves_the_old_bytes_and_no_parts(
        self, store: S3ArtifactStore, proxy: FaultProxy, bucket: str
    ):
        proxy.act = Faults("PUT", denied)
        with pytest.raises(StorageError, match="Access Denied"):
            store.put("key", DATA * 11)
        assert proxy.seen[-2:] == ["DELETE", "HEAD"]
        assert store.get("key") == DATA
        with s3.client() as client:
            assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)

    def test_one_that_cannot_be_completed(
        self, store: S3ArtifactStore, proxy: FaultProxy, bucket: str
    ):
        def refuse_completion(exchange: Exchange) -> None:
            if "uploadId" in exchange.path:
                exchange.refuse(400, "InvalidPart", "A part could not be found.")
            else:
                exchange.relay()

        proxy.act = Faults("POST", refuse_completion)
        with pytest.raises(StorageError) as raised:
            store.put("key", DATA * 6)
        assert raised.value.details["code"] == "InvalidPart"
        assert store.get("key") == DATA
        with s3.client() as client:
            assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)

    def test_parts_that_cannot_be_removed_are_logged(
        self, store: S3ArtifactStore, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
    ):
        proxy.act = lambda exchange: (
            exchange.relay() if exchange.method == "POST" else denied(exchange)
        )
        with pytest.raises(StorageError, match="cannot store artifact 'key': Access Denied"):
            store.put("key", DATA * 6)
        assert "parts are left in the bucket faults" in caplog.text


class TestServed:
    """In processes of their own."""

    def tree(self, *children: Child, folder: Path) -> Any:
        return Supervisor(children).start(run_dir=folder)

    def objects(self, bucket: str, proxy: FaultProxy, **more: Any) -> dict[str, Any]:
        return s3.options(bucket, proxy.port, attempts=2, part_size=5 * MEBIBYTE, **more)

    @pytest.mark.parametrize("way", ["process", "hosted"])
    def test_one_slow_object_holds_up_no_other_and_is_changed_in_order(
        self, bucket: str, proxy: FaultProxy, tmp_path: Path, way: str
    ):
        options = self.objects(bucket, proxy, concurrency=4)
        held, go_on = threading.Event(), threading.Event()

        def hold_slow(exchange: Exchange) -> None:
            if exchange.method == "PUT" and b"slow" in exchange.body:
                held.set()
                assert go_on.wait(PATIENCE)
            exchange.relay()

        children = (
            [Child(S3ArtifactStore, options, name="store")]
            if way == "process"
            else [
                Child(
                    CompositeSessionStore,
                    {
                        "session_store": (InMemorySessionStore, {}),
                        "artifact_store": (S3ArtifactStore, options),
                    },
                    name="store",
                )
            ]
        )
        with (
            self.tree(*children, folder=tmp_path),
            ThreadPoolExecutor(8) as threads,
            connect("store", ArtifactStore, run_dir=tmp_path, timeout=PATIENCE) as client,
        ):
            proxy.act = hold_slow
            slow = threads.submit(client.put, "a", b"slow")
            assert held.wait(PATIENCE)
            later = [threads.submit(client.put, "a", b"later") for _ in range(5)]
            # More than there are threads for wait for the slow one; everybody else is served.
            client.put("b", b"fast")
            assert client.get("b") == b"fast"
            client.delete("b")
            with pytest.raises(NotFound):
                client.get("b")
            assert not slow.done()
            assert not any(each.done() for each in later)
            go_on.set()
            for each in [slow, *later]:
                each.result(PATIENCE)
            assert client.get("a") == b"later"

    def test_a_put_that_its_caller_gave_up_does_not_undo_a_later_one(
        self, bucket: str, proxy: FaultProxy, tmp_path: Path
    ):
        held, go_on = threading.Event(), threading.Event()

        def hold_slow(exchange: Exchange) -> None:
            if exchange.method == "PUT" and b"slow" in exchange.body and not held.is_set():
                held.set()
                assert go_on.wait(PATIENCE)
            exchange.relay()

        with (
            self.tree(
                Child(S3ArtifactStore, self.objects(bucket, proxy), name="store"), folder=tmp_path
            ),
            connect("store", ArtifactStore, run_dir=tmp_path, timeout=0.5) as hasty,
            connect("store", ArtifactStore, run_dir=tmp_path, timeout=PATIENCE) as client,
            ThreadPoolExecutor(1) as threads,
        ):
            proxy.act = hold_slow
            with pytest.raises(CallTimeout):
                hasty.put("a", b"slow")
            assert held.is_set()
            later = threads.submit(client.put, "a", b"later")
            go_on.set()
            later.result(PATIENCE)
            assert client.get("a") == b"later"

    def test_errors_pass_through_the_composite(
        self, bucket: str, proxy: FaultProxy, tmp_path: Path
    ):
        with (
            self.tree(
                Child(InMemorySessionStore, name="sessions"),
                Child(S3ArtifactStore, self.objects(bucket, proxy), name="artifacts"),
                Child(CompositeSessionStore, args=("sessions", "artifacts"), name="store"),
                folder=tmp_path,
            ),
            connect("store", ArtifactStore, run_dir=tmp_path, timeout=PATIENCE) as client,
        ):
            client.put("key", DATA)
            for fault, kind, code in (
                (slow_down, StorageUnavailable, "SlowDown"),
                (denied, StorageError, "AccessDenied"),
                (corrupt, StorageError, "DigestMismatch"),
            ):
                proxy.act = Faults("GET", fault)
                with pytest.raises(StoreError) as raised:
                    client.get("key")
                assert type(raised.value) is kind
                assert raised.value.details["code"] == code
            proxy.act = Exchange.relay
            assert client.view("key") == DATA


class TestCredentials:
    """No message, log line or command line shows any."""

    @pytest.fixture(autouse=True)
    def _everything_is_logged(self, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
        level = logging.getLogger("botocore").level
        logging.getLogger("botocore").setLevel(logging.NOTSET)
        caplog.set_level(logging.DEBUG)
        yield
        logging.getLogger("botocore").setLevel(level)
        self.assert_clean(caplog.text)

    def assert_clean(self, text: str) -> None:
        for secret in (s3.ACCESS_KEY, s3.SECRET_KEY, s3.TOKEN, "hidden"):
            assert secret not in text, text
        assert not re.search(r"Signature=[^*]", text), text

    def shown(self, error: BaseException) -> str:
        details = getattr(error, "details", "")
        return f"{error!r} {error} {details} {''.join(traceback.format_exception(error))}"

    def test_what_a_server_says_is_cleaned(self, store: S3ArtifactStore, proxy: FaultProxy):
        said = (
            f"{s3.SECRET_KEY} AWSAccessKeyId {s3.ACCESS_KEY} token={s3.TOKEN} "
            "http://user:hid@hidden@host/?X-Amz-Signature=hidden&amp;X-Amz-Credential=hidden"
        )
        proxy.act = lambda exchange: exchange.refuse(403, "SignatureDoesNotMatch", said)
        with pytest.raises(StorageError) as raised:
            store.get("key")
        self.assert_clean(self.shown(raised.value))
        assert "SignatureDoesNotMatch" in raised.value.message

    def test_operations_and_failures_are_logged_without(
        self, store: S3ArtifactStore, proxy: FaultProxy
    ):
        store.put("key", DATA)
        assert store.get("key") == DATA
        proxy.act = drop
        with pytest.raises(StorageUnavailable) as raised:
            store.get("key")
        self.assert_clean(self.shown(raised.value))
        self.assert_clean(repr(store))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"endpoint_url": "http://user:hid/den@127.0.0.1:1"},
            {"endpoint_url": "http://hidden:hid den@127.0.0.1:1"},
            {"endpoint_url": "hidden:hidden@nowhere"},
            {"no_such_option": "hidden"},
            {"config": "hidden"},
            {"region_name": "hidden\n"},
        ],
    )
    def test_wrong_options(self, bucket: str, wrong: dict[str, Any]):
        options = {**s3.client_options(1), **wrong}
        with pytest.raises(StoreError) as raised:
            S3ArtifactStore(bucket, client_options=options, attempts=1, connect_timeout=1)
        self.assert_clean(self.shown(raised.value))

    def test_options_in_the_wrong_place(self, bucket: str):
        secret = s3.options(bucket)
        for wrong in ((S3ArtifactStore, secret), (S3ArtifactStore, secret, 1), secret):
            with pytest.raises(StoreError) as raised:
                CompositeSessionStore(wrong, wrong)
            self.assert_clean(self.shown(raised.value))

    def test_a_tree_that_starts_and_one_that_does_not(
        self, bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ):
        child = Child(S3ArtifactStore, s3.options(bucket), name="store")
        with Supervisor([child]).start(run_dir=tmp_path) as tree:
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                with_secrets = _read(process)
                assert s3.SECRET_KEY not in with_secrets
                assert s3.TOKEN not in with_secrets
            tree.child("store").call("put", "key", b"data")
        missing = Child(S3ArtifactStore, s3.options("no-such-bucket"), name="store")
        with pytest.raises(Exception, match="no-such-bucket") as raised:
            Supervisor([missing]).start(run_dir=tmp_path)
        self.assert_clean(self.shown(raised.value))


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # it has ended meanwhile
        return ""


def test_many_at_once_through_faults(store: S3ArtifactStore, proxy: FaultProxy):
    """Each third request fails; what is acknowledged is there, and nothing is torn."""
    counter = iter(range(10_000))

    def act(exchange: Exchange) -> None:
        number = next(counter)
        if number % 3:
            exchange.relay()
        else:
            (slow_down, drop, lose_answer)[number // 3 % 3](exchange)

    def work(thread: int) -> list[str]:
        problems, acknowledged = [], {}
        for number in range(10):
            key, data = f"{thread}/{number % 3}", b"%d %d " % (thread, number) * 2000
            try:
                store.put(key, data)
                acknowledged[key] = [data]
            except StorageUnavailable:
                acknowledged.setdefault(key, []).append(data)
            try:
                found = store.get(key)
            except (StorageUnavailable, NotFound):
                continue
            if found not in acknowledged[key]:
                problems.append(f"{key}: {found[:20]!r}")
        return problems

    proxy.act = act
    with ThreadPoolExecutor(4) as threads:
        problems = [problem for found in threads.map(work, range(4)) for problem in found]
    assert problems == []
