"""The client for asyncio."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor import (
    BadCall,
    CallTimeout,
    Child,
    NoProcess,
    ProcessDown,
    Supervisor,
    SupervisorRef,
    connect_async,
)
from tests.supervisor.conftest import fresh
from tests.supervisor.servers import AsyncWorker, Marked, Refused, Worker, lines
from tests.support import eventually


@pytest.fixture(scope="module")
def shared(module_run_dir: Path) -> Iterator[SupervisorRef]:
    children = [Child(Marked, name="w"), Child(AsyncWorker, name="async"), Child(Worker, name="x")]
    with Supervisor(children, max_restarts=1000).start() as tree:
        yield tree


@pytest.fixture
def tree(shared: SupervisorRef) -> Iterator[SupervisorRef]:
    with fresh(shared) as ref:
        yield ref


def test_calls_errors_and_binaries(tree: SupervisorRef) -> None:
    async def main() -> None:
        async with await connect_async("w", Marked) as client:
            assert await client.echo({"a": [1, 2**70]}) == {"a": [1, 2**70]}
            data = os.urandom(500_000)
            assert await client.echo([data, named := data[:70_000]]) == [data, named]
            with pytest.raises(Refused):
                await client.refuse("no", 5)
            with pytest.raises(BadCall):
                await client.two(1)
            with pytest.raises(BadCall):
                await client.echo(object())
            with pytest.raises(AttributeError):
                await client.unknown()
        async with await connect_async("nobody") as client:
            with pytest.raises(NoProcess):
                await client.anything()

    asyncio.run(main())


def test_hundreds_in_flight(tree: SupervisorRef) -> None:
    async def main() -> None:
        async with await connect_async("async") as client:
            waiting = [asyncio.create_task(client.wait_for(f"g{number}")) for number in range(300)]
            while len(await client.waiting()) < 300:
                await asyncio.sleep(0)
            assert await client.echo("meanwhile") == "meanwhile"
            await asyncio.gather(*(client.open(f"g{number}") for number in range(300)))
            assert await asyncio.gather(*waiting) == [f"g{number}" for number in range(300)]

    asyncio.run(main())


def test_a_cancelled_call_disturbs_no_other(tree: SupervisorRef) -> None:
    async def main() -> None:
        async with await connect_async("async") as client:
            cancelled = asyncio.create_task(client.wait_for("never"))
            kept = asyncio.create_task(client.wait_for("kept"))
            while "kept" not in await client.waiting():
                await asyncio.sleep(0)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            await client.open("never")
            await client.open("kept")
            assert await kept == "kept"
            assert await client.echo(1) == 1

    asyncio.run(main())


def test_timeouts(tree: SupervisorRef) -> None:
    async def main() -> None:
        async with await connect_async("async", timeout=0.05) as client:
            with pytest.raises(CallTimeout):
                await client.wait_for("too long")
            await client.open("too long")
            assert await client.echo("next") == "next"
        async with await connect_async("async", timeout=None) as client:
            assert await client.echo("no limit") == "no limit"
        async with await connect_async("async", timeout=1e9) as client:
            assert await client.echo("long") == "long"

    asyncio.run(main())


def test_a_restart_is_waited_for_and_idempotent_calls_are_sent_again(
    tree: SupervisorRef, journal: str
) -> None:
    async def main() -> None:
        async with await connect_async("w", Marked) as client:
            slow = asyncio.create_task(client.slow_once(journal))
            while not lines(journal):
                await asyncio.sleep(0.005)
            os.kill(int(lines(journal)[0].split()[1]), signal.SIGKILL)
            assert await client.read()
            assert await slow
            for _ in range(5):
                os.kill(await client.pid(), signal.SIGKILL)
                assert await client.read()
            with pytest.raises(ProcessDown) as caught:
                await client.die()
            assert caught.value.taken

    asyncio.run(main())
    assert len(lines(journal)) == 2


def test_aclose_ends_what_is_in_flight(tree: SupervisorRef) -> None:
    async def main() -> None:
        client = await connect_async("async", retry=False)
        waiting = asyncio.create_task(client.wait_for("open end"))
        while "open end" not in await client.waiting():
            await asyncio.sleep(0)
        await client.aclose()
        with pytest.raises(ProcessDown):
            await waiting
        await client.aclose()
        assert await client.echo("again") == "again"
        await client.open("open end")
        await client.aclose()

    asyncio.run(main())
    assert tree.child("async").call("echo", 1) == 1


def test_a_ref_can_be_connected_to(tree: SupervisorRef) -> None:
    async def main() -> None:
        async with await connect_async(tree.child("x")) as client:
            assert await client.own_name() == "x"
        async with await connect_async(tree.child("x").pinned()) as client:
            pid = await client.pid()
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: tree.child("x").pid not in (None, pid))
            with pytest.raises((NoProcess, ProcessDown)):
                await client.pid()
            with pytest.raises(NoProcess):
                await client.pid()

    asyncio.run(main())
