"""A process waits to become the next child that is restarted; it is no child until then."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor import Child, Command, DynamicSupervisor, Supervisor, SupervisorRef, connect
from tests.supervisor.conftest import fresh, remove_killed_node
from tests.supervisor.servers import AsyncWorker, Worker, lines, task_that_waits
from tests.support import Proc, all_gone, descendants, eventually, proc, standbys

pytestmark = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="processes are forked on Linux only"
)


@pytest.fixture(scope="module")
def shared(module_run_dir: Path) -> Iterator[SupervisorRef]:
    children = [
        Child(Worker, name="w"),
        Child(AsyncWorker, name="async"),
        Child(task_that_waits, id="task"),
        Supervisor([Child(Worker, name="deep")], id="inner"),
        DynamicSupervisor(id="dynamic", max_restarts=100),
    ]
    with Supervisor(children, max_restarts=1000).start() as tree:
        yield tree


@pytest.fixture
def tree(shared: SupervisorRef) -> Iterator[SupervisorRef]:
    with fresh(shared) as ref:
        yield ref


def standby_of(ref: SupervisorRef) -> Proc:
    """The one that this supervisor has, once it has it."""
    parent = ref.pid
    assert parent is not None

    def found() -> Proc | None:
        mine = [one for one in standbys(parent) if parent_of(one.pid) == parent]
        return mine[0] if len(mine) == 1 else None

    one = eventually(found, what="a standby")
    assert one is not None
    return one


def parent_of(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("PPid:"):
            return int(line.split()[1])
    raise AssertionError(f"process {pid} has no parent")


def descriptors(pid: int) -> list[str]:
    """What it has open, but for the standard streams."""
    folder = Path(f"/proc/{pid}/fd")
    return [os.readlink(folder / number) for number in os.listdir(folder) if int(number) > 2]


def kill(ref: SupervisorRef, id: str) -> int:
    """Kill a child; return the pid of the one in its place."""
    before = proc(ref.child(id).pid)
    before.kill()
    return eventually(lambda: (pid := ref.child(id).pid) != before.pid and pid) or 0


@pytest.mark.parametrize("id", ["w", "async", "task", "inner"])
def test_a_standby_becomes_the_child_that_is_restarted(tree: SupervisorRef, id: str) -> None:
    standby = standby_of(tree)
    assert kill(tree, id) == standby.pid
    assert connect("w").echo(1) == 1
    assert connect("async").echo(2) == 2
    assert connect("deep").echo(3) == 3
    name = Path(f"/proc/{standby.pid}/comm").read_text().strip()
    assert name == id
    assert standby_of(tree) != standby


def test_a_restarted_child_is_like_any_other(tree: SupervisorRef) -> None:
    standby_of(tree)
    kill(tree, "w")
    found = connect("w").descriptors()
    # The control pipe, the listening socket, the log, the loop's own pair, and this caller.
    assert sum(what.startswith("socket:") for what in found.values()) == 6, found
    assert found[0] == "/dev/null"
    assert connect("w").ignores_interrupt()
    (info,) = [child for child in tree.which_children() if child.id == "w"]
    assert info.restarts > 0
    os.kill(info.pid or 0, signal.SIGTERM)
    assert connect("w").echo(1) == 1


def test_a_standby_is_no_child_and_holds_nothing(tree: SupervisorRef) -> None:
    standby = standby_of(tree)
    assert standby.pid not in [child.pid for child in tree.which_children()]
    # It has just gone once through the life of a server, or is about to.
    eventually(lambda: [what[:7] for what in descriptors(standby.pid)] == ["socket:"])
    assert os.getpgid(standby.pid) == standby.pid


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_standby_that_is_killed_is_replaced(tree: SupervisorRef, number: int) -> None:
    before = {child.id: (child.pid, child.restarts) for child in tree.which_children()}
    standby = standby_of(tree)
    standby.kill(number)
    eventually(lambda: all_gone({standby}))
    assert standby_of(tree) != standby
    after = {child.id: (child.pid, child.restarts) for child in tree.which_children()}
    assert after == before


def test_a_standby_that_ignores_ctrl_c(tree: SupervisorRef) -> None:
    standby = standby_of(tree)
    standby.kill(signal.SIGINT)
    assert kill(tree, "w") == standby.pid


def test_a_standby_that_is_stopped_is_not_waited_for(tree: SupervisorRef) -> None:
    standby = standby_of(tree)
    standby.kill(signal.SIGSTOP)
    assert kill(tree, "w") != standby.pid
    assert connect("w").echo(1) == 1
    eventually(lambda: all_gone({standby}))


def test_a_standby_killed_with_the_child_counts_for_nothing(tree: SupervisorRef) -> None:
    (before,) = [child.restarts for child in tree.which_children() if child.id == "w"]
    rounds = 10
    for _ in range(rounds):
        # The standby first, or it may be the child by then.
        for victim in (standby_of(tree), proc(tree.child("w").pid)):
            victim.kill()
        assert connect("w").echo(1) == 1
        # So that there is another one at once, and not after the pause for one that was killed.
        kill(tree, "task")
    (after,) = [child.restarts for child in tree.which_children() if child.id == "w"]
    assert after - before == rounds


def test_a_child_that_was_added_later_has_one_too(tree: SupervisorRef) -> None:
    dynamic = tree.supervisor("dynamic")
    assert dynamic.pid is not None
    dynamic.start_child(Child(Worker, id="first", name="first"))
    first = standby_of(dynamic)
    dynamic.start_child(Child(Worker, {"label": "another"}, id="second", name="second"))
    eventually(lambda: all_gone({first}))
    standby = standby_of(dynamic)
    assert kill(dynamic, "second") == standby.pid
    assert connect("second").echo(1) == 1
    # The same id, and another child: the standby knows the old one.
    standby_of(dynamic)
    dynamic.terminate_child("second")
    dynamic.start_child(Child(AsyncWorker, id="second", name="second"))
    kill(dynamic, "second")
    assert connect("second").echo(2) == 2
    for child in dynamic.which_children():
        dynamic.terminate_child(child.id)
    eventually(lambda: not descendants(dynamic.pid or 0))


def test_what_is_not_restarted_by_a_fork_needs_none(run_dir: Path) -> None:
    children = [
        Child(Worker, name="temporary", restart="temporary"),
        Child(Worker, name="spawned", start_method="spawn"),
        Child(Command(["sleep", "600"]), id="command"),
    ]
    other = Supervisor([Child(Worker, name="w")], id="other")
    with Supervisor([*children, other]).start() as tree:
        # By then the root would have one as well.
        standby_of(tree.supervisor("other"))
        kill(tree, "spawned")
        root = standby_of(tree)
        # It is there for the other supervisor only.
        assert kill(tree, "other") == root.pid


def test_a_standby_dies_with_its_supervisor(run_dir: Path, journal: str) -> None:
    children = [Child(Worker, {"journal": journal}, name="w")]
    tree = Supervisor(children).start()
    everyone = {standby_of(tree), *descendants(tree.pid or 0)}
    proc(tree.pid).kill()
    eventually(lambda: all_gone(everyone))
    tree.wait(5)
    remove_killed_node(run_dir / "default")
    # And it stops with it, before the supervisor is gone.
    with Supervisor(children).start() as tree:
        everyone = {standby_of(tree), *descendants(tree.pid or 0)}
    assert all_gone(everyone)
    assert lines(journal)[-1] == "close worker"
