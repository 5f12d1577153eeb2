"""Whatever comes through a socket ends that one connection, and harms nobody else."""

from __future__ import annotations

import array
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from supervisor import Child, Supervisor, SupervisorRef, connect
from supervisor._node import REGISTRY, ROOT, Node, ProcessPath
from tests.supervisor.conftest import fresh
from tests.supervisor.servers import AsyncWorker, Worker

PATHS = {"server": ("w",), "async": ("async",), "root": ROOT, "inner": ("inner",), "reg": REGISTRY}


@pytest.fixture(scope="module")
def shared(module_run_dir: Path) -> Iterator[SupervisorRef]:
    inner = Supervisor([Child(Worker, name="deep")], name="inner")
    children = [Child(Worker, name="w"), Child(AsyncWorker, name="async"), inner]
    with Supervisor(children).start() as tree:
        yield tree


@pytest.fixture
def node(shared: SupervisorRef) -> Iterator[Node]:
    with fresh(shared) as tree:
        before = _processes(tree)
        yield tree.target.node
        assert _processes(tree) == before
        assert connect("w").echo("whole") == "whole"
        assert connect("async").echo("whole") == "whole"
        assert connect("deep").echo("whole") == "whole"


def _processes(tree: SupervisorRef) -> list[int | None]:
    inner = tree.supervisor("inner")
    children = (*tree.which_children(), *inner.which_children())
    return [tree.pid, tree.registry().pid, *(child.pid for child in children)]


