"""Calls to processes that die, or are restarting: who waits, who is told, what is sent again."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from supervisor import (
    CallTimeout,
    Child,
    Exit,
    NoProcess,
    ProcessDown,
    Supervisor,
    SupervisorRef,
    connect,
)
from tests.supervisor.conftest import fresh
from tests.supervisor.servers import EndsSlowly, FailsAfterwards, Marked, Slow, Worker, lines
from tests.support import eventually, proc


@pytest.fixture(scope="module")
def shared(module_run_dir: Path) -> Iterator[SupervisorRef]:
    inner = Supervisor([Child(Worker, name="deep")], name="inner", max_restarts=1000)
    ending = Child(EndsSlowly, {"journal": str(module_run_dir.parent / "endings")}, name="ending")
    children = [Child(Marked, name="w"), Child(Slow, {"start": 0.3}, name="slow"), ending, inner]
    with Supervisor(children, max_restarts=1000).start() as tree:
        yield tree


@pytest.fixture
def tree(shared: SupervisorRef) -> Iterator[SupervisorRef]:
    with fresh(shared) as ref:
        yield ref


@pytest.fixture
def worker(tree: SupervisorRef) -> Iterator[Any]:
    with connect("w", Marked) as client:
        yield client


def _kill(pid: int | None, number: int = signal.SIGKILL) -> None:
    os.kill(pid or 0, number)


def test_calls_during_a_restart_wait(tree: SupervisorRef) -> None:
    with connect("slow") as client:
        for _ in range(2):
            pid = client.pid()
            _kill(pid)
            assert client.pid() != pid


@pytest.mark.parametrize(
    ("operation", "greets", "why"),
    [("fail", False, "a bug"), ("fail", True, "a bug"), ("die", True, "SIGKILL")],
)
def test_why_a_process_died_is_not_why_the_run_before_it_ended(
    tree: SupervisorRef, module_run_dir: Path, operation: str, greets: bool, why: str
) -> None:
    """Who connects while one run is ending is served by the next."""
    ending = tree.child("ending").pid
    _kill(ending, signal.SIGTERM)
    eventually(lambda: f"ending {ending}" in lines(module_run_dir.parent / "endings"))
    with connect("ending") as client:
        if greets:
            assert client.pid() != ending
        with pytest.raises(ProcessDown) as caught:
            getattr(client, operation)()
    assert why in str(caught.value.exit)


def test_many_callers_wait_for_a_restart(tree: SupervisorRef) -> None:
    client = connect("slow")
    before = client.pid()
    _kill(before)
    with ThreadPoolExecutor(16) as pool:
        pids = set(pool.map(lambda _: client.pid(), range(64)))
    assert before not in pids
    assert len(pids) == 1
    client.close()


def test_a_call_that_cannot_wait_so_long_is_a_timeout(tree: SupervisorRef) -> None:
    with connect("slow", timeout=0.05) as client:
        _kill(tree.child("slow").pid)
        with pytest.raises(CallTimeout):
            client.pid()
    assert tree.child("slow").call("pid")


def test_every_call_after_a_kill_is_answered(worker: Any) -> None:
    for _ in range(20):
        pid = worker.pid()
        _kill(pid)
        assert worker.pid() != pid


def test_a_call_in_flight_is_process_down(tree: SupervisorRef, worker: Any, journal: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(worker.sleep, 30)
        eventually(lambda: _is_busy(tree))
        _kill(tree.child("w").pid)
        with pytest.raises(ProcessDown) as caught:
            running.result()
    assert caught.value.taken
    assert caught.value.exit == Exit("signal", signal=signal.SIGKILL)
    assert "w" in str(caught.value)
    assert "SIGKILL" in str(caught.value)


def _is_busy(tree: SupervisorRef) -> bool:
    try:
        tree.child("w").call("echo", timeout=0.02)
    except CallTimeout:
        return True
    return False


def test_calls_that_wait_behind_one_that_dies_of_a_bug_were_not_taken_up(
    tree: SupervisorRef, worker: Any, journal: str
) -> None:
    def call(_: int) -> Any:
        try:
            return worker.echo("answered")
        except ProcessDown as down:
            return down.taken

    with ThreadPoolExecutor(9) as pool:
        blocker = pool.submit(worker.sleep, 0.3)
        eventually(lambda: _is_busy(tree))
        bug = pool.submit(worker.fail)
        waiting = list(pool.map(call, range(6)))
        blocker.result()
        with pytest.raises(ProcessDown):
            bug.result()
    assert True not in waiting


def test_an_idempotent_call_is_sent_again(tree: SupervisorRef, worker: Any, journal: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(worker.slow_once, journal)
        first = eventually(lambda: lines(journal))
        _kill(int(first[0].split()[1]))
        assert running.result() != int(first[0].split()[1])
    assert len(lines(journal)) == 2


def test_an_idempotent_call_is_sent_again_after_an_orderly_stop(
    tree: SupervisorRef, worker: Any
) -> None:
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(worker.read) for _ in range(200)]
        _kill(tree.child("w").pid, signal.SIGTERM)
        assert all(future.result() for future in futures)


def test_without_retry_it_is_not(tree: SupervisorRef, journal: str) -> None:
    with connect("w", Marked, retry=False) as client, ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.slow_once, journal)
        first = eventually(lambda: lines(journal))
        _kill(int(first[0].split()[1]))
        with pytest.raises(ProcessDown):
            running.result()
    assert len(lines(journal)) == 1


@pytest.mark.parametrize(
    "number", [0, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT]
)
def test_a_poisonous_call_is_not_sent_again(worker: Any, journal: str, number: int) -> None:
    with pytest.raises(ProcessDown) as caught:
        worker.poison(journal, number)
    assert caught.value.taken
    assert lines(journal) == ["poison"]
    assert worker.echo(1) == 1


def test_a_call_that_kills_each_time_is_given_up_in_the_end(worker: Any, journal: str) -> None:
    with pytest.raises(ProcessDown):
        worker.poison(journal, int(signal.SIGKILL))
    assert 2 <= len(lines(journal)) <= 10
    assert worker.echo(1) == 1


def test_calls_ride_out_the_death_of_a_supervisor(tree: SupervisorRef) -> None:
    with connect("deep") as client:
        for _ in range(3):
            before = client.pid()
            supervisor = proc(tree.supervisor("inner").pid)
            supervisor.kill()
            eventually(lambda: not proc_or_none(before))  # noqa: B023
            assert client.pid() != before


def proc_or_none(pid: int) -> bool:
    try:
        return proc(pid).is_alive
    except AssertionError:
        return False


def test_calls_under_fire_all_succeed(tree: SupervisorRef) -> None:
    done = threading.Event()

    def calls(_: int) -> int:
        count = 0
        with connect("w", Marked) as client:
            while not done.is_set():
                assert client.read()
                count += 1
        return count

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(calls, number) for number in range(4)]
        try:
            victim = tree.child("w")
            for _ in range(15):
                before = victim.pid
                _kill(before)
                eventually(lambda: victim.pid not in (None, before))  # noqa: B023
        finally:
            done.set()
        assert all(future.result() for future in running)


def test_a_child_that_is_stopped_is_no_process_at_once(tree: SupervisorRef) -> None:
    tree.start_child(Child(Worker, name="stopped"))
    with connect("stopped") as client:
        assert client.echo(1) == 1
        tree.terminate_child("stopped")
        with pytest.raises(NoProcess):
            client.echo(1)
        with pytest.raises(NoProcess):
            tree.child("stopped").call("echo", 1)
        tree.restart_child("stopped")
        assert client.echo(2) == 2
        tree.terminate_child("stopped")
        tree.delete_child("stopped")
        with pytest.raises(NoProcess):
            client.echo(1)


def test_those_who_wait_for_a_restart_that_fails_for_good(
    tree: SupervisorRef, journal: str
) -> None:
    child = Child(FailsAfterwards, {"journal": journal}, name="fragile")
    weak = Supervisor([child], max_restarts=2, restart="temporary", id="weak")
    tree.start_child(weak)
    with connect("fragile") as client:
        with pytest.raises(ProcessDown):
            client.die()
        with pytest.raises(NoProcess):
            client.die()
    assert len(lines(journal)) == 3
