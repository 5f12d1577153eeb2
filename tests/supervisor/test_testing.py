"""What ``supervisor.testing`` hands out, for users' tests and for these."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import supervisor.testing
from supervisor import CallTimeout, Child, Exit, ProcessDown, StartError, Supervisor, connect
from supervisor.testing import (
    FakeClock,
    LeakCheck,
    ObedientWorker,
    Refused,
    SimulatedSupervisor,
    assert_kill,
    eventually,
)

pytest_plugins = ["pytester"]


def test_the_names() -> None:
    assert supervisor.testing.__all__ == [
        "FakeClock",
        "LeakCheck",
        "ObedientWorker",
        "Refused",
        "SimulatedProcess",
        "SimulatedSupervisor",
        "assert_kill",
        "eventually",
    ]
    assert all(getattr(supervisor.testing, name).__doc__ for name in supervisor.testing.__all__)


@pytest.mark.parametrize(
    ("module", "absent"),
    [("supervisor", "supervisor.testing"), ("supervisor.testing", "pytest")],
)
def test_nobody_is_made_to_load_it(module: str, absent: str) -> None:
    code = f"import sys, {module}; sys.exit({absent!r} in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- without processes -------------------------------------------------------------------------


def test_a_clock_stands_still_until_it_is_told() -> None:
    clock = FakeClock(5.0)
    assert (clock(), clock()) == (5.0, 5.0)
    clock.advance(2.5)
    assert clock() == 7.5
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)


def test_a_tree_without_processes() -> None:
    children = [Child(ObedientWorker, id="a"), Child(ObedientWorker, id="b")]
    tree = SimulatedSupervisor(Supervisor(children, strategy="one_for_all")).boot()
    assert tree.take_log() == ["start a", "ready a", "start b", "ready b"]
    tree.exit("a", "error")
    assert tree.take_log() == [
        *("end a", "stop b", "end b"),
        *("start a", "ready a", "start b", "ready b"),
    ]


def test_time_passes_for_it_by_its_clock() -> None:
    clock = FakeClock()
    spec = Supervisor([Child(ObedientWorker, id="a")], max_restarts=1, max_seconds=5)
    tree = SimulatedSupervisor(spec, clock=clock).boot()
    tree.exit("a")
    tree.advance(6)
    assert clock() == 6.0
    tree.exit("a")
    assert tree.ended is None
    tree.exit("a")
    assert tree.ended is not None
    assert tree.kinds()[-1] == "gave_up a"


# --- with processes ----------------------------------------------------------------------------


def test_a_worker_does_as_it_is_told(run_dir: Path) -> None:
    child = Child(ObedientWorker, name="worker")
    with (
        Supervisor([child], max_restarts=100).start() as tree,
        connect("worker", retry=False, timeout=20) as worker,
    ):
        assert worker.answer({"a": 1}) == {"a": 1}
        assert worker.sleep(0) == worker.pid() == tree.child("worker").pid
        with pytest.raises(Refused, match="not this"):
            worker.refuse("not this")
        for tell, reason in [
            (lambda: worker.fail("a bug"), "error"),
            (lambda: worker.exit(3), "error"),
            (worker.crash, "signal"),
            (lambda: worker.crash(signal.SIGKILL), "signal"),
        ]:
            with pytest.raises(ProcessDown) as caught:
                tell()
            assert caught.value.exit is not None
            assert caught.value.exit.reason == reason
        eventually(lambda: tree.child("worker").pid)
        monitor = tree.child("worker").monitor()
        worker.end()
        assert monitor.wait(20) == Exit("normal", 0)


def test_a_worker_that_hangs_is_only_killed(run_dir: Path) -> None:
    child = Child(ObedientWorker, name="worker", shutdown=0.1)
    with Supervisor([child]).start() as tree, connect("worker") as worker:
        worker.answer()
        monitor = tree.child("worker").monitor()
        tree.child("worker").cast("hang")
        with pytest.raises(CallTimeout):
            connect("worker", timeout=0.05).answer()
        tree.terminate_child("worker")
        assert monitor.wait(20) == Exit("signal", signal=signal.SIGKILL)


def test_a_worker_that_does_not_start(run_dir: Path) -> None:
    with pytest.raises(StartError, match="not today"):
        Supervisor([Child(ObedientWorker, {"fail_at_start": "not today"})]).start()


def test_assert_kill_by_ref(run_dir: Path) -> None:
    with Supervisor([Child(ObedientWorker, id="worker")]).start() as tree:
        worker = tree.child("worker")
        before = worker.pid
        assert assert_kill(worker) == Exit("signal", signal=signal.SIGKILL)
        assert eventually(lambda: worker.pid) != before
        assert assert_kill(worker, signal.SIGTERM).reason == "shutdown"
        assert eventually(lambda: worker.pid)
        with pytest.raises(AssertionError, match="has survived"):
            assert_kill(worker, signal.SIGCONT, timeout=0.05)


def test_assert_kill_of_the_whole_tree(run_dir: Path) -> None:
    with Supervisor([Child(ObedientWorker, id="worker")]).start("doomed") as tree:
        assert assert_kill(tree) == Exit("signal", signal=signal.SIGKILL)
    # The next node of that name would clean up after the one that was killed.
    for path in run_dir.rglob("*"):
        if path.is_socket():
            path.unlink()


def test_assert_kill_by_pid() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        assert assert_kill(process.pid) == Exit("signal", signal=signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    with pytest.raises(AssertionError, match="there is no process"):
        assert_kill(process.pid)
    with subprocess.Popen(
        ["sh", "-c", "trap 'exit 3' TERM; echo; while :; do sleep 0.01; done"],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert assert_kill(process.pid, signal.SIGTERM).code == 3


# --- leaks -------------------------------------------------------------------------------------


def test_a_process_is_a_leak() -> None:
    check = LeakCheck()
    with subprocess.Popen(["sleep", "600"]) as process:
        with pytest.raises(
            AssertionError, match=f"processes outlive the test: {process.pid} .*sleep"
        ):
            check.expect_none(within=0)
        process.kill()
    check.expect_none()


def test_a_thread_is_a_leak() -> None:
    check = LeakCheck()
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="left behind")
    thread.start()
    with pytest.raises(AssertionError, match=r"threads outlive the test: .*left behind"):
        check.expect_none(within=0)
    over.set()
    thread.join()
    check.expect_none()


def test_a_descriptor_is_a_leak() -> None:
    check = LeakCheck()
    descriptor = os.open(os.devnull, os.O_RDONLY)
    with pytest.raises(
        AssertionError, match=rf"descriptors outlive the test: {descriptor} \(/dev/null"
    ):
        check.expect_none(within=0)
    os.close(descriptor)
    check.expect_none()


def test_a_socket_is_a_leak(run_dir: Path) -> None:
    check = LeakCheck()
    run_dir.mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(run_dir / "left"))
    with pytest.raises(AssertionError, match=r"sockets outlive the test: .*left"):
        check.expect_none(within=0)
    (run_dir / "left").unlink()
    check.expect_none()


def test_the_fixture(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("from supervisor.testing.fixtures import no_leaks")
    pytester.makepyfile(
        """
        import os, pytest
        pytestmark = pytest.mark.usefixtures("no_leaks")
        def test_clean(): pass
        def test_leak():
            global left
            left = os.pipe()
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*descriptors outlive the test: *pipe:*"])
