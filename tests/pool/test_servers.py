"""Pools of servers: calls of the name, checkouts, and deaths of workers."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from supervisor import (
    BadCall,
    CallTimeout,
    NoProcess,
    Overloaded,
    Pool,
    PoolExecutor,
    ProcessDown,
    Server,
    SpecError,
    StartError,
    Supervisor,
    SupervisorRef,
    checkout,
    connect,
    connect_async,
    idempotent,
    whereis,
)
from supervisor._driver.administration import Administration
from supervisor._loop import new_loop
from supervisor._pool.spec import RESERVED
from tests.pool.conftest import twin
from tests.support import eventually


class Sad(Exception):
    """A declared error."""


class Connection(Server):
    """What such a pool is for: something with a state, which one caller uses at a time."""

    replies_with = (Sad,)

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.said: list[str] = []

    def echo(self, value: Any) -> Any:
        return value

    @idempotent
    def pid(self) -> int:
        return os.getpid()

    def say(self, text: str) -> list[str]:
        self.said.append(self.prefix + text)
        return self.said

    def sad(self) -> None:
        raise Sad("so it is")

    def bug(self) -> None:
        raise KeyError("a bug")

    def hold(self, begun: str, gate: str) -> int:
        Path(begun).touch()
        eventually(lambda: os.path.exists(gate))
        return os.getpid()

    @idempotent
    def die_once(self, path: str) -> int:
        if not os.path.exists(path):
            Path(path).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def shared_tree(module_run_dir: None) -> Iterator[SupervisorRef]:
    pool = Pool(Connection, {"prefix": "> "}, size=2, name="pool")
    with Supervisor([pool]).start() as started:
        yield started


@pytest.fixture
def tree(shared_tree: SupervisorRef) -> Iterator[SupervisorRef]:
    with twin(shared_tree) as ref:
        yield ref


def test_calls_are_shared_out(tree: SupervisorRef, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with ThreadPoolExecutor(3) as threads, connect("pool", Connection, timeout=20) as pool:
        holding = [
            threads.submit(pool.hold, str(tmp_path / f"begun{number}"), str(gate))
            for number in range(2)
        ]
        # Both at once: each is with a worker of its own.
        eventually(lambda: all((tmp_path / f"begun{number}").exists() for number in range(2)))
        waiting = threads.submit(pool.pid)
        gate.touch()
        pids = {future.result() for future in holding}
        assert len(pids) == 2
        assert waiting.result() in pids
        assert {child.pid for child in tree.supervisor("pool").which_children()} == pids
        threads.submit(pool.close).result()


def test_calls_are_as_those_of_a_server(tree: SupervisorRef) -> None:
    with connect("pool", timeout=20) as pool:
        big = os.urandom(200_000)
        assert pool.echo(big) == big
        with pytest.raises(Sad, match="so it is"):
            pool.sad()
        with pytest.raises(BadCall, match="has no operation 'dance'"):
            pool.dance()
        with pytest.raises(BadCall):
            pool.echo()
        pids = {child.pid for child in tree.supervisor("pool").which_children()}
        assert pool.pid() in pids
    found = whereis("pool")
    assert found is not None
    assert found.call("echo", 1) == 1
    found.cast("say", "nobody hears it")
    assert found.pid not in pids
    found._caller.close()


def test_many_callers_at_once(tree: SupervisorRef) -> None:
    async def main() -> None:
        async with await connect_async("pool", timeout=20) as pool:
            results = await asyncio.gather(*(pool.echo(number) for number in range(500)))
            assert results == list(range(500))

    asyncio.run(main())


def test_a_worker_that_dies_of_a_call(tree: SupervisorRef, tmp_path: Path) -> None:
    with connect("pool", Connection, timeout=20) as pool:
        with pytest.raises(ProcessDown, match="SIGKILL") as killed:
            pool.die()
        assert killed.value.taken
        with pytest.raises(ProcessDown, match="a bug") as crashed:
            pool.bug()
        assert crashed.value.exit is not None
        assert crashed.value.exit.reason == "error"
        # What may be done twice goes to another worker.
        assert pool.die_once(str(tmp_path / "died"))
        for _ in range(4):
            assert pool.echo(1) == 1
    eventually(
        lambda: (
            [child.status for child in tree.supervisor("pool").which_children()] == ["running"] * 2
        )
    )


def test_checkout(tree: SupervisorRef) -> None:
    with checkout("pool", Connection) as mine, checkout("pool") as other:
        assert mine.say("one")[-1:] == ["> one"]
        assert other.say("another")[-1:] == ["> another"]
        assert mine.say("two")[-2:] == ["> one", "> two"]
        assert mine.pid() != other.pid()
        with pytest.raises(CallTimeout), checkout("pool", timeout=0.1):
            raise AssertionError("there are only two")
    with connect("pool", Connection) as pool:
        assert pool.pid()


def test_checkout_waits_for_a_worker(tree: SupervisorRef) -> None:
    order: list[str] = []
    entered = threading.Event()

    def later() -> None:
        with checkout("pool", timeout=20) as worker:
            order.append("later")
            worker.echo(1)

    with checkout("pool"), checkout("pool"):
        waiting = threading.Thread(target=later)
        waiting.start()
        entered.wait(0.05)
        order.append("first")
    waiting.join()
    assert order == ["first", "later"]


def test_a_worker_that_dies_while_it_is_checked_out(tree: SupervisorRef) -> None:
    with checkout("pool", Connection) as mine:
        with pytest.raises(ProcessDown):
            mine.die()
        with pytest.raises(NoProcess):
            mine.echo(1)
    with checkout("pool") as one, checkout("pool", timeout=20) as other:
        assert one.pid() != other.pid()


def test_a_checkout_ends_with_its_process(tree: SupervisorRef) -> None:
    ready, write = os.pipe()
    child = os.fork()
    if child == 0:
        with checkout("pool"), checkout("pool"):
            os.write(write, b"x")
            time.sleep(60)
    os.close(write)
    assert os.read(ready, 1) == b"x"
    os.close(ready)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with checkout("pool", timeout=20), checkout("pool", timeout=20):
        pass


def test_checkout_on_a_loop(tree: SupervisorRef) -> None:
    async def main() -> None:
        async with checkout("pool", Connection) as mine:
            assert (await mine.say("hello"))[-1] == "> hello"

    asyncio.run(main())


def test_the_queue_has_a_bound(run_dir: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    pool = Pool(Connection, size=1, queue_size=1, name="pool")
    with Supervisor([pool]).start(), ThreadPoolExecutor(5) as threads:
        client = connect("pool", timeout=20)
        holding = threads.submit(client.hold, str(tmp_path / "begun"), str(gate))
        eventually((tmp_path / "begun").exists)
        calls = [threads.submit(client.echo, 2) for _ in range(4)]
        eventually(lambda: sum(call.done() for call in calls) == 3)
        gate.touch()
        assert holding.result()
        outcomes = [call.exception() for call in calls]
        assert sum(isinstance(outcome, Overloaded) for outcome in outcomes) == 3
        assert outcomes.count(None) == 1
        assert client.echo(3) == 3
        client.close()


def test_a_worker_is_replaced_after_so_many_calls(run_dir: Path) -> None:
    pool = Pool(Connection, size=1, max_tasks=2, name="pool")
    with Supervisor([pool]).start(), connect("pool", Connection, timeout=20) as client:
        pids = [client.pid() for _ in range(6)]
    assert [pids[at] == pids[at + 1] for at in range(5)] == [True, False, True, False, True]


class Broken:
    def __init__(self) -> None:
        raise OSError("no such device")


class Waiting:
    def wait(self) -> None:
        """A pool is asked that itself."""


def test_wrong_use(run_dir: Path) -> None:
    with pytest.raises(SpecError, match=r"Pool\(p\): target must be a class"):
        Pool(len, name="p")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="the target does not take these arguments"):
        Pool(Connection, {"suffix": 1})
    with pytest.raises(SpecError, match="has an operation 'wait'"):
        Pool(Waiting)
    with pytest.raises(SpecError, match="initializer must be left out with a target"):
        Pool(Connection, initializer=print)
    with pytest.raises(StartError, match="no such device"):
        Supervisor([Pool(Broken, size=1, name="pool")]).start()
    with pytest.raises(BadCall, match="takes a pool's name or a Ref"):
        checkout(3)  # type: ignore[call-overload]


def test_each_kind_of_pool_says_what_it_is_not(tree: SupervisorRef) -> None:
    with pytest.raises(BadCall, match="servers of Connection: they run no functions"):
        PoolExecutor.connect("pool")


def test_what_a_pool_is_asked_for_itself(tree: SupervisorRef) -> None:
    class Process:
        machine = None

        loop = new_loop()

    assert set(Administration(Process())._operations) == RESERVED  # type: ignore[arg-type]
    Process.loop.close()