def _send(
    node: Node, path: ProcessPath, data: bytes, descriptors: list[int] | None = None
) -> bytes:
    """Send these bytes, and return what comes until the connection is closed."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(node.socket_path(path))
        try:
            if descriptors:
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
                sock.sendmsg([data], [rights])
            else:
                sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := sock.recv(65536):
                answer += piece
        except (BrokenPipeError, ConnectionResetError):
            return b""
        return answer


def _frame(*parts: Any) -> bytes:
    return bytes(msgpack.packb(list(parts), strict_types=False))


def _nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\xc0"


def _ext(code: int, payload: bytes) -> bytes:
    return bytes(msgpack.packb(msgpack.ExtType(code, payload)))


def _request_with(argument: bytes) -> bytes:
    """A request for ``echo`` with this encoded argument."""
    return b"\x94\x00\x01\xa4echo\x92\x91" + argument + b"\x80"


def _typed(name: Any, *fields: Any) -> bytes:
    return _ext(1, msgpack.packb([name, *fields]))


GARBAGE = {
    "nothing": b"",
    "no MessagePack": b"\xc1\xc1\xc1",
    "a number": b"\x01",
    "text": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a map": b"\x80",
    "an empty array": b"\x90",
    "a huge array": b"\xdd\xff\xff\xff\xff",
    "a huge map": b"\xdf\xff\xff\xff\xff",
    "a huge text": b"\xdb\xff\xff\xff\xff",
    "a huge binary": b"\xc6\xff\xff\xff\xff" + bytes(1000),
    "a huge extension": b"\xc9\xff\xff\xff\xff\x01",
    "deep": _nested(100_000),
    "deep in a request": _request_with(_nested(5000)),
    "half a frame": _frame(0, 1, "echo", [[1], {}])[:-3],
    "a response": _frame(1, 1, None, "x"),
    "an unknown kind": _frame(7, 1, "echo", [[], {}]),
    "a request of three": _frame(0, 1, "echo"),
    "a request of five": _frame(0, 1, "echo", [[], {}], 5),
    "an id that is text": _frame(0, "one", "echo", [[1], {}]),
    "an id that is None": _frame(0, None, "echo", [[1], {}]),
    "a negative id": _frame(0, -1, "echo", [[1], {}]),
    "an id that is a list": _frame(0, [1], "echo", [[1], {}]),
    "an id that is a float": _frame(0, 1.0, "echo", [[1], {}]),
    "an id that is True": _frame(0, True, "echo", [[1], {}]),
    "an id beyond 64 bits": b"\x94\x00" + _ext(3, b"\x01" + bytes(12)) + b"\xa4echo\x92\x90\x80",
    "a kind that is False": _frame(False, 1, "echo", [[1], {}]),
    "an operation that is a number": _frame(0, 1, 5, [[], {}]),
    "an operation that is a list": _frame(0, 1, ["echo"], [[], {}]),
    "params that are None": _frame(0, 1, "echo", None),
    "params that are a map": _frame(0, 1, "echo", {}),
    "params that are empty": _frame(0, 1, "echo", []),
    "args that are text": _frame(0, 1, "echo", ["x", {}]),
    "kwargs that are a list": _frame(0, 1, "echo", [[], []]),
    "keywords that are numbers": _frame(0, 1, "echo", [[], {1: 2}]),
    "keywords that are lists": b"\x94\x00\x01\xa4echo\x92\x90\x81\x90\x01",
    "a deadline that is text": _frame(0, 1, "echo", [[1], {}, "soon"]),
    "an instance that is text": _frame(0, 1, "echo", [[1], {}, None, "me"]),
    "a cast of nothing": _frame(2, "echo", None),
    "a cast of an unknown": _frame(2, "unknown", [[], {}]),
    "a cast of a list": _frame(2, [], [[], {}]),
    "a private name": _frame(0, 1, "__init__", [[], {}]),
    "an attribute's attribute": _frame(0, 1, "echo.__globals__", [[], {}]),
    "a type without a module": _request_with(_typed("x")),
    "a type that is a number": _request_with(_typed(5)),
    "a type that is a list": _request_with(_typed([])),
    "a type that is no type": _request_with(_typed("os:environ", 1)),
    "a private type": _request_with(_typed("supervisor._refs:Ref.__init__.__globals__", 1)),
    "a type without its fields": _request_with(_typed("supervisor._refs:Ref")),
    "a type with wrong fields": _request_with(_typed("supervisor._exit:Exit", 1, 2, 3, 4, 5)),
    "a function as a type": _request_with(_typed("os:system", "exit 1")),
    "an error that is none": _request_with(_ext(2, msgpack.packb(["os:system", ["exit 1"], {}]))),
    "an error of odd shape": _request_with(_ext(2, msgpack.packb(5))),
    "a blob without its descriptor": _request_with(_ext(4, msgpack.packb([0, 10, False]))),
    "a pickle": _request_with(_ext(6, b"cos\nsystem\n(S'exit 1'\ntR.")),
    "going down": _request_with(_ext(7, msgpack.packb([True, None]))),
    "an unknown extension": _request_with(_ext(99, b"x")),
    "a timestamp out of range": _request_with(b"\xc7\x0c\xff" + b"\xff" * 12),
    "a timestamp of odd length": _request_with(b"\xc7\x05\xff" + b"\xff" * 5),
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_garbage_harms_nobody(node: Node, path: ProcessPath) -> None:
    for data in GARBAGE.values():
        _send(node, path, data)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_random_bytes_harm_nobody(node: Node, path: ProcessPath) -> None:
    seed = int(os.environ.get("REGROW_SEED") or random.randrange(1 << 30))
    print(f"REGROW_SEED={seed}")
    rng = random.Random(seed)
    whole = [data for data in GARBAGE.values() if 0 < len(data) < 1000]
    for _ in range(60):
        data = bytearray(rng.choice(whole) if rng.random() < 0.8 else rng.randbytes(100))
        for _ in range(rng.randrange(4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        _send(node, path, bytes(data))


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_foreign_descriptors_harm_nobody(node: Node, path: ProcessPath, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"short")
    pipe = os.pipe()
    others = [
        os.open("/dev/zero", os.O_RDONLY),
        os.open(tmp_path, os.O_RDONLY),
        os.open(tmp_path / "file", os.O_RDONLY),
        os.open(tmp_path / "file", os.O_WRONLY),
        *pipe,
    ]
    try:
        for descriptor in others:
            for size in (0, 5, 10, 1 << 62, -1, "x", None):
                for as_view in (False, True):
                    blob = _ext(4, msgpack.packb([0, size, as_view]))
                    _send(node, path, _request_with(blob), [descriptor])
            _send(node, path, _request_with(b"\xc0"), [descriptor] * 3)
            _send(node, path, b"\xc1", [descriptor])
            _send(node, path, _request_with(b"\xc0")[:-2], [descriptor])
        twice = _ext(4, msgpack.packb([0, 5, False]))
        _send(node, path, _request_with(b"\x92" + twice + twice), [others[2]])
    finally:
        for descriptor in others:
            os.close(descriptor)


def test_a_frame_over_the_limit_ends_its_connection(node: Node) -> None:
    head = b"\x94\x00\x01\xa4echo\x92\x91\xc6" + (80 * 1024 * 1024).to_bytes(4, "big")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(node.socket_path(("w",)))
        sock.sendall(head)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            sock.sendall(bytes(80 * 1024 * 1024))


def test_calls_before_and_after_garbage_are_answered(node: Node) -> None:
    call = _frame(0, 1, "echo", [["answered"], {}])
    assert msgpack.unpackb(_send(node, ("w",), call)) == [1, 1, None, "answered"]
    answer = _send(node, ("w",), call + b"\xc1" + call)
    assert answer in (b"", _frame(1, 1, None, "answered"))
    # What follows on other connections is not held up by what could not be read.
    held = _send(node, ("w",), _frame(0, "bad id", "echo", [[1], {}]) + call)
    assert held in (b"", _frame(1, 1, None, "answered"))
    assert msgpack.unpackb(_send(node, ("w",), call)) == [1, 1, None, "answered"]


def test_descriptors_do_not_pile_up(node: Node) -> None:
    with connect("w") as client:
        before = len(client.descriptors())
        for _ in range(20):
            _send(node, ("w",), _request_with(b"\xc0")[:-2], [0, 1])
            client.echo(bytes(100_000))
        assert len(client.descriptors()) <= before + 1


def test_the_descriptors_of_what_is_no_file_are_closed(node: Node, tmp_path: Path) -> None:
    blob = _ext(4, msgpack.packb([0, 0, False]))
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with connect("w") as client:
            before = len(client.descriptors())
            for _ in range(20):
                _send(node, ("w",), _request_with(blob), [folder])
            assert len(client.descriptors()) <= before + 1
    finally:
        os.close(folder)


def test_a_peer_that_does_not_read_holds_nobody_up(node: Node) -> None:
    call = _frame(0, 1, "echo", [["x" * 100_000], {}])
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        sock.connect(node.socket_path(("w",)))
        sent = 0
        try:
            while sent < 50_000_000:
                sent += sock.send(call)
        except BlockingIOError:
            assert sent > 0
        assert connect("w").echo("others") == "others"
