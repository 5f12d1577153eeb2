"""Pools as children of a tree: names, children, sizes, sharing, bounds."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor import (
    BadCall,
    Child,
    NameTaken,
    NoProcess,
    Overloaded,
    Pool,
    PoolExecutor,
    SpecError,
    StartError,
    Supervisor,
    SupervisorRef,
    connect,
    whereis,
)
from tests.pool import work
from tests.pool.conftest import twin
from tests.support import eventually


@pytest.fixture(scope="module")
def shared_tree(module_run_dir: None) -> Iterator[SupervisorRef]:
    children = [
        Pool(size=3, name="three"),
        Pool(size=2, name="two"),
        Pool(size=1, name="one"),
        Pool(size=1, queue_size=1, name="bounded"),
        Pool(size=1, queue_size=10, name="roomy"),
        Child(list, name="list"),
        Supervisor([], name="empty"),
    ]
    with Supervisor(children).start() as started:
        yield started


@pytest.fixture
def tree(shared_tree: SupervisorRef) -> Iterator[SupervisorRef]:
    """A tree with several pools, which its tests leave as they were."""
    with twin(shared_tree) as ref:
        yield ref


def test_a_pool_is_a_child_like_any_other(tree: SupervisorRef) -> None:
    child = tree.which_children()[0]
    assert (child.id, child.name) == ("three", "three")
    assert (child.kind, child.status) == ("supervisor", "running")
    found = whereis("three")
    assert isinstance(found, SupervisorRef)
    workers = found.which_children()
    assert [worker.id for worker in workers] == ["worker-1", "worker-2", "worker-3"]
    assert {worker.status for worker in workers} == {"running"}
    pids = {worker.pid for worker in workers}
    with PoolExecutor.connect("three") as executor:
        assert executor.submit(os.getpid).result() in pids
        assert executor.submit(os.getppid).result() == child.pid
    with PoolExecutor.connect(found) as executor:
        assert executor.submit(work.square, 2).result() == 4
    assert found.count_children().active == 3
    found._caller.close()


def test_a_worker_that_was_terminated_is_replaced(tree: SupervisorRef) -> None:
    pool = tree.supervisor("two")
    pool.terminate_child("worker-1")
    ids = ["worker-2", "worker-3"]
    eventually(lambda: [child.id for child in pool.which_children() if child.pid] == ids)
    pool._caller.close()


def test_added_to_and_removed_from_a_running_tree(tree: SupervisorRef) -> None:
    tree.start_child(Pool(size=1, name="pool"))
    with pytest.raises(NameTaken):
        tree.start_child(Pool(size=1, name="pool", id="other"))
    with PoolExecutor.connect("pool") as executor:
        assert executor.submit(work.square, 3).result() == 9
    tree.terminate_child("pool")
    with pytest.raises(NoProcess):
        PoolExecutor.connect("pool")
    tree.delete_child("pool")
    with pytest.raises(NameTaken):
        Supervisor([Pool(name="pool", id="a"), Child(work.hang, name="pool")])


def test_a_pool_can_be_the_root(run_dir: Path) -> None:
    with Pool(size=1, name="pool").start(), PoolExecutor.connect("pool") as executor:
        assert executor.submit(work.square, 3).result() == 9


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"size": 0}, "size must be a whole number of at least 1"),
        ({"size": -2}, "size must be"),
        ({"size": 3, "max_size": 2}, "max_size must be at least size, which is 3"),
        ({"max_tasks": 0}, "max_tasks must be"),
        ({"queue_size": -1}, "queue_size must be"),
        ({"idle_timeout": 0}, "idle_timeout must be seconds"),
        ({"kwargs": {"a": 1}}, "kwargs must be left out where there is no target"),
        ({"name": ""}, "name must be a string"),
        ({"preload": "json"}, "preload must be a list"),
        ({"initializer": work.square}, "does not take these arguments"),
        ({"max_crashes": -1}, "max_crashes must be"),
        ({"start_method": "thread"}, "start_method must be one of"),
    ],
)
def test_wrong_specs(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        Pool(**wrong)


def test_an_initializer_that_fails_is_a_start_error(tree: SupervisorRef) -> None:
    pool = Pool(size=2, name="pool", initializer=work.fail_to_initialize)
    with pytest.raises(StartError, match="no database") as caught:
        tree.start_child(pool)
    assert caught.value.child == ("pool", "worker-1")


def test_what_is_no_pool(tree: SupervisorRef) -> None:
    for name in ("list", "empty"):
        with pytest.raises(BadCall):
            PoolExecutor.connect(name)
    with pytest.raises(NoProcess):
        PoolExecutor.connect("nobody")
    with pytest.raises(BadCall, match="a pool's name or a Ref"):
        PoolExecutor.connect(3)  # type: ignore[arg-type]


def test_calls_of_a_pool_of_functions(tree: SupervisorRef) -> None:
    with connect("one") as pool, pytest.raises(BadCall, match="no operation 'square'"):
        pool.square(3)


def test_it_grows_while_tasks_wait_and_shrinks_again(tree: SupervisorRef, tmp_path: Path) -> None:
    tree.start_child(Pool(size=1, max_size=3, name="pool", idle_timeout=0.2))
    gate = tmp_path / "gate"
    with PoolExecutor.connect("pool") as executor, twin(tree.supervisor("pool")) as ref:
        begun = [tmp_path / f"begun{number}" for number in range(4)]
        futures = [executor.submit(work.hold, str(path), str(gate)) for path in begun]
        eventually(lambda: sum(path.exists() for path in begun) == 3)
        assert ref.count_children().active == 3
        gate.touch()
        assert [future.result() for future in futures] == [None] * 4
        eventually(lambda: ref.count_children().specs == 1)
    tree.terminate_child("pool")
    tree.delete_child("pool")


def test_callers_in_different_processes_share_it_fairly(tree: SupervisorRef) -> None:
    program = """
