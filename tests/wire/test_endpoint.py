"""Connections: what comes alone is taken whole, what does not goes by way of the reader."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor._client.blocking import _connect
from supervisor._loop import Loop, new_loop
from supervisor._server.endpoint import Connection, Endpoint
from supervisor._wire.frames import Frame

REQUEST = b"\x94\x00\x01\xa4echo\x92\x91\x07\x80"


class Receiver:
    """Notes what comes, and by which way."""

    def __init__(self) -> None:
        self.whole: list[bytes] = []
        self.frames: list[list[bytes]] = []
        self.takes = True

    def take(self, _: Connection, data: bytes) -> bool:
        if self.takes:
            self.whole.append(data)
        return self.takes

    def handle(self, _: Connection, frames: list[Frame]) -> None:
        self.frames.append([frame.data for frame in frames])


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = new_loop()
    yield loop
    loop.close()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def endpoint(loop: Loop, receiver: Receiver) -> Iterator[Endpoint]:
    listener = socket.socket(socket.AF_UNIX)
    endpoint = Endpoint(loop, listener, receiver.handle, receiver.take)
    yield endpoint
    endpoint.close()


@pytest.fixture
def caller(endpoint: Endpoint) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    endpoint.connections.add(Connection(endpoint, theirs))
    with ours:
        yield ours


def turn(loop: Loop) -> None:
    """Let the loop turn once."""
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_what_comes_alone(caller: socket.socket, loop: Loop, receiver: Receiver) -> None:
    caller.send(REQUEST)
    turn(loop)
    assert receiver.whole == [REQUEST]
    assert receiver.frames == []


def test_what_was_not_taken(caller: socket.socket, loop: Loop, receiver: Receiver) -> None:
    receiver.takes = False
    caller.send(REQUEST)
    turn(loop)
    assert receiver.frames == [[REQUEST]]


def test_a_part_of_a_frame_is_not_offered_again(
    caller: socket.socket, loop: Loop, receiver: Receiver
) -> None:
    receiver.takes = False
    caller.send(REQUEST[:5])
    turn(loop)
    receiver.takes = True
    caller.send(REQUEST[5:])
    turn(loop)
    assert receiver.whole == []
    assert [frame for frames in receiver.frames for frame in frames] == [REQUEST]


def test_after_several_at_once(caller: socket.socket, loop: Loop, receiver: Receiver) -> None:
    receiver.takes = False
    caller.send(2 * REQUEST)
    turn(loop)
    receiver.takes = True
    caller.send(REQUEST)
    turn(loop)
    assert receiver.frames == [[REQUEST, REQUEST], [REQUEST]]
    caller.send(REQUEST)
    turn(loop)
    assert receiver.whole == [REQUEST]


def test_what_is_over_the_limit_is_not_taken(
    caller: socket.socket, loop: Loop, receiver: Receiver, endpoint: Endpoint
) -> None:
    endpoint.limit = len(REQUEST) - 1
    caller.send(REQUEST)
    turn(loop)
    assert receiver.whole == []


def test_a_client_s_socket_may_be_forgotten(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        forgotten = _connect(str(tmp_path / "s"), None)
        accepted, _ = listener.accept()
        with accepted:
            # A plain one would warn, and a warning is an error in these tests.
            del forgotten
            assert accepted.recv(1) == b""
