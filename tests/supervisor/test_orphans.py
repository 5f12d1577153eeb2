"""Nobody outlives who is responsible for it; and nobody has what is not its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor import Child, Command, Supervisor, SupervisorRef, connect
from tests.supervisor.conftest import fresh, remove_killed_node
from tests.supervisor.servers import AsyncWorker, Worker, lines, task_that_waits
from tests.support import Proc, all_gone, descendants, eventually, members, proc

ROOT = Path(__file__).parents[2]


def spec(journal: str | None = None) -> Supervisor:
    deepest = Supervisor([Child(Worker, {"journal": journal}, name="deepest")], id="below")
    inner = Supervisor([Child(Worker, name="deep"), deepest], name="inner")
    return Supervisor(
        [
            Child(Worker, {"journal": journal, "label": "first"}, name="w"),
            Child(AsyncWorker, name="async"),
            Child(task_that_waits, name="task"),
            Child(Command(["sleep", "600"]), id="command"),
            Child(Worker, name="spawned", start_method="spawn"),
            inner,
        ],
        max_restarts=100,
    )


@pytest.fixture(scope="module")
def shared(module_run_dir: Path) -> Iterator[SupervisorRef]:
    with spec().start() as tree:
        yield tree


@pytest.fixture
def tree(shared: SupervisorRef) -> Iterator[SupervisorRef]:
    with fresh(shared) as ref:
        yield ref


def test_kill_9_of_a_nested_supervisor(tree: SupervisorRef) -> None:
    inner = proc(tree.supervisor("inner").pid)
    below = descendants(inner.pid)
    assert len(members(inner.pid)) == 3
    orphan = proc(connect("deep").spawn_orphan())
    others = {child.id: child.pid for child in tree.which_children() if child.id != "inner"}
    inner.kill()
    eventually(lambda: all_gone({inner, orphan, *below}))
    assert connect("deepest").echo(1) == 1
    after = {child.id: child.pid for child in tree.which_children()}
    assert {id: pid for id, pid in after.items() if id != "inner"} == others


def test_kill_9_of_the_root(run_dir: Path) -> None:
    tree = spec().start()
    root = proc(tree.pid)
    everyone = {root, *descendants(root.pid)}
    assert len(members(root.pid)) + 1 == 12
    root.kill()
    eventually(lambda: all_gone(everyone))
    assert tree.wait(5).signal == signal.SIGKILL
    remove_killed_node(run_dir / "default")


def _start_elsewhere(code: str, run_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-c", textwrap.dedent(code)],
        cwd=ROOT,
        env={**os.environ, "REGROW_RUN_DIR": str(run_dir)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_tree_stops_in_order_when_the_process_that_started_it_dies(
    run_dir: Path, journal: str, number: signal.Signals
) -> None:
    code = f"""
        import time
        from tests.supervisor.test_orphans import spec
        tree = spec({journal!r}).start()
        print("started")
        time.sleep(600)
        """
    with _start_elsewhere(code, run_dir) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        everyone = descendants(process.pid)
        assert len(members(process.pid)) == 12
        process.send_signal(number)
        process.wait()
        eventually(lambda: all_gone(everyone))
    assert lines(journal)[2:] == [
        "terminate worker shutdown",
        "close worker",
        "terminate first shutdown",
        "close first",
    ]
    assert not (run_dir / "default").exists()


def test_a_program_that_just_ends_stops_its_tree(run_dir: Path, journal: str) -> None:
    code = f"""
        from tests.supervisor.test_orphans import spec
        tree = spec({journal!r}).start()
        print("started")
        """
    with _start_elsewhere(code, run_dir) as process:
        assert process.wait(30) == 0
    eventually(lambda: not (run_dir / "default").exists())
    assert lines(journal)[-1] == "close first"


def test_classes_and_functions_of_a_script(run_dir: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            from dataclasses import dataclass
            from supervisor import Child, Server, Supervisor, connect

            WORD = "hello"

            class Refused(Exception):
                pass

            def helper():
                return WORD

            class Greeter(Server):
                replies_with = (Refused,)

                def greet(self):
                    return helper()

                def refuse(self):
                    raise Refused("no")

            def task():
                helper()

            if __name__ == "__main__":
                children = [
                    Child(Greeter, name=f"greeter-{method}", start_method=method)
                    for method in ("fork", "spawn")
                ]
                with Supervisor([*children, Child(task, restart="transient")]).start():
                    for method in ("fork", "spawn"):
                        client = connect(f"greeter-{method}", Greeter)
                        try:
                            client.refuse()
                        except Refused as error:
                            print(client.greet(), error)
            """
        )
    )
    result = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout == "hello no\nhello no\n", result.stderr
    assert result.returncode == 0


def test_a_child_has_only_its_own_descriptors(tree: SupervisorRef) -> None:
    for name in ("w", "spawned"):
        found = connect(name).descriptors()
        sockets = [what for what in found.values() if what.startswith("socket:")]
        # The control pipe, the listening socket, the log, the loop's own pair, and this caller.
        assert len(sockets) == 6, found
        assert found[0] == "/dev/null"
        others = {
            what
            for number, what in found.items()
            if number > 2 and not what.startswith(("socket:", "anon_inode:[event", "/proc/"))
        }
        assert not others


def test_no_two_children_share_a_socket(tree: SupervisorRef) -> None:
    def sockets(name: str) -> set[str]:
        return {what for what in connect(name).descriptors().values() if "socket:" in what}

    assert not sockets("w") & sockets("deep")
    assert not sockets("w") & sockets("spawned")


def test_children_ignore_ctrl_c(tree: SupervisorRef) -> None:
    before = {child.id: child.pid for child in tree.which_children()}
    for pid in before.values():
        if pid != before["command"]:
            os.kill(pid or 0, signal.SIGINT)
    assert connect("w").ignores_interrupt()
    assert connect("async").echo(1) == 1
    assert {child.id: child.pid for child in tree.which_children()} == before


def test_what_a_server_started_dies_with_it(tree: SupervisorRef) -> None:
    sleeper = proc(connect("w").spawn_sleeper())
    orphan = proc(connect("w").spawn_orphan())
    proc(tree.child("w").pid).kill()
    eventually(lambda: all_gone({sleeper, orphan}))


def test_adopted_grandchildren_are_reaped(tree: SupervisorRef) -> None:
    orphan = proc(connect("w").spawn_short_orphan())
    eventually(lambda: not Path(f"/proc/{orphan.pid}").exists())


def test_no_zombies_stay(tree: SupervisorRef) -> None:
    for _ in range(5):
        victim = tree.child("w")
        pid = victim.pid
        os.kill(pid or 0, signal.SIGKILL)
        eventually(lambda: victim.pid not in (None, pid))  # noqa: B023
    zombies = descendants(zombies=True) - descendants()
    eventually(lambda: not any(Path(f"/proc/{zombie.pid}").exists() for zombie in zombies))


def test_an_idle_tree_uses_no_cpu(tree: SupervisorRef) -> None:
    # It has just started: what its processes are still busy with is over soon.
    def ticks() -> dict[Proc, int]:
        return {process: process.cpu_ticks for process in (root, *descendants(root.pid))}

    root = proc(tree.pid)

    def quiet() -> bool:
        before = ticks()
        time.sleep(0.5)
        return ticks() == before

    eventually(quiet)
