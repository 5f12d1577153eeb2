"""``run()``: a process that becomes the root."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervisor import ProcessDown, connect
from tests.supervisor.conftest import remove_killed_node
from tests.supervisor.servers import lines
from tests.support import all_gone, descendants, eventually

ROOT = Path(__file__).parents[2]


@contextmanager
def running(run_dir: Path, code: str, ready: str | None = "w") -> Iterator[subprocess.Popen[str]]:
    """A process that runs this, and ends with the exit status of ``tree.run()``."""
    script = """
        import sys
        from supervisor import Child, Supervisor
        from tests.supervisor.servers import *
        {code}
        print("ended with", status)
        sys.exit(status)
        """
    text = textwrap.dedent(script).format(code=textwrap.dedent(code))
    with subprocess.Popen(
        [sys.executable, "-u", "-c", text],
        cwd=ROOT,
        env={**os.environ, "REGROW_RUN_DIR": str(run_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            if ready:
                eventually(lambda: process.poll() is None and _answers(ready))
            yield process
        finally:
            process.kill()


def _answers(name: str) -> bool:
    with connect(name) as client:
        try:
            return bool(client.echo(1) == 1)
        except Exception:
            return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_reverse_with_status_0(
    run_dir: Path, journal: str, number: signal.Signals
) -> None:
    code = f"""
        children = [Child(Worker, {{"journal": {journal!r}, "label": label}}, name=label)
                    for label in ("first", "w")]
        status = Supervisor(children).run()
        """
    with running(run_dir, code) as process:
        everyone = descendants(process.pid)
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0, output
        assert all_gone(everyone)
    assert output.endswith("ended with 0\n")
    assert lines(journal)[2:] == [
        "terminate w shutdown",
        "close w",
        "terminate first shutdown",
        "close first",
    ]
    assert not (run_dir / "default").exists()


def test_one_that_gives_up_has_another_status(run_dir: Path) -> None:
    code = 'status = Supervisor([Child(Worker, name="w")], max_restarts=0).run()'
    with running(run_dir, code) as process:
        with connect("w") as client, pytest.raises(ProcessDown):
            client.die()
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 1, output
    assert "gives up" in output


def test_one_that_ends_by_itself(run_dir: Path) -> None:
    code = """
        child = Child(Worker, name="w", restart="transient", significant=True)
        status = Supervisor([child], auto_shutdown="any_significant").run("named")
        """
    with running(run_dir, code, ready=None) as process:
        eventually(lambda: _in_node("named", "stop_self"))
        process.communicate(timeout=30)
        assert process.returncode == 0


def _in_node(node: str, operation: str) -> bool:
    with connect("w", node=node) as client:
        try:
            return bool(getattr(client, operation)())
        except Exception:
            return False


def test_one_whose_child_does_not_start(run_dir: Path) -> None:
    code = """
        from supervisor import StartError
        try:
            status = Supervisor([Child(Worker), Child(FailsToStart, id="bad")]).run()
        except StartError as error:
            print(error.child, error.error)
            status = 3
        """
    with running(run_dir, code, ready=None) as process:
        output, _ = process.communicate(timeout=30)
    assert "('bad',) ValueError('no start')" in output
    assert process.returncode == 3


def test_with_threads_and_a_second_tree_afterwards(run_dir: Path) -> None:
    code = """
        import threading, signal, os
        stop = threading.Event()
        threading.Thread(target=stop.wait, daemon=True).start()
        significant = Child(task_that_returns, restart="transient", significant=True)
        status = 0
        for _ in range(2):
            status += Supervisor([Child(Worker, name="w"), significant],
                                 auto_shutdown="any_significant").run()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        """
    with running(run_dir, code, ready=None) as process:
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output


def test_kill_9_of_it(run_dir: Path) -> None:
    code = 'status = Supervisor([Child(Worker, name="w"), Child(task_that_waits)]).run()'
    with running(run_dir, code) as process:
        everyone = eventually(lambda: len(found := descendants(process.pid)) == 4 and found)
        process.kill()
        process.wait()
        eventually(lambda: all_gone(everyone))
    remove_killed_node(run_dir / "default")