import sys, time
from supervisor import PoolExecutor
executor = PoolExecutor.connect("one")
for _ in range(2000):
    executor.submit(time.sleep, 0.01)
print("ready", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        with PoolExecutor.connect("one") as executor:
            # Behind the other's tasks, each of these would wait for 20 seconds.
            for number in range(5):
                assert executor.submit(work.square, number).result(10) == number**2
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_priorities(tree: SupervisorRef, tmp_path: Path) -> None:
    # Its queue has a bound, so a task has its place there when ``submit`` returns.
    with PoolExecutor.connect("roomy") as executor:
        gate, order = tmp_path / "gate", str(tmp_path / "order")
        first = executor.submit(work.hold, str(tmp_path / "begun"), str(gate))
        eventually((tmp_path / "begun").exists)
        for priority in (0, 5, -5, 10):
            executor.options(priority=priority).submit(work.append, order, str(priority))
        gate.touch()
        first.result()
    assert Path(order).read_text().split() == ["10", "5", "0", "-5"]


# --- back-pressure -----------------------------------------------------------------------------


def test_a_full_queue(run_dir: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with PoolExecutor(1, queue_size=2) as executor:
        running = executor.submit(work.hold, str(tmp_path / "begun"), str(gate))
        eventually(running.running)
        waiting = [executor.submit(work.square, number) for number in range(2)]
        with pytest.raises(Overloaded, match="2 tasks wait already"):
            executor.options(when_full="raise").submit(work.square, 1)

        async def main() -> None:
            with pytest.raises(Overloaded):
                await executor.options(when_full="raise").run(work.square, 1)
            task = asyncio.ensure_future(executor.run(work.square, 7))
            given_up = asyncio.ensure_future(executor.run(work.square, 8))
            await asyncio.sleep(0)
            assert not task.done()
            given_up.cancel()
            gate.touch()
            assert await task == 49
            with pytest.raises(asyncio.CancelledError):
                await given_up

        blocked = threading.Thread(
            target=lambda: waiting.append(executor.submit(work.square, 5)), daemon=True
        )
        blocked.start()
        asyncio.run(main())
        blocked.join(20)
        assert [future.result() for future in waiting] == [0, 1, 25]
        # One after the other, as there is room; and a map takes what is ready in between.
        assert list(executor.map(work.square, range(50))) == [n * n for n in range(50)]


def test_a_callback_does_not_wait_for_itself(tree: SupervisorRef) -> None:
    with PoolExecutor.connect("bounded") as executor:
        more: list[Any] = []

        def go_on(future: Any) -> None:
            more.extend(executor.submit(work.square, number) for number in range(5))

        executor.submit(work.square, 2).add_done_callback(go_on)
        eventually(lambda: len(more) == 5)
        assert [future.result(20) for future in more] == [0, 1, 4, 9, 16]


def test_a_bound_that_callers_share(tree: SupervisorRef, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    one = PoolExecutor.connect("bounded", when_full="raise")
    other = PoolExecutor.connect("bounded", when_full="raise")
    running = one.submit(work.hold, str(tmp_path / "begun"), str(gate))
    eventually(running.running)
    waiting = one.submit(work.square, 2)
    with pytest.raises(Overloaded):
        other.submit(work.square, 3)
    gate.touch()
    assert waiting.result() == 4
    assert other.submit(work.square, 3).result() == 9
    one.shutdown()
    other.shutdown()


# --- nodes -------------------------------------------------------------------------------------


def test_a_private_pool_is_not_the_default_node(run_dir: Path) -> None:
    with Supervisor([Child(work.hang, name="task")]).start(), PoolExecutor(1) as executor:
        assert executor.submit(work.square, 3).result() == 9
        assert whereis("task") is not None


def test_an_executor_in_a_node_that_runs(run_dir: Path) -> None:
    with Supervisor([]).start("there") as tree:
        with PoolExecutor(1, node="there") as one, PoolExecutor(1, node="there") as other:
            assert one.submit(work.square, 3).result() == 9
            assert other.submit(work.square, 4).result() == 16
            assert len(tree.which_children()) == 2
        assert tree.which_children() == []
        program = """
import os, sys
from supervisor import PoolExecutor
from tests.pool import work
from tests.pool.conftest import twin
from tests.pool.conftest import twin
executor = PoolExecutor(1, node="there")
executor.submit(work.square, 1).result()
os.kill(os.getpid(), 9)
"""
        ended = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
        assert ended.returncode == -signal.SIGKILL
        eventually(lambda: tree.which_children() == [])


def test_an_executor_that_starts_the_node(run_dir: Path) -> None:
    with PoolExecutor(1, node="mine") as executor:
        assert executor.submit(work.square, 3).result() == 9
        assert (run_dir / "mine").exists()
    assert not (run_dir / "mine").exists()
