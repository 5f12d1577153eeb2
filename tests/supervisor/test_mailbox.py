"""The bound of a mailbox: what is beyond it is refused; what a server itself asks for is not."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor import (
    Child,
    DynamicSupervisor,
    Overloaded,
    Ref,
    Server,
    StartError,
    SupervisorRef,
    connect,
    connect_async,
)
from tests.supervisor.conftest import Log, fresh, stderr_to
from tests.supervisor.servers import AsyncWorker, Worker, lines
from tests.support import eventually


class Narrow(Worker):
    mailbox_size = 4


class NarrowAsync(AsyncWorker):
    mailbox_size = 4

    async def ask(self, name: str, gate: str) -> str:
        """Call another server, while this one's mailbox is full."""
        async with await connect_async(name) as other:
            return str(await other.wait_for(gate))


class Later(Server):
    """Answers by futures, from a thread."""

    mailbox_size = 4

    def __init__(self) -> None:
        self.futures: list[concurrent.futures.Future[str]] = []

    def wait(self) -> concurrent.futures.Future[str]:
        self.futures.append(concurrent.futures.Future())
        if len(self.futures) == self.mailbox_size:
            self.call_later(0.2, self.answer)
        return self.futures[-1]

    def answer(self) -> None:
        for future in self.futures:
            future.set_result("at last")
        self.futures.clear()


class Wrong(Server):
    mailbox_size = 0


class HasOperation:
    """A plain class may call an operation so."""

    def mailbox_size(self) -> str:
        return "an operation"


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


def start(tree: SupervisorRef, target: Any, kwargs: Any = None) -> Ref:
    return tree.start_child(Child(target, kwargs, name="s"))


async def outcomes(calls: list[Any]) -> Counter[str]:
    results = await asyncio.gather(*calls, return_exceptions=True)
    return Counter(
        type(result).__name__ if isinstance(result, Exception) else "answered" for result in results
    )


def test_what_waits_beyond_the_bound_is_refused(tree: SupervisorRef, journal: str) -> None:
    """While one operation runs, others arrive: so many wait, the rest is told at once."""
    start(tree, Narrow, {"journal": journal})

    async def flood() -> Counter[str]:
        async with await connect_async("s", timeout=30) as client:
            running = asyncio.ensure_future(client.sleep_noted(0.5, "first"))
            while "first" not in lines(journal):
                await asyncio.sleep(0.005)
            calls = [client.noted(f"call {number}") for number in range(20)]
            found = await outcomes([running, *calls])
            assert await client.pid() > 0
            return found

    assert asyncio.run(flood()) == {"answered": 5, "Overloaded": 16}
    # What was refused was not done, and what was accepted was done in order.
    assert lines(journal)[1:] == ["first", *(f"call {number}" for number in range(4))]


def test_asynchronous_operations_in_flight_count(tree: SupervisorRef) -> None:
    start(tree, NarrowAsync)

    async def fill() -> Counter[str]:
        async with await connect_async("s", timeout=30) as client:
            waiting = [asyncio.ensure_future(client.wait_for(f"{n}")) for n in range(4)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await client.open("0")
            for call in waiting:
                call.cancel()
            return await outcomes([client.pid() for _ in range(3)])

    assert asyncio.run(fill()) == {"Overloaded": 3}


def test_answers_by_futures_count_until_they_are_given(tree: SupervisorRef) -> None:
    start(tree, Later)

    async def fill() -> Counter[str]:
        async with await connect_async("s", timeout=30) as client:
            first = await outcomes([client.wait() for _ in range(6)])
            return first + await outcomes([client.wait() for _ in range(4)])

    assert asyncio.run(fill()) == {"answered": 8, "Overloaded": 2}


def test_a_server_whose_mailbox_is_full_gets_answers_itself(tree: SupervisorRef) -> None:
    start(tree, NarrowAsync)
    tree.start_child(Child(AsyncWorker, name="other"))

    async def fill() -> None:
        async with (
            await connect_async("s", timeout=30) as client,
            await connect_async("other", timeout=30) as other,
        ):
            asking = [asyncio.ensure_future(client.ask("other", f"{n}")) for n in range(4)]
            while await other.waiting() != ["0", "1", "2", "3"]:
                await asyncio.sleep(0.005)
            with pytest.raises(Overloaded):
                await client.pid()
            for n in range(4):
                await other.open(f"{n}")
            assert await asyncio.gather(*asking) == ["0", "1", "2", "3"]
            assert await client.pid() > 0

    asyncio.run(fill())


def test_casts_beyond_the_bound_are_dropped_and_the_log_says_so_once(
    tree: SupervisorRef, log: Log, journal: str
) -> None:
    ref = start(tree, Narrow, {"journal": journal})
    ref.cast("sleep_noted", 0.5, "first")
    eventually(lambda: "first" in lines(journal))
    for number in range(20):
        ref.cast("noted", f"cast {number}")
    eventually(lambda: log.has("a cast is dropped: 4 requests wait", "15 more casts were dropped"))
    assert lines(journal)[1:] == ["first", *(f"cast {number}" for number in range(4))]


def test_a_refused_call_is_not_sent_again_and_the_next_one_is_taken(tree: SupervisorRef) -> None:
    ref = start(tree, Later)
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(ref.call, "wait", timeout=30) for _ in range(3)]
        with connect("s", timeout=30) as client:
            # Three wait, and the fourth that does lets all of them go.
            assert client.wait() == "at last"
        assert [call.result(30) for call in waiting] == ["at last"] * 3


def test_a_long_queue_does_not_keep_others_out(tree: SupervisorRef, journal: str) -> None:
    """The loop turns between operations: a stop is heard while hundreds wait."""
    ref = start(tree, Worker, {"journal": journal})
    for _ in range(500):
        ref.cast("sleep_noted", 0.05, "slept")
    eventually(lambda: "slept" in lines(journal))
    tree.terminate_child("s")
    assert lines(journal).count("slept") < 250
    assert lines(journal)[-2:] == ["terminate worker shutdown", "close worker"]


def test_by_default_thousands_may_wait(tree: SupervisorRef, journal: str) -> None:
    start(tree, Worker, {"journal": journal})

    async def flood() -> Counter[str]:
        async with await connect_async("s", timeout=60) as client:
            return await outcomes([client.increment() for _ in range(5000)])

    assert asyncio.run(flood()) == {"answered": 5000}


def test_a_bound_that_is_none_is_said_at_the_start(tree: SupervisorRef) -> None:
    with pytest.raises(StartError, match="mailbox_size must be a whole number of at least 1"):
        start(tree, Wrong)


def test_an_operation_may_be_called_so(tree: SupervisorRef) -> None:
    assert start(tree, HasOperation).call("mailbox_size") == "an operation"


def test_what_its_caller_has_given_up_on_is_skipped(tree: SupervisorRef, journal: str) -> None:
    ref = start(tree, Worker, {"journal": journal})
    ref.cast("sleep_noted", 0.8, "busy")
    eventually(lambda: "busy" in lines(journal))
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        ref.call("noted", "given up", timeout=0.1)
    assert time.monotonic() - began >= 0.1
    ref.call("noted", "waited for", timeout=30)
    assert lines(journal)[1:] == ["busy", "waited for"]
