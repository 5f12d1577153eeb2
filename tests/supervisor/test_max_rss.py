"""A child that holds more memory than its spec allows is ended, politely first, and restarted."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor import Child, Command, DynamicSupervisor, Exit, Ref, SupervisorRef
from tests.supervisor.conftest import Log, fresh, stderr_to
from tests.supervisor.servers import Worker, lines, note
from tests.support import eventually, proc

MIB = 1024 * 1024

# More than a fresh process holds, and what is too much.
LIMIT, TOO_MUCH = 200 * MIB, 300 * MIB


class Eats(Worker):
    def eat(self, size: int) -> int:
        self.memory = filled(size)
        return os.getpid()

    def eat_and_go_on(self, size: int, seconds: float) -> str:
        self.memory = filled(size)
        time.sleep(seconds)
        return "finished"


class EatsAtStart(Worker):
    def on_start(self) -> None:
        note(self.journal, "eats")
        self.memory = filled(TOO_MUCH)
        time.sleep(20)


def filled(size: int) -> bytes:
    """Memory that is really there: of zeros, the kernel would keep one page."""
    return b"x" * size


def task_that_eats(journal: str) -> None:
    try:
        # It may be found out before it has all of it.
        memory = filled(TOO_MUCH)
        time.sleep(60)
        del memory
    except SystemExit:
        note(journal, "SystemExit")
        raise


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
    return tree.start_child(Child(target, kwargs, **{"max_rss": LIMIT, "id": "c", **options}))


def test_a_server_ends_in_order_and_comes_back(tree: SupervisorRef, log: Log, journal: str) -> None:
    ref = start(tree, Eats, {"journal": journal})
    monitor = ref.monitor()
    before = ref.call("eat", TOO_MUCH)
    assert monitor.wait(20) == Exit("max_rss", 0)
    assert ref.call("pid") != before
    assert lines(journal)[1:3] == ["terminate worker shutdown", "close worker"]
    assert log.has(f"c (pid {before}) holds ", f" MiB, and its max_rss is {LIMIT / 2**20:.1f} MiB")


def test_the_operation_that_runs_is_finished(tree: SupervisorRef) -> None:
    ref = start(tree, Eats, shutdown=20.0)
    monitor = ref.monitor()
    assert ref.call("eat_and_go_on", TOO_MUCH, 2.5, timeout=20) == "finished"
    assert monitor.wait(20).reason == "max_rss"


def test_one_that_does_not_end_is_killed(tree: SupervisorRef) -> None:
    ref = start(tree, Eats, shutdown=0.2)
    monitor = ref.monitor()
    ref.cast("eat_and_go_on", TOO_MUCH, 60)
    end = monitor.wait(20)
    assert (end.reason, end.signal) == ("max_rss", 9)


def test_a_task(tree: SupervisorRef, journal: str) -> None:
    ref = start(tree, task_that_eats, {"journal": journal}, restart="temporary")
    assert ref.monitor().wait(20).reason == "max_rss"
    assert lines(journal) == ["SystemExit"]


def test_a_command(tree: SupervisorRef) -> None:
    program = f"import time; memory = b'x' * {TOO_MUCH}; time.sleep(60)"
    ref = start(tree, Command([sys.executable, "-c", program]), restart="temporary")
    assert ref.monitor().wait(20).reason == "max_rss"


def test_one_that_eats_before_it_is_ready_has_failed_to_start(
    tree: SupervisorRef, journal: str
) -> None:
    with pytest.raises(Exception, match="max_rss"):
        start(tree, EatsAtStart, {"journal": journal})
    assert lines(journal).count("eats") == 1


def test_within_its_limit_it_lives_on(tree: SupervisorRef) -> None:
    modest = start(tree, Eats, id="modest")
    before = modest.call("eat", 10 * MIB)
    greedy = start(tree, Eats)
    for _ in range(2):
        monitor = greedy.monitor()
        greedy.call("eat", TOO_MUCH)
        assert monitor.wait(20).reason == "max_rss"
    assert modest.call("pid") == before


def test_nobody_is_looked_at_where_nobody_has_a_limit(tree: SupervisorRef) -> None:
    """Once the last one with a limit is gone, the supervisor sleeps."""
    start(tree, Eats)
    tree.terminate_child("c")
    root = proc(tree.pid)

    def wake_ups() -> int:
        text = Path(f"/proc/{root.pid}/status").read_text()
        return int(text.split("\nvoluntary_ctxt_switches:")[1].split()[0])

    def is_asleep() -> bool:
        before, begin = wake_ups(), time.monotonic()
        eventually(lambda: time.monotonic() - begin > 2.2)
        return wake_ups() == before

    eventually(is_asleep)
