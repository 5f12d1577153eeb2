"""A worker's death concerns the task that it was carrying out, and no other."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from supervisor import (
    NoProcess,
    Pool,
    PoolExecutor,
    Supervisor,
    SupervisorRef,
    TaskTimeout,
    WorkerCrashed,
    whereis,
)
from tests.pool import work
from tests.support import descendants, eventually


def pool_of(executor: PoolExecutor) -> SupervisorRef:
    link = executor._backend._state.link
    assert link is not None
    return SupervisorRef(link.target)


SIGNALS = {"kill": signal.SIGKILL, "fault": signal.SIGSEGV, "abort": signal.SIGABRT}


@pytest.mark.parametrize("how", ["kill", "exit", "fault", "abort"])
def test_a_death_during_a_task(shared: PoolExecutor, how: str) -> None:
    before = [shared.submit(work.square, number) for number in range(50)]
    dead = shared.submit(work.die, how)
    behind = [shared.submit(work.square, number) for number in range(50)]
    with pytest.raises(WorkerCrashed, match="while it carried out die") as caught:
        dead.result()
    exit = caught.value.exit
    assert exit is not None
    if how == "exit":
        assert (exit.reason, exit.code) == ("error", 3)
    else:
        assert (exit.reason, exit.signal) == ("signal", SIGNALS[how])
    if how == "fault":
        # What faulthandler has seen: where it was.
        assert "in die" in (exit.traceback or "")
        assert "in die" in str(caught.value)
        assert "_pool" not in (exit.traceback or "")
    expected = [number**2 for number in range(50)]
    assert [future.result() for future in before] == expected
    assert [future.result() for future in behind] == expected


def test_a_death_while_a_task_is_made_out_of_its_bytes(shared: PoolExecutor) -> None:
    poison = shared.submit(work.identity, work.DiesAtLoad())
    others = [shared.submit(work.square, number) for number in range(20)]
    assert [future.result() for future in others] == [number**2 for number in range(20)]
    with pytest.raises(WorkerCrashed, match="identity"):
        poison.result(60)


def test_a_death_while_a_result_is_made_into_bytes(shared: PoolExecutor) -> None:
    with pytest.raises(WorkerCrashed, match="dies_at_dump"):
        shared.submit(work.dies_at_dump).result()
    assert shared.submit(work.square, 2).result() == 4


def test_retries(shared: PoolExecutor, tmp_path: Path) -> None:
    twice = tmp_path / "twice"
    assert shared.options(retries=2).submit(work.die_until, str(twice), 2).result() == 3
    once_more = tmp_path / "once more"
    with pytest.raises(WorkerCrashed, match="at the last of 2 attempts") as caught:
        shared.options(retries=1).submit(work.die_until, str(once_more), 2).result()
    assert caught.value.attempts == 2
    assert once_more.read_bytes() == b".."


def test_a_timeout_ends_the_worker(shared: PoolExecutor, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    hanging = shared.options(timeout=0.3).submit(work.spin, str(begun))
    others = [shared.options(timeout=30).submit(work.square, number) for number in range(20)]
    with pytest.raises(TaskTimeout, match=r"spin took longer than 0.3 seconds") as caught:
        hanging.result()
    assert isinstance(caught.value, TimeoutError)
    assert "in spin" in (caught.value.traceback or "")
    assert [future.result() for future in others] == [number**2 for number in range(20)]
    eventually(lambda: not os.path.exists(f"/proc/{begun.read_text()}"))


def test_cancelling_a_running_task_ends_the_work(shared: PoolExecutor, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    future = shared.submit(work.spin, str(begun))
    worker = eventually(lambda: begun.exists() and begun.read_text())
    assert future.cancel()
    assert future.cancelled()
    assert future.cancel()
    eventually(lambda: not os.path.exists(f"/proc/{worker}"))
    done = shared.submit(work.square, 3)
    assert done.result() == 9
    assert not done.cancel()


def test_cancelling_a_waiting_task(shared: PoolExecutor, tmp_path: Path) -> None:
    gate, never = tmp_path / "gate", tmp_path / "never"
    holding = [
        shared.submit(work.hold, str(tmp_path / f"begun{number}"), str(gate)) for number in (1, 2)
    ]
    eventually(lambda: all((tmp_path / f"begun{number}").exists() for number in (1, 2)))
    waiting = shared.submit(work.append, str(never), "begun")
    assert waiting.cancel()
    gate.touch()
    assert [future.result() for future in holding] == [None, None]
    assert shared.submit(work.square, 3).result() == 9
    assert not never.exists()


def test_a_stopped_worker_holds_up_nobody_else(shared: PoolExecutor) -> None:
    pid = shared.submit(work.pid_of).result()
    os.kill(pid, signal.SIGSTOP)
    try:
        limited = shared.options(timeout=0.5)
        outcomes = [limited.submit(work.square, number) for number in range(30)]
        failed = [future for future in outcomes if future.exception() is not None]
        assert len(failed) <= 1
        assert all(isinstance(future.exception(), TaskTimeout) for future in failed)
    finally:
        if os.path.exists(f"/proc/{pid}"):
            os.kill(pid, signal.SIGCONT)


def test_no_task_is_lost_where_workers_are_killed_all_the_time(executor: PoolExecutor) -> None:
    executor.submit(work.square, 0).result()
    pool = pool_of(executor)
    over = threading.Event()
    killed = 0

    def kill() -> None:
        nonlocal killed
        while not over.wait(0.02):
            for child in pool.which_children()[:1]:
                with contextlib.suppress(ProcessLookupError):
                    if child.pid is not None:
                        os.kill(child.pid, signal.SIGKILL)
                        killed += 1

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        patient = executor.options(retries=5)
        futures = [patient.submit(work.square, number) for number in range(2000)]
        results = [future.result(60) for future in futures]
        deadline = time.monotonic() + 20
        while killed < 5 and time.monotonic() < deadline:
            assert list(patient.map(work.square, range(100))) == [n * n for n in range(100)]
    finally:
        over.set()
        killer.join()
        pool._caller.close()
    assert results == [number**2 for number in range(2000)]
    assert killed >= 5


def test_poison_does_not_bring_the_pool_down_and_is_named(run_dir: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"""
import logging, sys
logging.basicConfig(filename={str(log)!r}, level=logging.INFO)
from supervisor import Pool, Supervisor
sys.exit(Supervisor([Pool(size=1, name="pool", max_restarts=0)]).run())
"""
    process = subprocess.Popen([sys.executable, "-c", script])
    try:
        eventually(lambda: whereis("pool") is not None)
        with PoolExecutor.connect("pool") as executor:
            before = eventually(lambda: executor.submit(os.getppid).result())
            poison = executor.options(retries=5).submit(work.die)
            with pytest.raises(WorkerCrashed, match="at the last of 6 attempts"):
                poison.result()
            assert executor.submit(os.getppid).result() == before
        text = eventually(lambda: log.read_text() if "attempt 6" in log.read_text() else "")
        assert text.count("while it carried out task die") == 6
    finally:
        process.terminate()
        assert process.wait(20) == 0


# --- the pool itself dies ----------------------------------------------------------------------


def test_a_killed_pool_comes_back_and_what_was_not_begun_is_sent_again(
    run_dir: Path, tmp_path: Path
) -> None:
    with Supervisor([Pool(size=1, name="pool")]).start():
        executor = PoolExecutor.connect("pool")
        begun = tmp_path / "begun"
        running = executor.submit(work.hang, str(begun))
        waiting = [executor.submit(work.square, number) for number in range(20)]
        eventually(begun.exists)
        kill("pool")
        with pytest.raises(WorkerCrashed, match="the pool itself has died"):
            running.result(20)
        assert [future.result(20) for future in waiting] == [n * n for n in range(20)]
        executor.shutdown()


def test_a_task_that_may_be_tried_again_survives_the_pool(run_dir: Path, tmp_path: Path) -> None:
    with Supervisor([Pool(size=1, name="pool")]).start():
        executor = PoolExecutor.connect("pool", retries=1)
        begun, gate = tmp_path / "begun", tmp_path / "gate"
        future = executor.submit(work.hold, str(begun), str(gate), "held")
        eventually(begun.exists)
        kill("pool")
        gate.touch()
        assert future.result(20) == "held"
        executor.shutdown()


def kill(name: str) -> None:
    ref = whereis(name)
    assert ref is not None
    pid = ref.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def test_a_pool_that_is_gone_for_good(run_dir: Path, tmp_path: Path) -> None:
    tree = Supervisor([Pool(size=1, name="pool")]).start()
    executor = PoolExecutor.connect("pool")
    begun = tmp_path / "begun"
    future = executor.submit(work.hang, str(begun))
    eventually(begun.exists)
    tree.stop()
    with pytest.raises(NoProcess, match="the pool is gone"):
        future.result(20)
    with pytest.raises(NoProcess, match="the pool is gone"):
        executor.submit(work.square, 1)
    executor.shutdown()


# --- the program dies --------------------------------------------------------------------------

PROGRAM = """
import sys, time
from supervisor import PoolExecutor
executor = PoolExecutor(2)
from tests.pool import work
executor.submit(work.spin, sys.argv[1])
executor.submit(work.hang, sys.argv[2])
import os
while not (os.path.exists(sys.argv[1]) and os.path.exists(sys.argv[2])):
    time.sleep(0.005)
