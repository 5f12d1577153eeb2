"""External programs as children: their process group, their output, their ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor import Child, Command, Exit, StartError, Supervisor
from supervisor._driver.output import LineSplitter
from tests.supervisor.logged import logged
from tests.supervisor.servers import lines
from tests.support import Proc, all_gone, eventually, proc


def python(code: str, **options: Any) -> Command:
    return Command([sys.executable, "-u", "-c", code], **options)


def shell(script: str, **options: Any) -> Command:
    return Command(["/bin/sh", "-c", script], **options)


def command(target: Command, **options: Any) -> Child:
    options.setdefault("restart", "temporary")
    return Child(target, id="program", **options)


def nested(child: Child) -> Supervisor:
    return Supervisor([Supervisor([child], id="inner")])


def noted_processes(journal: str, count: int) -> list[Proc]:
    """The processes whose pids are noted, once so many are."""
    eventually(lambda: len(lines(journal)) >= count)
    return [proc(int(pid)) for pid in lines(journal)]


# --- output ------------------------------------------------------------------------------------


def test_lines_become_records(run_dir: Path) -> None:
    target = shell("echo one; echo two >&2; printf 'h\\303\\251llo \\377\\r\\n'; printf partial")
    with logged(nested(command(target)), run_dir) as tree:
        ended = tree.wait_for(line="partial")
        assert ended["path"] == ["inner", "program"]
        assert ended["child"] == "program"
        assert ended["stream"] == "stdout"
        assert ended["levelname"] == "INFO"
        assert ended["message"] == "inner/program: partial"
        out = [record["line"] for record in tree.records(stream="stdout")]
        assert out == ["one", "h\u00e9llo \ufffd", "partial"]
        (error,) = tree.records(stream="stderr")
        assert (error["line"], error["levelname"]) == ("two", "WARNING")
        assert error["pid"] == ended["pid"]


def test_much_output_arrives_whole_and_in_order(run_dir: Path) -> None:
    target = python("for n in range(20000): print('line', n)")
    with logged(Supervisor([command(target)]), run_dir) as tree:
        tree.wait_for(line="line 19999")
        found = [record["line"] for record in tree.records(stream="stdout")]
        assert found == [f"line {number}" for number in range(20000)]


def test_an_endless_writer_neither_holds_its_supervisor_up_nor_fills_it(run_dir: Path) -> None:
    """What nobody has read yet stays in the pipe, and the program waits."""
    target = python("import sys\nwhile True: sys.stdout.write('x' * 100000)")
    # ERROR: the lines are made, and then dropped.
    with logged(nested(command(target)), run_dir, level="ERROR") as tree:
        inner = tree.ref.supervisor("inner")
        pid = inner.pid
        assert pid is not None
        before = resident(pid)
        for _ in range(200):
            assert inner.count_children().active == 1
        assert resident(pid) - before < 20 * 1024**2
        inner._caller.close()


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_daemon_that_keeps_the_pipes_open_keeps_nobody_waiting(
    run_dir: Path, journal: str
) -> None:
    code = f"""
import os, sys, time
if os.fork() == 0:
    os.setsid()
    print(os.getpid(), file=open({journal!r}, "a"), flush=True)
    time.sleep(600)
