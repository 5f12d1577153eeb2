"""The S3 server of the tests: moto's, over HTTP, in a process of its own."""

import contextlib
import functools
import http.client
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from stores import S3ArtifactStore
from tests.support import adopt_orphans

# Nothing outlives the tests: it ends with its standard input. Of moto's services only the one is
# served, for moto takes longer to find out which one is meant than to answer. And it carries out
# one request at a time: S3 shows an object whole or not at all, moto shows it before its metadata.
SERVER = """
import io, logging, os, sys, threading
if os.fork():
    os._exit(0)
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import make_server
logging.getLogger("werkzeug").setLevel(logging.ERROR)
objects, api = create_backend_app("s3"), create_backend_app("moto_api")
turn = threading.Lock()
def serve(environ, respond):
    app = api if environ["PATH_INFO"].startswith("/moto-api/") else objects
    length = environ.get("CONTENT_LENGTH")
    whole = int(length) if length else -1 if environ.get("wsgi.input_terminated") else 0
    environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(whole))
    with turn:
        return app(environ, respond)
server = make_server("127.0.0.1", 0, serve, threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
os._exit(0)
"""

# What must not be seen anywhere.
ACCESS_KEY, SECRET_KEY, TOKEN = "AKIAREGROWTESTONLY", "s3cret/never+shown", "token-never-shown=="


@functools.cache
def _server() -> int:
    """The port of the server, which is started when it is first asked for."""
    # No child of the tests, for they look at what there is below them.
    adopt_orphans(False)
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        process.wait()
    finally:
        adopt_orphans()
    _pipes.append((process.stdin, process.stdout))
    assert process.stdout is not None
    return int(process.stdout.readline())


# It lives as long as these are open.
_pipes: list[object] = []


def port() -> int:
    """The port of the server; skip the test if it cannot be run."""
    pytest.importorskip("boto3", reason="boto3 is not installed")
    pytest.importorskip("moto", reason="moto is not installed")
    return _server()


def client_options(at: int | None = None) -> dict[str, Any]:
    """Options for the server, or for what listens at another port."""
    return {
        "endpoint_url": f"http://127.0.0.1:{at or port()}",
        "region_name": "us-east-1",
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
        "aws_session_token": TOKEN,
    }


def options(bucket: str, at: int | None = None, **more: Any) -> dict[str, Any]:
    """Arguments of a store in a bucket."""
    return {"bucket": bucket, "client_options": client_options(at), **more}


@contextlib.contextmanager
def client() -> Iterator[Any]:
    """A client of boto3's own."""
    import boto3

    client = boto3.client("s3", **client_options())
    try:
        yield client
    finally:
        client.close()


def empty_bucket(name: str = "contract") -> str:
    """Make a bucket, the only one, and return its name."""
    _request("POST", "/moto-api/reset")
    _request("PUT", f"/{name}")
    return name


def _request(method: str, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port(), timeout=30)
    with contextlib.closing(connection):
        connection.request(method, path)
        assert connection.getresponse().status == 200


class EmptyStore:
    """One store, emptied for each test."""

    def __enter__(self) -> Self:
        self._store = S3ArtifactStore(**options(empty_bucket()))
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    @contextlib.contextmanager
    def __call__(self, _: Path) -> Iterator[S3ArtifactStore]:
        empty_bucket()
        yield self._store