print("ready", flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["kill", "fork"])
def test_nothing_outlives_the_program(run_dir: Path, tmp_path: Path, end: str) -> None:
    endings = {
        "kill": "time.sleep(60)",
        "fork": "import os; os.fork() or time.sleep(2) or os._exit(0); time.sleep(60)",
    }
    files = [tmp_path / "spins", tmp_path / "hangs"]
    before = descendants()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(end=endings[end]), *map(str, files)],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    workers = [eventually(lambda file=file: file.exists() and file.read_text()) for file in files]  # type: ignore[misc]
    process.kill()
    process.wait()
    process.stdout.close()
    eventually(lambda: not any(os.path.exists(f"/proc/{worker}") for worker in workers))
    eventually(lambda: descendants() <= before)


def test_a_caller_that_dies_takes_its_tasks_along(run_dir: Path, tmp_path: Path) -> None:
    program = """
import sys, time
from supervisor import PoolExecutor
from tests.pool import work
executor = PoolExecutor.connect("pool")
executor.submit(work.spin, sys.argv[1])
for _ in range(100):
    executor.submit(work.append, sys.argv[2], "not wanted")
time.sleep(60)
"""
    spins, lines = tmp_path / "spins", tmp_path / "lines"
    with Supervisor([Pool(size=1, name="pool")]).start():
        process = subprocess.Popen([sys.executable, "-c", program, str(spins), str(lines)])
        eventually(lambda: spins.exists() and spins.read_text())
        process.kill()
        process.wait()
        with PoolExecutor.connect("pool") as executor:
            assert executor.submit(work.square, 3).result() == 9
        assert not lines.exists()