while not os.path.exists({journal!r}) or not open({journal!r}).read(): time.sleep(0.01)
sys.stderr.write("done")
"""
    with logged(Supervisor([command(python(code))]), run_dir, level="DEBUG") as tree:
        record = tree.wait_for(report="child_ended", child="program")
        assert record["reason"] == "normal"
        assert record["stderr"] == ["done"]
        (daemon,) = noted_processes(journal, 1)
        assert daemon.is_alive
        daemon.kill()


# --- ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "reason", "text"),
    [
        ("exit 0", "normal", "normal"),
        ("exit 3", "error", "error: exit status 3"),
        ("kill -9 $$", "signal", "signal: SIGKILL"),
        ("kill -15 $$", "signal", "signal: SIGTERM"),
    ],
)
def test_how_it_ended(run_dir: Path, script: str, reason: str, text: str) -> None:
    with logged(Supervisor([command(shell(script))]), run_dir, level="DEBUG") as tree:
        record = tree.wait_for(report="child_ended", child="program")
        assert record["reason"] == reason
        assert record["exit"].startswith(text)


def test_its_whole_group_is_stopped(run_dir: Path, journal: str) -> None:
    script = f"sleep 600 & echo $! >> {journal}; echo $$ >> {journal}; wait"
    with Supervisor([command(shell(script))]).start() as tree:
        processes = noted_processes(journal, 2)
        monitor = tree.child("program").monitor()
        tree.terminate_child("program")
        assert monitor.wait(20) == Exit("shutdown", signal=signal.SIGTERM)
        eventually(lambda: all_gone(set(processes)))


def test_one_that_does_not_heed_sigterm_is_killed(run_dir: Path, journal: str) -> None:
    script = f"trap '' TERM; sleep 600 & echo $! >> {journal}; echo $$ >> {journal}; wait; wait"
    child = command(shell(script), shutdown=0.2)
    with logged(Supervisor([child]), run_dir) as tree:
        processes = noted_processes(journal, 2)
        tree.ref.terminate_child("program")
        eventually(lambda: all_gone(set(processes)))
        record = tree.wait_for(report="killed")
        assert record["child"] == "program"
        assert record["pid"] == processes[1].pid


def test_what_is_left_of_its_group_is_killed_when_it_ends(run_dir: Path, journal: str) -> None:
    script = f"sleep 600 & echo $! >> {journal}; exit 0"
    with Supervisor([command(shell(script))]).start():
        (pid,) = eventually(lambda: lines(journal))
        eventually(lambda: not os.path.exists(f"/proc/{pid}"))


def test_nothing_of_it_survives_its_supervisor(run_dir: Path, journal: str) -> None:
    script = f"sleep 600 & echo $! >> {journal}; echo $$ >> {journal}; wait"
    with nested(command(shell(script), restart="permanent")).start() as tree:
        processes = noted_processes(journal, 2)
        pid = tree.supervisor("inner").pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: all_gone(set(processes)))
        eventually(lambda: len(lines(journal)) == 4, what="the program runs again")


# --- starts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_program_that_cannot_be_run_is_named(run_dir: Path, method: str) -> None:
    child = command(Command(["/no/such/program"]), start_method=method)
    with pytest.raises(StartError, match="'/no/such/program' cannot be run: ") as info:
        Supervisor([child]).start()
    assert "No such file" in str(info.value)
    assert info.value.child == ("program",)


def test_a_folder_that_is_not_there_is_told(run_dir: Path) -> None:
    with pytest.raises(StartError, match="no/such/folder"):
        Supervisor([command(Command(["true"], cwd="/no/such/folder"))]).start()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_its_environment_and_its_folder(run_dir: Path, tmp_path: Path, method: str) -> None:
    target = shell("echo $GIVEN,$HOME; pwd", env={"GIVEN": "this"}, cwd=str(tmp_path))
    with logged(Supervisor([command(target, start_method=method)]), run_dir) as tree:
        tree.wait_for(line=str(tmp_path))
        assert tree.wait_for(line="this,")


def test_it_has_no_descriptors_but_the_standard_ones(run_dir: Path) -> None:
    code = "import os; print([f for f in os.listdir('/proc/self/fd')])"
    with logged(Supervisor([command(python(code))]), run_dir) as tree:
        (record,) = eventually(lambda: tree.records(stream="stdout"))
        # The fourth is the folder's own.
        assert record["line"] == "['0', '1', '2', '3']"


def test_a_short_one_is_no_failure_to_start(run_dir: Path) -> None:
    """Its end may be noticed together with its beginning."""
    children = [
        Child(Command(["true"]), id=f"short {number}", restart="temporary") for number in range(20)
    ]
    with Supervisor(children).start() as tree:
        eventually(lambda: tree.count_children().specs == 0)


# --- lines -------------------------------------------------------------------------------------


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_do_not_depend_on_the_pieces_that_they_come_in(size: int) -> None:
    data = "one\n\ntw\u00f6\r\n\U0001f600\n".encode() + b"\xff\xc3\nrest \xc3"
    splitter = LineSplitter()
    found = [line for piece in pieces(data, size) for line in splitter.feed(piece)]
    found += splitter.finish()
    assert found == ["one", "", "tw\u00f6", "\U0001f600", "\ufffd\ufffd", "rest \ufffd"]
    assert list(splitter.finish()) == []


def test_long_lines_are_split_and_none_of_them_is_kept() -> None:
    splitter = LineSplitter()
    found = [line for _ in range(100) for line in splitter.feed(b"x" * 1000)]
    assert {len(line) for line in found} == {8192}
    found += splitter.feed(b"\nnext\n")
    assert "".join(found[:-1]) == "x" * 100_000
    assert found[-1] == "next"
