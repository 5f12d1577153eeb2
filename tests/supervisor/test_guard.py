"""What outlives a killed root: the guard, for the moment that it takes to clean up."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor import Child, Command, Supervisor, SupervisorRef, connect
from supervisor._process.descendants import Found, all_processes
from supervisor._process.groups import ProcessGroups, groups_to_kill
from supervisor.testing import assert_kill
from tests.supervisor.conftest import remove_killed_node
from tests.supervisor.servers import Worker
from tests.support import Proc, all_gone, descendants, eventually, proc


def guards(tree: SupervisorRef) -> list[Proc]:
    return [found for found in descendants(tree.pid or 0) if found.name == "regrow guard"]


@pytest.fixture
def tree(run_dir: Path) -> Iterator[SupervisorRef]:
    inner = Supervisor([Child(Worker, name="deep")], id="inner")
    script = "sleep 600 & sleep 600 & wait"
    children = [Child(Worker, name="w"), Child(Command(["sh", "-c", script]), id="command"), inner]
    with Supervisor(children, max_restarts=100).start() as tree:
        yield tree
    if (run_dir / "default").exists():
        remove_killed_node(run_dir / "default")


def test_kill_9_of_the_root_takes_what_its_processes_had_started(tree: SupervisorRef) -> None:
    # One that was started again is noted like the first.
    assert_kill(tree.child("w"))
    with connect("w") as w, connect("deep") as deep:
        started = {
            proc(pid)
            for client in (w, deep)
            for pid in (client.spawn_sleeper(), client.spawn_orphan())
        }
        # The shell of the command, and what that has started.
        everyone = eventually(
            lambda: len(found := descendants(tree.pid or 0) | started) >= 12 and found
        )
        assert_kill(tree)
    eventually(lambda: all_gone(everyone))


def test_what_has_made_a_session_of_its_own_is_spared(tree: SupervisorRef) -> None:
    daemon = proc(connect("w").spawn_sleeper(session=True))
    (guard,) = guards(tree)
    assert_kill(tree)
    eventually(lambda: not guard.is_alive)
    assert daemon.is_alive
    daemon.kill()


def test_another_takes_the_place_of_a_killed_guard(tree: SupervisorRef) -> None:
    (guard,) = guards(tree)
    guard.kill()
    (successor,) = eventually(lambda: [other for other in guards(tree) if other != guard])
    orphan = proc(connect("w").spawn_orphan())
    assert_kill(tree)
    eventually(lambda: all_gone({orphan, successor}))


def test_nothing_but_sigkill_reaches_it(tree: SupervisorRef) -> None:
    (guard,) = guards(tree)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1):
        os.kill(guard.pid, number)
    assert os.getsid(guard.pid) == os.getpgid(guard.pid) == guard.pid
    assert "guard" not in str(tree.which_children())
    assert connect("w").echo(1) == 1
    assert guards(tree) == [guard]


def test_it_holds_nothing_of_the_root_s(tree: SupervisorRef) -> None:
    (guard,) = guards(tree)
    held = [os.readlink(entry) for entry in Path(f"/proc/{guard.pid}/fd").iterdir()]
    assert sorted(held) == ["/dev/null"] * 3 + ["anon_inode:[pidfd]"]


def test_a_tree_that_ends_ends_it_first(tree: SupervisorRef) -> None:
    (guard,) = guards(tree)
    os.kill(guard.pid, signal.SIGSTOP)
    tree.stop()
    assert not guard.is_alive


# --- the table -----------------------------------------------------------------------------------


def found(
    pid: int, group: int, *, session: int = 1, started: int = 50, gone: bool = False
) -> Found:
    return Found(pid, 1, group, session, started, gone)


def test_which_groups_are_killed() -> None:
    noted = {10: 100, 20: 100, 30: 100, 40: 100, 50: 100}
    processes = [
        found(10, 10),
        found(11, 10, started=500),  # started by it, however late
        found(21, 20, started=500),  # its leader is gone: nobody else can have the number
        found(30, 30, started=101),  # another's by now
        found(31, 30, started=102),
        found(40, 40, gone=True),
        found(50, 50, session=2),  # a daemon
        found(60, 60),  # none of the tree
    ]
    assert groups_to_kill(processes, lambda pid: noted.get(pid, 0), 1) == {10, 20}


def test_the_table() -> None:
    groups = ProcessGroups()
    own = os.getpid()
    assert groups.noted(own) == 0
    groups.forget(own)
    groups.note(own)
    (this,) = [process for process in all_processes() if process.pid == own]
    # It was started before it was noted.
    assert this.started <= groups.noted(own)
    groups.forget(own)
    assert groups.noted(own) == 0
    for impossible in (-1, 0, 1 << 40):
        groups.note(impossible)
        groups.forget(impossible)
        assert groups.noted(impossible) == 0


def test_it_is_shared_with_forks() -> None:
    groups = ProcessGroups()
    if not (child := os.fork()):
        groups.note(os.getpid())
        os._exit(0)
    os.waitpid(child, 0)
    assert groups.noted(child) > 0
