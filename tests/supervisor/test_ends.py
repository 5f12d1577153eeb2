"""How processes end, what is said about it, and who is restarted."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor import (
    Child,
    Command,
    DynamicSupervisor,
    Exit,
    NoProcess,
    ProcessDown,
    Ref,
    Supervisor,
    SupervisorRef,
    connect,
)
from tests.supervisor.conftest import fresh
from tests.supervisor.servers import (
    AsyncWorker,
    FailsToEnd,
    Plain,
    Slow,
    Worker,
    lines,
    task_once,
    task_that_dies,
    task_that_exits,
    task_that_ignores_sigterm,
    task_that_raises,
    task_that_returns,
    task_that_waits,
)
from tests.support import all_gone, descendants, eventually, proc


@pytest.fixture(scope="module")
def shared(module_run_dir: Path) -> Iterator[SupervisorRef]:
    with DynamicSupervisor(max_restarts=1000, name="top").start() as tree:
        yield tree


@pytest.fixture
def tree(shared: SupervisorRef) -> Iterator[SupervisorRef]:
    with fresh(shared) as ref:
        yield ref
        for child in ref.which_children():
            ref.terminate_child(child.id)


def temporary(tree: SupervisorRef, target: Any, kwargs: Any = None, **options: Any) -> Ref:
    return tree.start_child(Child(target, kwargs, restart="temporary", **options))


def end_of(ref: Ref, act: Any) -> Exit:
    """How the process ends after this."""
    monitor = ref.monitor()
    with contextlib.suppress(ProcessDown):
        act()
    return monitor.wait(10)


def test_a_task_that_returns_is_normal(tree: SupervisorRef) -> None:
    ref = temporary(tree, time.sleep, args=(0.2,))
    assert ref.monitor().wait(10) == Exit("normal", 0)


def test_the_end_of_one_that_is_gone_already_is_still_known(tree: SupervisorRef) -> None:
    ref = temporary(tree, task_that_returns)
    eventually(lambda: not ref.is_alive())
    assert ref.monitor().wait(1).reason == "normal"


@pytest.mark.parametrize(
    ("code", "reason", "status"), [(0, "normal", 0), (None, "normal", 0), (3, "error", 3)]
)
def test_sys_exit_in_a_task(
    tree: SupervisorRef, code: int | None, reason: str, status: int
) -> None:
    end = temporary(tree, task_that_exits, {"code": code}).monitor().wait(10)
    assert (end.reason, end.code) == (reason, status)


def test_sys_exit_with_words_in_a_task_is_an_error(tree: SupervisorRef) -> None:
    end = temporary(tree, task_that_exits, {"code": "no good"}).monitor().wait(10)
    assert (end.reason, end.code) == ("error", 1)
    assert "no good" in (end.error or "")


def test_an_exception_in_a_task_is_an_error_with_its_traceback(tree: SupervisorRef) -> None:
    end = temporary(tree, task_that_raises).monitor().wait(10)
    assert end.reason == "error"
    assert end.error == "RuntimeError('a bug in a task')"
    assert "task_that_raises" in (end.traceback or "")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGUSR2])
def test_a_signal(tree: SupervisorRef, number: signal.Signals) -> None:
    end = temporary(tree, task_that_dies, {"number": int(number)}).monitor().wait(10)
    assert end.reason == "signal"
    assert end.signal is number


def test_sigterm_from_outside_is_an_orderly_stop(tree: SupervisorRef, journal: str) -> None:
    server = temporary(tree, Worker, {"journal": journal})
    assert end_of(server, lambda: os.kill(server.pid or 0, signal.SIGTERM)).reason == "shutdown"
    task = temporary(tree, task_that_waits, {"journal": journal})
    eventually(lambda: "start task" in lines(journal))
    assert end_of(task, lambda: os.kill(task.pid or 0, signal.SIGTERM)).reason == "shutdown"
    assert lines(journal)[1:] == [
        "terminate worker shutdown",
        "close worker",
        "start task",
        "SystemExit task True",
    ]


def test_sigterm_to_an_asynchronous_server(tree: SupervisorRef) -> None:
    server = temporary(tree, AsyncWorker)
    assert end_of(server, lambda: os.kill(server.pid or 0, signal.SIGTERM)).reason == "shutdown"


@pytest.mark.parametrize("code", [0, 7])
def test_os_exit_in_a_server_is_an_error(tree: SupervisorRef, code: int) -> None:
    server = temporary(tree, Worker)
    end = end_of(server, lambda: server.call("leave", code))
    assert (end.reason, end.code) == ("error", code)


@pytest.mark.parametrize("operation", ["fail", "fail_with_type_error", "not_encodable"])
def test_a_bug_ends_the_server_with_its_traceback(
    tree: SupervisorRef, journal: str, operation: str
) -> None:
    server = temporary(tree, Worker, {"journal": journal})
    with pytest.raises(ProcessDown) as caught:
        server.call(operation)
    down = caught.value
    assert down.taken
    assert down.exit is not None
    assert down.exit.reason == "error"
    assert "Traceback" in (down.exit.traceback or "")
    # The hook runs after a bug too; close is for an orderly end.
    assert lines(journal) == ["start worker", "terminate worker error"]


def test_sys_exit_in_an_operation_is_a_bug(tree: SupervisorRef) -> None:
    server = temporary(tree, Worker)
    assert end_of(server, lambda: server.call("exit", 0)).reason == "error"


def test_a_bug_of_an_asynchronous_operation(tree: SupervisorRef) -> None:
    server = temporary(tree, AsyncWorker)
    end = end_of(server, lambda: server.call("fail"))
    assert (end.reason, end.error) == ("error", "RuntimeError('an asynchronous bug')")


def test_a_bug_in_call_later(tree: SupervisorRef) -> None:
    server = temporary(tree, Worker)
    assert end_of(server, lambda: server.call("fail_later")).reason == "error"


def test_a_bug_in_a_cast(tree: SupervisorRef) -> None:
    server = temporary(tree, Worker)
    assert end_of(server, lambda: server.cast("fail")).reason == "error"


def test_no_hook_runs_after_a_signal(tree: SupervisorRef, journal: str) -> None:
    server = temporary(tree, Worker, {"journal": journal})
    with pytest.raises(ProcessDown) as caught:
        server.call("die")
    assert caught.value.taken
    assert caught.value.exit == Exit("signal", signal=signal.SIGKILL)
    assert lines(journal) == ["start worker"]


@pytest.mark.parametrize("target", [Worker, AsyncWorker])
def test_self_stop_is_normal_after_the_reply(tree: SupervisorRef, target: type) -> None:
    server = temporary(tree, target)
    monitor = server.monitor()
    assert server.call("stop_self") == "bye"
    assert monitor.wait(10) == Exit("normal", 0)


def test_a_plain_class_is_closed(tree: SupervisorRef, journal: str) -> None:
    server = temporary(tree, Plain, {"journal": journal})
    assert server.call("pid") == server.pid
    server.stop()
    assert lines(journal) == ["close plain"]


def test_a_hook_that_fails_is_an_error(tree: SupervisorRef, journal: str) -> None:
    server = temporary(tree, FailsToEnd, {"journal": journal})
    assert end_of(server, server.stop).reason == "error"
    assert lines(journal) == ["terminate shutdown"]


# --- being stopped -------------------------------------------------------------------------------


def test_stop_waits_until_the_process_is_gone(tree: SupervisorRef) -> None:
    server = temporary(tree, Slow, {"stop": 0.2})
    process, monitor = proc(server.pid), server.monitor()
    with pytest.raises(TimeoutError):
        server.stop(0.02)
    assert process.is_alive
    eventually(lambda: not process.is_alive)
    assert monitor.wait(5).reason == "shutdown"
    with pytest.raises(NoProcess):
        server.stop()


def test_a_permanent_child_that_is_stopped_is_restarted(tree: SupervisorRef) -> None:
    server = tree.start_child(Child(Worker, name="again"))
    before = server.pid
    monitor = server.monitor()
    server.stop(10)
    assert monitor.wait(1).reason == "shutdown"
    assert server.call("pid") != before


@pytest.mark.parametrize("shutdown", [0.2, "brutal_kill", 0])
def test_who_does_not_stop_in_time_is_killed(
    tree: SupervisorRef, journal: str, shutdown: Any
) -> None:
    server = temporary(tree, Slow, {"stop": 60}, shutdown=shutdown)
    monitor = server.monitor()
    tree.terminate_child("Slow-" + server.target.path[-1].rpartition("-")[2])  # type: ignore[index]
    assert monitor.wait(10).signal == signal.SIGKILL

    task = temporary(tree, task_that_ignores_sigterm, {"journal": journal}, shutdown=shutdown)
    eventually(lambda: lines(journal))
    monitor = task.monitor()
    tree.terminate_child(task.target.path[-1])  # type: ignore[index]
    assert monitor.wait(10).signal == signal.SIGKILL


def test_several_monitors_each_get_the_end(tree: SupervisorRef) -> None:
    server = temporary(tree, Worker)
    monitors = [server.monitor() for _ in range(5)]
    with pytest.raises(TimeoutError):
        monitors[0].wait(0.01)
    with pytest.raises(ProcessDown):
        server.call("die", signal.SIGABRT)
    assert {monitor.wait(10) for monitor in monitors} == {Exit("signal", signal=signal.SIGABRT)}
    assert server.monitor().wait(1).signal == signal.SIGABRT


def test_a_monitor_of_nobody_answers_at_once(tree: SupervisorRef) -> None:
    assert tree.child("never was").monitor().wait(1).reason == "error"


def test_a_pinned_ref_means_one_run(tree: SupervisorRef) -> None:
    server = tree.start_child(Child(Worker, name="pinned"))
    pinned = server.pinned()
    assert pinned.call("pid") == server.pid == pinned.pid
    assert pinned.is_alive()
    with pytest.raises(ProcessDown):
        pinned.call("die")
    eventually(server.is_alive)
    with pytest.raises(NoProcess):
        pinned.call("pid")
    with pytest.raises(NoProcess):
        pinned.stop()
    assert not pinned.is_alive()
    assert pinned.monitor().wait(1).signal == signal.SIGKILL
    assert server.call("pid") == server.pid


# --- commands ------------------------------------------------------------------------------------


def test_ends_of_commands(tree: SupervisorRef) -> None:
    def run(*argv: str) -> Exit:
        return temporary(tree, Command(argv)).monitor().wait(10)

    assert run("sh", "-c", "sleep 0.1") == Exit("normal", 0)
    assert run("sh", "-c", "sleep 0.1; exit 5").code == 5
    assert run("sh", "-c", "sleep 0.1; exit 5").reason == "error"
    assert run("sh", "-c", "sleep 0.1; kill -9 $$").signal == signal.SIGKILL


def test_a_command_is_stopped_as_a_group(tree: SupervisorRef) -> None:
    ref = temporary(tree, Command(["sh", "-c", "sleep 600 & sleep 600 & wait"]), id="group")
    everyone = eventually(lambda: len(found := descendants(ref.pid)) == 2 and found)
    monitor = ref.monitor()
    tree.terminate_child("group")
    assert monitor.wait(1).reason == "shutdown"
    eventually(lambda: all_gone(everyone))


def test_what_a_command_leaves_behind_is_killed(tree: SupervisorRef) -> None:
    ref = temporary(tree, Command(["sh", "-c", "sleep 600 & sleep 0.2"]))
    everyone = eventually(lambda: len(found := descendants(ref.pid)) == 2 and found)
    assert ref.monitor().wait(10).reason == "normal"
    eventually(lambda: all_gone(everyone))


def test_environment_and_folder_of_a_command(tree: SupervisorRef, tmp_path: Path) -> None:
    script = "env > seen.tmp; mv seen.tmp seen; sleep 600"
    argv = ["/bin/sh", "-c", script]
    temporary(tree, Command(argv, env={"ONLY": "this", "PATH": "/bin:/usr/bin"}, cwd=tmp_path))
    eventually((tmp_path / "seen").exists)
    names = {line.partition("=")[0] for line in (tmp_path / "seen").read_text().splitlines()}
    assert "ONLY" in names
    assert "HOME" not in names


# --- who is restarted ----------------------------------------------------------------------------


def _die(ref: Ref, number: int = signal.SIGKILL) -> None:
    os.kill(ref.pid or 0, number)


@pytest.mark.parametrize(
    ("restart", "kill", "comes_back"),
    [
        ("permanent", signal.SIGKILL, True),
        ("permanent", signal.SIGTERM, True),
        ("transient", signal.SIGKILL, True),
        ("transient", signal.SIGTERM, False),
        ("temporary", signal.SIGKILL, False),
    ],
)
def test_restart_types(
    tree: SupervisorRef, restart: Any, kill: signal.Signals, comes_back: bool
) -> None:
    ref = tree.start_child(Child(Worker, id="child", restart=restart))
    monitor, before = ref.monitor(), ref.pid
    _die(ref, kill)
    monitor.wait(10)
    if comes_back:
        eventually(lambda: ref.is_alive() and ref.pid != before)
        (info,) = tree.which_children()
        assert info.restarts == 1
    else:
        eventually(lambda: not tree.which_children())


def test_a_transient_task_is_restarted_until_it_ends_in_order(
    tree: SupervisorRef, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    tree.start_child(Child(task_once, {"flag": str(flag)}, restart="transient"))
    eventually(lambda: flag.exists() and not tree.which_children())


@pytest.mark.parametrize(
    ("strategy", "same"),
    [("one_for_one", "ac"), ("rest_for_one", "a"), ("one_for_all", "")],
)
def test_strategies(tree: SupervisorRef, journal: str, strategy: Any, same: str) -> None:
    children = [
        Child(Worker, {"journal": journal, "label": label}, id=label, restart="permanent")
        for label in "abc"
    ]
    inner = tree.start_child(Supervisor(children, strategy=strategy, name="inner"))
    assert isinstance(inner, SupervisorRef)
    before = {child.id: child.pid for child in inner.which_children()}
    _die(inner.child("b"))
    eventually(lambda: _pids(inner).get("b") not in (None, before["b"]))
    eventually(lambda: None not in _pids(inner).values())
    after = _pids(inner)
    assert {id for id in before if before[id] == after[id]} == set(same)
    assert tree.child("inner").pid is not None
    restarted = [id for id in "abc" if id not in same]
    stopped = [line.split()[1] for line in lines(journal) if line.startswith("terminate")]
    assert stopped == [id for id in reversed(restarted) if id != "b"]
    assert [line.split()[1] for line in lines(journal) if line.startswith("start")] == [
        *"abc",
        *restarted,
    ]


def _pids(ref: SupervisorRef) -> dict[str, int | None]:
    return {child.id: child.pid for child in ref.which_children()}


def test_a_supervisor_gives_up_with_reason_error_and_is_itself_restarted(
    tree: SupervisorRef,
) -> None:
    spec = Supervisor([Child(Worker, name="weak")], max_restarts=1, name="inner")
    inner = tree.start_child(spec)
    assert isinstance(inner, SupervisorRef)
    monitor, before = inner.monitor(), inner.pid
    with connect("weak") as client:
        for _ in range(2):
            with pytest.raises(ProcessDown):
                client.die()
        end = monitor.wait(10)
        assert end.reason == "error"
        assert "'weak'" in (end.error or "")
        assert "1" in (end.error or "")
        assert "SIGKILL" in (end.error or "")
        # The name is there again, under the same supervisor's next run.
        assert client.pid() == inner.child("weak").pid
    assert inner.pid != before


def test_children_added_at_run_time_do_not_survive_their_supervisor(tree: SupervisorRef) -> None:
    inner = tree.start_child(Supervisor([Child(Worker, id="written")], name="inner"))
    assert isinstance(inner, SupervisorRef)
    inner.start_child(Child(Worker, name="added"))
    before = inner.pid
    _die(inner)
    eventually(lambda: inner.is_alive() and inner.pid != before)
    assert [child.id for child in inner.which_children()] == ["written"]
    with connect("added") as client, pytest.raises(NoProcess):
        client.pid()


def test_auto_shutdown(tree: SupervisorRef) -> None:
    child = Child(Worker, id="key", restart="transient", significant=True)
    spec = Supervisor(
        [child, Child(Worker, id="other")],
        auto_shutdown="any_significant",
        restart="transient",
        id="inner",
    )
    inner = tree.start_child(spec)
    assert isinstance(inner, SupervisorRef)
    monitor = inner.monitor()
    inner.child("key").call("stop_self")
    assert monitor.wait(10).reason == "shutdown"
    eventually(lambda: not tree.which_children())


def test_a_root_that_gives_up(run_dir: Path) -> None:
    spec = Supervisor([Child(Worker, name="weak")], max_restarts=0)
    with spec.start() as tree:
        with connect("weak") as client, pytest.raises(ProcessDown):
            client.die()
        end = tree.wait(10)
        assert end.reason == "error"
        assert "weak" in (end.error or "")
        assert tree.monitor().wait(1).reason == "error"
        assert not run_dir.joinpath("default").exists()
