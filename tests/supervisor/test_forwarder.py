"""A forwarder is bounded too: what one backend does not answer is counted, for it alone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from supervisor import (
    Child,
    Forwarder,
    Hosted,
    Overloaded,
    Remote,
    Server,
    Supervisor,
    SupervisorRef,
    connect_async,
)
from supervisor._client.delivery import Target
from supervisor._context import current
from supervisor._forward.calls import ForwardedCall
from supervisor._forward.hosted import HostedBackend
from supervisor._wire.codec import encode
from supervisor._wire.frames import NOTIFICATION, REQUEST, Frame, read_header
from tests.supervisor.conftest import Log, fresh, stderr_to
from tests.supervisor.servers import AsyncWorker, Worker
from tests.support import eventually


class Blocking:
    """What a forwarder hosts: its operations block threads."""

    def __init__(self) -> None:
        self._gates: dict[str, threading.Event] = {}
        self.opened: list[str] = []

    def wait_for(self, gate: str) -> str:
        self._gates.setdefault(gate, threading.Event()).wait()
        return gate

    def open(self, gate: str) -> None:
        self.opened.append(gate)
        self._gates.setdefault(gate, threading.Event()).set()

    def close(self) -> None:
        for gate in self._gates.values():
            gate.set()


class Narrow(Forwarder):
    """Passes some operations to one backend, and one to another."""

    mailbox_size = 4

    def __init__(self, hosted: bool) -> None:
        self.hosted = hosted

    def routes(self) -> dict[str, Remote | Hosted]:
        identity = current()
        assert identity is not None
        remote = Remote(Target(identity.node, name="back"))
        slow = Hosted(Blocking()) if self.hosted else remote
        return {
            **dict.fromkeys(("wait_for", "open", "begin", "take_begun"), slow),
            "pid": Remote(Target(identity.node, name="other")),
            "echo": Remote(Target(identity.node, name="deaf")),
        }


class Deaf(Server):
    """Answers, unless its process is stopped."""

    def echo(self, value: Any) -> Any:
        return value


@pytest.fixture(scope="module")
def logged(module_run_dir: Path) -> Path:
    return module_run_dir.parent / "log"


@pytest.fixture(scope="module")
def shared(module_run_dir: Path, logged: Path) -> Iterator[SupervisorRef]:
    children = [
        Child(AsyncWorker, name="back"),
        Child(Worker, name="other"),
        Child(Deaf, name="deaf"),
        Child(Narrow, {"hosted": False}, name="remote"),
        Child(Narrow, {"hosted": True}, name="hosted"),
    ]
    with stderr_to(logged):
        tree = Supervisor(children).start()
    with tree:
        yield tree


@pytest.fixture
def tree(shared: SupervisorRef) -> Iterator[SupervisorRef]:
    with fresh(shared) as ref:
        yield ref


@pytest.mark.parametrize("front", ["remote", "hosted"])
def test_calls_that_a_backend_does_not_answer_are_bounded(tree: SupervisorRef, front: str) -> None:
    async def fill() -> None:
        async with await connect_async(front, timeout=30) as client:
            waiting = [asyncio.ensure_future(client.wait_for(f"{n}")) for n in range(4)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded, match="4 requests wait or are in flight"):
                await client.wait_for("one more")
            # The other backend has its own bound.
            assert await client.pid() > 0
            if front == "remote":
                async with await connect_async("back") as back:
                    await back.open("0")
                assert await waiting[0] == "0"
                # There is room for one more.
                await client.open("1")
            for call in waiting:
                call.cancel()

    asyncio.run(fill())


def test_casts_that_a_backend_does_not_read_are_dropped(tree: SupervisorRef, logged: Path) -> None:
    log = Log(logged)
    front = tree.child("remote")
    assert front.call("echo", 1) == 1
    deaf = next(child.pid for child in tree.which_children() if child.id == "deaf")
    assert deaf is not None
    os.kill(deaf, signal.SIGSTOP)
    try:
        for _ in range(30):
            front.cast("echo", bytes(1_000_000))
        eventually(lambda: log.has("a cast is dropped: its backend does not read"))
        assert front.call("pid") > 0
    finally:
        os.kill(deaf, signal.SIGCONT)
    assert front.call("echo", 2) == 2


def test_casts_and_calls_keep_their_order_while_a_backend_restarts(tree: SupervisorRef) -> None:
    front = tree.child("remote")
    back = tree.child("back").pid
    assert back is not None
    front.call("take_begun")
    os.kill(back, signal.SIGKILL)
    eventually(lambda: tree.child("back").pid not in (None, back))
    messages = (
        [REQUEST, 1, "begin", [[0], {}]],
        [NOTIFICATION, "begin", [[1], {}]],
        [REQUEST, 2, "take_begun", [[], {}]],
    )
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(10)
        caller.connect(tree.target.node.socket_path(("remote",)))
        caller.sendall(b"".join(map(encode, messages)))
        unpacker = msgpack.Unpacker()
        answers: dict[int, object] = {}
        while len(answers) < 2:
            unpacker.feed(caller.recv(4096))
            answers.update((call_id, result) for _, call_id, _, result in unpacker)
    assert answers == {1: None, 2: [0, 1]}


def test_what_its_caller_has_given_up_on_takes_no_thread() -> None:
    """A hosted call whose time was over while it waited for a thread is not carried out."""
    blocking = Blocking()

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        backend = HostedBackend(loop, Hosted(blocking), lambda call, _: call.finish(), print)
        data = encode([0, 1, "open", [["gate"], {}]])
        nobody: Any = None
        calls = [ForwardedCall(nobody, read_header(data), Frame(data)) for _ in range(2)]
        calls[0].answered = True
        for call in calls:
            backend.forward(call)
        while backend.load:
            await asyncio.sleep(0.001)
        backend.close()
        assert calls[1].answered

    asyncio.run(scenario())
    assert blocking.opened == ["gate"]
