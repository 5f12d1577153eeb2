"""What goes wrong is one record each, with all that is known of it."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from supervisor import Child, Command, Exit, ProcessDown, Supervisor, connect
from supervisor._core.messages import Report
from supervisor._driver.exits import LastWords
from supervisor._driver.oom import OutOfMemoryKills
from supervisor._driver.reports import log_report
from tests.supervisor.logged import logged
from tests.supervisor.servers import FailsAfterwards, Slow, Worker


def nested(child: Child, **options: object) -> Supervisor:
    return Supervisor([Supervisor([child], id="inner", **options)], max_restarts=0)  # type: ignore[arg-type]


def test_a_crash(run_dir: Path) -> None:
    with logged(nested(Child(Worker, name="worker")), run_dir) as tree:
        with connect("worker", retry=False) as client:
            pid = client.pid()
            with pytest.raises(Exception, match="died"):
                client.fail("a bug")
        record = tree.wait_for(report="child_ended")
        assert record["path"] == ["inner", "worker"]
        assert record["child"] == "worker"
        assert record["pid"] == pid
        assert record["reason"] == "error"
        assert record["levelname"] == "ERROR"
        assert record["operation"] == "fail"
        assert record["arguments"] == "(['a bug'], {})"
        # It begins where the runtime has called the server's code.
        lines = record["traceback"].splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert "servers.py" in lines[1]
        assert lines[-1] == "RuntimeError: a bug"
        assert record["exit"] == "error: RuntimeError('a bug')"
        assert record["restarts"] == 0
        assert "inner/worker" in record["message"]
        assert "while it carried out fail(['a bug'], {})" in record["message"]
        assert "RuntimeError: a bug" in record["message"]
        again = tree.wait_for(report="restarting")
        assert (again["path"], again["restarts"]) == (["inner", "worker"], 1)


def test_a_failed_start_and_giving_up(run_dir: Path, journal: str) -> None:
    child = Child(FailsAfterwards, {"journal": journal}, name="once")
    with logged(nested(child, max_restarts=1), run_dir) as tree:
        with connect("once") as client, pytest.raises(Exception, match="died"):
            client.die()
        failed = tree.wait_for(report="start_failed")
        assert failed["path"] == ["inner", "once"]
        assert "not again" in failed["exit"]
        assert "ValueError: not again" in failed["traceback"]
        given_up = tree.wait_for(report="gave_up", path=["inner", "once"])
        assert given_up["levelname"] == "CRITICAL"
        assert tree.process.wait(20) != 0
        assert given_up["message"].startswith("supervisor inner gives up: child 'once' needed")
        outer = tree.records(report="gave_up")[-1]
        assert outer["path"] == ["inner"]
        assert outer["message"].startswith("the root supervisor gives up: child 'inner' needed")
        # What is written already is not written again, and is there for who reads the record.
        ended = tree.wait_for(report="child_ended", child="inner")
        assert "Traceback" not in ended["message"]
        assert "ValueError: not again" in ended["traceback"]


def test_a_nested_supervisor_that_does_not_start_names_the_child(
    run_dir: Path, journal: str
) -> None:
    child = Child(FailsAfterwards, {"journal": journal}, name="once")
    with logged(Supervisor([Supervisor([child], id="inner")], max_restarts=1), run_dir) as tree:
        inner = tree.ref.supervisor("inner")
        os.kill(inner.pid or 0, signal.SIGKILL)
        inner._caller.close()
        failed = tree.wait_for(report="start_failed", child="inner")
        why = "did not start: once: error: ValueError('not again')"
        assert failed["message"] == f"inner (pid {failed['pid']}) {why}"
        assert "ValueError: not again" in failed["traceback"]


def test_a_fault_in_native_code_shows_its_stacks(run_dir: Path, capfd: Any) -> None:
    methods = ("fork", "spawn")
    children = [Child(Worker, name=method, start_method=method) for method in methods]
    with logged(Supervisor(children), run_dir) as tree:
        for name in methods:
            with connect(name, retry=False) as client, pytest.raises(ProcessDown):
                client.die(signal.SIGSEGV)
            tree.wait_for(report="child_ended", child=name, exit="signal: SIGSEGV")
    shown = capfd.readouterr().err
    assert shown.count("Fatal Python error: Segmentation fault") == 2
    assert shown.count("in die") == 2


def test_a_forced_kill(run_dir: Path) -> None:
    child = Child(Slow, {"stop": 600}, name="slow", shutdown=0.1)
    with logged(nested(child), run_dir) as tree:
        inner = tree.ref.supervisor("inner")
        pid = inner.child("slow").pid
        inner.terminate_child("slow")
        record = tree.wait_for(report="killed")
        assert record["path"] == ["inner", "slow"]
        assert record["pid"] == pid
        assert record["levelname"] == "WARNING"
        ended = tree.wait_for(report="child_ended", path=["inner", "slow"])
        assert (ended["reason"], ended["oom"]) == ("signal", None)
        inner._caller.close()


def test_the_last_lines_of_a_command_s_stderr(run_dir: Path) -> None:
    code = "import sys; [print('line', n, file=sys.stderr) for n in range(100)]; 1 / 0"
    child = Child(Command([sys.executable, "-c", code]), id="program", restart="temporary")
    with logged(nested(child), run_dir, level="ERROR") as tree:
        record = tree.wait_for(report="child_ended", child="program")
        assert len(record["stderr"]) == 20
        assert record["stderr"][-1] == "ZeroDivisionError: division by zero"
        assert "ZeroDivisionError" in record["message"]
        assert record["exit"] == "error: exit status 1"


def test_the_registry_s_death(run_dir: Path) -> None:
    with logged(Supervisor([]), run_dir) as tree:
        registry = tree.ref.registry()
        pid = registry.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        record = tree.wait_for(report="child_ended", child="registry")
        assert (record["pid"], record["exit"]) == (pid, "signal: SIGKILL")
        registry._caller.close()


def test_what_speaks_for_the_out_of_memory_killer(tmp_path: Path) -> None:
    counter = tmp_path / "memory.events"
    counter.write_text("low 0\noom 7\noom_kill 3\noom_group_kill 9\n")
    kills = OutOfMemoryKills([tmp_path / "missing", counter])
    assert kills.evidence() is None
    counter.write_text("low 0\noom 8\noom_kill 4\n")
    assert kills.evidence() == (
        "the kernel ran out of memory and has killed a process in this cgroup "
        f"(oom_kill 4 in {counter})"
    )
    # It spoke for one death, and does not for the next.
    assert kills.evidence() is None
    counter.write_text("oom_kill 6\n")
    assert "2 processes" in str(kills.evidence())
    counter.unlink()
    assert kills.evidence() is None


def test_no_counter_is_no_evidence(tmp_path: Path) -> None:
    assert OutOfMemoryKills([tmp_path / "missing"]).evidence() is None


def test_this_system_can_be_asked() -> None:
    """Nothing was killed in this moment, as far as can be known."""
    assert OutOfMemoryKills().evidence() is None


def test_evidence_is_part_of_the_record(caplog: pytest.LogCaptureFixture) -> None:
    words = LastWords(oom="the kernel ran out of memory")
    exit = Exit("signal", signal=signal.SIGKILL)
    with caplog.at_level(logging.INFO, "supervisor"):
        log_report(("inner",), Report("child_ended", "eater", 1, exit), 77, words)
    (record,) = caplog.records
    assert record.__dict__["oom"] == "the kernel ran out of memory"
    assert record.__dict__["path"] == ("inner", "eater")
    assert record.getMessage() == (
        "inner/eater (pid 77) ended: signal: SIGKILL\n  the kernel ran out of memory"
    )
