"""A server whose loop does not turn: its stacks are in the log, and it is ended and restarted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor import (
    Child,
    DynamicSupervisor,
    Exit,
    Forwarder,
    ProcessDown,
    Ref,
    Remote,
    Server,
    StartError,
    SupervisorRef,
    connect,
)
from supervisor._client.delivery import Target
from supervisor._context import current
from tests.supervisor.conftest import Log, fresh, stderr_to
from tests.supervisor.servers import Slow, Worker, lines, note
from tests.support import eventually, proc

# Seconds: long enough for a machine that is busy with other tests.
WATCHDOG = 0.6


class Hangs(Worker):
    """Hangs in the ways that a process can hang."""

    def in_python(self) -> None:
        self.spin_here()

    def spin_here(self) -> None:
        while True:
            pass

    def in_c(self) -> int:
        """One call into C that does not return, and that lets no other thread run."""
        return (10**7) ** (10**7)

    def in_system(self) -> None:
        while True:
            time.sleep(60)

    def notes_sigterm(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: note(self.journal, "SIGTERM"))
        self.in_system()

    def stop_itself(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)


class SlowToEnd(Server):
    def __init__(self, journal: str, seconds: float) -> None:
        self.journal = journal
        self.seconds = seconds

    def end(self) -> None:
        self.stop()

    def terminate(self, exit: Exit) -> None:
        time.sleep(self.seconds)
        note(self.journal, f"terminate {exit.reason}")


class AsyncHangs(Server):
    async def block(self) -> None:
        time.sleep(60)

    async def wait(self, seconds: float) -> int:
        await asyncio.sleep(seconds)
        return os.getpid()

    def pid(self) -> int:
        return os.getpid()


class Front(Forwarder):
    """Passes one operation on, and has a way to hang: it is the process that does, not the work."""

    def routes(self) -> dict[str, Remote]:
        identity = current()
        assert identity is not None
        return {"pid": Remote(Target(identity.node, name="back"), frozenset({"pid"}))}


@pytest.fixture(scope="module")
def logged(module_run_dir: Path) -> Path:
    return module_run_dir.parent / "log"


@pytest.fixture(scope="module")
def shared(module_run_dir: Path, logged: Path) -> Iterator[SupervisorRef]:
    with stderr_to(logged):
        tree = DynamicSupervisor(max_restarts=1000).start()
    with tree:
        yield tree


@pytest.fixture
def log(logged: Path) -> Log:
    return Log(logged)


@pytest.fixture
def tree(shared: SupervisorRef) -> Iterator[SupervisorRef]:
    with fresh(shared) as ref:
        yield ref
        for child in ref.which_children():
            ref.terminate_child(child.id)


def start(tree: SupervisorRef, target: Any, kwargs: Any = None, **options: Any) -> Ref:
    options = {"watchdog": WATCHDOG, "shutdown": 0.2, "name": "w", **options}
    return tree.start_child(Child(target, kwargs, **options))


def end_of(ref: Ref, act: Callable[[], object]) -> Exit:
    """How the process ends after this."""
    monitor = ref.monitor()
    with contextlib.suppress(ProcessDown):
        act()
    return monitor.wait(20)


@pytest.mark.parametrize("way", ["in_python", "in_c", "in_system"])
def test_a_server_that_hangs_shows_its_stacks_and_comes_back(
    tree: SupervisorRef, log: Log, way: str
) -> None:
    ref = start(tree, Hangs)
    before = ref.pid
    end = end_of(ref, lambda: ref.call(way, timeout=20))
    assert (end.reason, end.signal) == ("watchdog", signal.SIGKILL)
    assert ref.call("pid") != before
    assert log.has(f"w (pid {before}): its loop has not turned for {WATCHDOG} s", f"in {way}")
    if way == "in_python":
        assert log.has("in spin_here")
    assert not log.has("in begin")


def test_the_caller_of_what_hangs_is_told(tree: SupervisorRef) -> None:
    ref = start(tree, Hangs)
    with pytest.raises(ProcessDown) as caught:
        ref.call("in_python", timeout=20)
    assert caught.value.taken
    assert caught.value.exit is not None
    assert caught.value.exit.reason == "watchdog"


def test_sigterm_comes_before_sigkill(tree: SupervisorRef, journal: str) -> None:
    ref = start(tree, Hangs, {"journal": journal}, shutdown=2.0)
    end = end_of(ref, lambda: ref.call("notes_sigterm", timeout=20))
    assert (end.reason, end.signal) == ("watchdog", signal.SIGKILL)
    assert "SIGTERM" in lines(journal)


def test_a_stopped_server_ends_in_order_and_comes_back(
    tree: SupervisorRef, log: Log, journal: str
) -> None:
    ref = start(tree, Hangs, {"journal": journal}, shutdown=20.0)
    before = ref.pid
    end = end_of(ref, lambda: ref.cast("stop_itself"))
    assert (end.reason, end.signal) == ("watchdog", None)
    assert "terminate worker shutdown" in lines(journal)
    assert ref.call("pid") != before
    assert log.has("it is stopped by a signal, and a stopped process shows no stacks")


def test_an_asynchronous_server_that_blocks(tree: SupervisorRef, log: Log) -> None:
    ref = start(tree, AsyncHangs)
    end = end_of(ref, lambda: ref.call("block", timeout=20))
    assert (end.reason, end.signal) == ("watchdog", signal.SIGKILL)
    assert log.has("in block")


def test_an_asynchronous_operation_that_waits_is_no_hang(tree: SupervisorRef) -> None:
    ref = start(tree, AsyncHangs)
    assert ref.call("wait", 3 * WATCHDOG, timeout=20) == ref.call("pid")


def test_a_forwarder_that_is_stopped(tree: SupervisorRef) -> None:
    tree.start_child(Child(AsyncHangs, name="back"))
    ref = start(tree, Front, shutdown=20.0)
    process = proc(ref.pid)
    end = end_of(ref, lambda: process.kill(signal.SIGSTOP))
    assert end.reason == "watchdog"
    with connect("w") as client:
        assert isinstance(client.pid(), int)


def test_idle_servers_beat_and_live_on(tree: SupervisorRef) -> None:
    tree.start_child(Child(AsyncHangs, name="back"))
    refs = [start(tree, target, name=target.__name__) for target in (Worker, AsyncHangs, Front)]
    pids = [ref.pid for ref in refs]
    # A fourth server that hangs is ended only after the watchdog's time: the others outlive it.
    hung = start(tree, Hangs)
    for _ in range(3):
        end_of(hung, lambda: hung.call("in_system", timeout=20))
    assert [ref.pid for ref in refs] == pids


def test_a_queue_of_operations_that_each_take_their_time_is_no_hang(tree: SupervisorRef) -> None:
    ref = start(tree, Hangs)
    before = ref.pid
    with connect("w", timeout=20) as client:
        for _ in range(20):
            ref.cast("sleep", WATCHDOG / 10)
        assert client.pid() == before


def test_an_end_that_takes_longer_is_no_hang(tree: SupervisorRef, journal: str) -> None:
    kwargs = {"journal": journal, "seconds": 2 * WATCHDOG}
    ref = start(tree, SlowToEnd, kwargs, shutdown=20.0, restart="temporary")
    assert end_of(ref, lambda: ref.call("end")).reason == "normal"
    assert lines(journal) == ["terminate normal"]


def test_an_end_that_never_comes_is_a_hang(tree: SupervisorRef, journal: str, log: Log) -> None:
    kwargs = {"journal": journal, "seconds": 600}
    ref = start(tree, SlowToEnd, kwargs, restart="temporary")
    assert end_of(ref, lambda: ref.cast("end")).reason == "watchdog"
    assert log.has("in terminate")


@pytest.mark.parametrize("restart", ["transient", "temporary"])
def test_whether_it_comes_back_is_up_to_its_spec(tree: SupervisorRef, restart: str) -> None:
    ref = start(tree, Hangs, restart=restart)
    end = end_of(ref, lambda: ref.call("in_system", timeout=20))
    assert end.reason == "watchdog"
    if restart == "transient":
        assert ref.call("pid") > 0
    else:
        eventually(lambda: not tree.which_children())


def test_a_server_without_a_watchdog_may_take_as_long_as_it_likes(tree: SupervisorRef) -> None:
    ref = start(tree, Hangs, watchdog=None)
    assert ref.call("sleep", 2 * WATCHDOG, timeout=20) == ref.pid


def test_a_start_is_limited_by_start_timeout_alone(tree: SupervisorRef) -> None:
    ref = start(tree, Slow, {"start": 2 * WATCHDOG})
    assert ref.call("pid") == ref.pid
    with pytest.raises(StartError, match=r"did not become ready within 0\.3 seconds"):
        start(tree, Slow, {"start": 60}, name="late", start_timeout=0.3)


def test_a_supervisor_that_was_held_up_itself_blames_nobody(tree: SupervisorRef) -> None:
    ref = start(tree, Hangs)
    server, supervisor = proc(ref.pid), proc(tree.pid)
    for process in (supervisor, server):
        process.kill(signal.SIGSTOP)
    hold(2 * WATCHDOG)
    for process in (supervisor, server):
        process.kill(signal.SIGCONT)
    assert ref.call("pid", timeout=20) == server.pid
    assert ref.call("sleep", WATCHDOG / 4, timeout=20) == server.pid


def hold(seconds: float) -> None:
    """Let time pass: what is tested is that nothing comes of it."""
    until = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > until)
