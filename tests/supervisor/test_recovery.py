"""What callers, and those that start, see while a process or its supervisor comes back."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from supervisor import Child, Exit, Ref, Supervisor, connect, whereis
from supervisor._driver.ends import Ends
from supervisor._loop import new_loop
from tests.supervisor.servers import Worker
from tests.support import eventually

KILLED = Exit("signal", signal=signal.SIGKILL)


class Gated:
    """Is ready as soon as a file is there."""

    def __init__(self, gate: str) -> None:
        eventually(lambda: os.path.exists(gate))


def kill(ref: Ref) -> None:
    pid = ref.pid
    assert pid is not None
    monitor = ref.monitor()
    os.kill(pid, signal.SIGKILL)
    assert monitor.wait(20) == KILLED


def nested(*children: Child) -> Supervisor:
    return Supervisor([Supervisor(children, id="inner")])


def test_a_child_that_waits_for_its_turn_again_has_run(run_dir: Path, tmp_path: Path) -> None:
    """Who needs a process that runs, finds one whose supervisor is starting it once more."""
    gate = tmp_path / "gate"
    gate.touch()
    first = Child(Gated, {"gate": str(gate)}, id="first")
    with nested(first, Child(Worker, name="last")).start() as tree:
        last = whereis("last")
        assert last is not None
        assert last.has_run()
        gate.unlink()
        inner = tree.supervisor("inner")
        kill(inner)
        assert inner.which_children()[1].pid is None
        assert last.has_run()
        gate.touch()
        with connect("last", timeout=20) as client:
            assert client.echo(1) == 1


def test_nobody_waits_for_what_a_killed_supervisor_knew(run_dir: Path) -> None:
    """Why a process ended that went with its supervisor, nobody can say: it is said at once."""
    with nested(Child(Worker, name="worker")).start() as tree:
        inner = tree.supervisor("inner")
        connected_at = time.monotonic()
        kill(inner)
        until = time.monotonic() + 3600
        path = inner.target.path
        assert path is not None
        asked = ("child_exit", "worker", connected_at, until)
        assert tree._caller.ask(path, *asked, timeout=20) is None


def test_the_registry_is_known_while_it_is_started_again(run_dir: Path) -> None:
    with Supervisor([]).start() as tree:
        registry = tree.registry()
        # One that dies as soon as it lives is waited with: then there is none for a moment.
        for _ in range(10):
            pid = eventually(lambda: registry.pid)
            os.kill(pid, signal.SIGKILL)
            eventually(lambda pid=pid: registry.pid != pid)  # type: ignore[misc]


def test_a_failed_restart_is_not_how_the_process_of_a_caller_ended() -> None:
    """A call that came meanwhile waited in the queue, and was the business of the next run."""
    loop = new_loop()
    ends = Ends(loop)
    moment = time.monotonic()
    ends.add("child", 1, Exit("error", 1, error="did not start"), served=False)
    assert ends.since("child", moment) is None
    assert ends.of("child", None) is not None
    assert not ends.has_served("child")
    ends.add("child", 2, KILLED, served=True)
    assert ends.since("child", moment) == KILLED
    assert ends.has_served("child")
    loop.close()
