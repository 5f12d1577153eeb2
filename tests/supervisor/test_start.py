"""Starting a tree: order, acknowledgement, failure undone in reverse."""

from __future__ import annotations

import gc
import os
import signal
import threading
from pathlib import Path

import pytest

from supervisor import (
    Child,
    Command,
    DynamicSupervisor,
    NameTaken,
    NodeRunning,
    SpecError,
    StartError,
    Supervisor,
    SupervisorRef,
    connect,
    whereis,
)
from tests.supervisor.conftest import remove_killed_node
from tests.supervisor.servers import (
    DiesAtStart,
    FailsInHook,
    FailsToStart,
    Slow,
    Worker,
    async_task,
    lines,
    note,
    task_that_returns,
    task_that_waits,
)
from tests.support import Proc, all_gone, descendants, eventually, proc


def worker(journal: str, label: str, **options: object) -> Child:
    return Child(Worker, {"journal": journal, "label": label}, id=label, **options)


def test_children_start_one_after_the_other_and_stop_in_reverse(
    run_dir: Path, journal: str
) -> None:
    inner = Supervisor([worker(journal, "c"), worker(journal, "d")], id="inner")
    spec = Supervisor([worker(journal, "a"), worker(journal, "b"), inner, worker(journal, "e")])
    with spec.start():
        assert lines(journal) == [f"start {label}" for label in "abcde"]
    ends = [line for line in lines(journal) if not line.startswith("start")]
    assert ends == [
        line for label in "edcba" for line in (f"terminate {label} shutdown", f"close {label}")
    ]


def test_start_returns_when_every_child_is_ready(run_dir: Path) -> None:
    with Supervisor([Child(Slow, {"start": 0.3}, name="slow")]).start() as tree:
        (info,) = tree.which_children()
        assert info.status == "running"
        assert info.pid == connect("slow").pid()


def test_a_child_is_not_started_before_the_one_before_it_is_ready(
    run_dir: Path, journal: str
) -> None:
    first = Child(Slow, {"start": 0.2, "journal": journal}, id="first")

    class After:
        def __init__(self, journal: str) -> None:
            with open(journal, "a") as file:
                file.write(f"ready before: {connect('first-name').pid()}\n")

    named = Child(Slow, {"start": 0.2, "journal": journal}, id="named", name="first-name")
    with Supervisor([first, named, Child(After, {"journal": journal})]).start():
        assert [line.split()[0] for line in lines(journal)] == ["starting", "starting", "ready"]


@pytest.mark.parametrize(
    ("target", "error"),
    [
        (FailsToStart, "ValueError('no start')"),
        (FailsInHook, "ValueError('no start in the hook')"),
        (DiesAtStart, "SIGKILL"),
        (Command(["/does/not/exist"]), "/does/not/exist"),
    ],
)
def test_start_failure_says_which_child_and_why_and_is_undone_in_reverse(
    run_dir: Path, journal: str, target: object, error: str
) -> None:
    spec = Supervisor(
        [
            worker(journal, "a"),
            Supervisor([worker(journal, "b"), Child(target, id="bad")], id="inner"),
            worker(journal, "never"),
        ]
    )
    with pytest.raises(StartError) as caught:
        spec.start()
    assert caught.value.child == ("inner", "bad")
    assert error in caught.value.error
    assert error in str(caught.value)
    assert "bad" in str(caught.value)
    if isinstance(target, type) and target is not DiesAtStart:
        assert "Traceback" in (caught.value.traceback or "")
        assert caught.value.traceback.strip() in str(caught.value)
    assert [line for line in lines(journal) if "close" not in line] == [
        "start a",
        "start b",
        "terminate b shutdown",
        "terminate a shutdown",
    ]
    assert not list(run_dir.iterdir())


def test_start_timeout_is_a_start_error(run_dir: Path) -> None:
    with pytest.raises(StartError) as caught:
        Supervisor([Child(Slow, {"start": 60}, start_timeout=0.2, shutdown=0.2)]).start()
    assert caught.value.child == ("Slow",)
    assert "0.2" in caught.value.error


def test_a_tree_can_be_started_again_after_a_failure(run_dir: Path) -> None:
    with pytest.raises(StartError):
        Supervisor([Child(FailsToStart)]).start()
    with Supervisor([Child(Worker, name="w")]).start():
        assert connect("w").echo(1) == 1


def test_a_tree_stopped_while_it_starts_is_a_start_error(run_dir: Path, journal: str) -> None:
    caught: list[BaseException] = []

    def start() -> None:
        try:
            Supervisor([Child(Slow, {"start": 60, "journal": journal}, shutdown=1)]).start()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    eventually(lambda: lines(journal))
    (root,) = [process for process in descendants() if _parent(process) == os.getpid()]
    root.kill(signal.SIGTERM)
    thread.join(20)
    assert [type(error) for error in caught] == [StartError]


def test_the_root_killed_while_the_tree_starts_is_a_start_error(
    run_dir: Path, journal: str
) -> None:
    caught: list[BaseException] = []

    def start() -> None:
        try:
            Supervisor([Child(Slow, {"start": 60, "journal": journal})]).start()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    eventually(lambda: lines(journal))
    everyone = descendants()
    for process in everyone:
        if _parent(process) == os.getpid():
            process.kill()
    thread.join(20)
    assert [type(error) for error in caught] == [StartError]
    eventually(lambda: all_gone(everyone))
    remove_killed_node(run_dir / "default")


def _parent(process: Proc) -> int:
    with open(f"/proc/{process.pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def test_leaving_the_with_block_after_the_tree_has_ended_is_no_error(run_dir: Path) -> None:
    with Supervisor([Child(Worker)]).start() as tree:
        tree.stop()
        assert tree.wait(5).reason == "shutdown"
        tree.stop()
    assert tree.wait(0).reason == "shutdown"
    assert not tree.is_alive()


def test_a_signal_handler_may_stop_the_tree_that_is_waited_for(run_dir: Path) -> None:
    tree = Supervisor([Child(Worker)]).start()
    before = signal.signal(signal.SIGUSR1, lambda *_: tree.stop(20))
    try:
        timer = threading.Timer(0.2, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
        timer.start()
        assert tree.wait(20).reason == "shutdown"
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not tree.is_alive()


def test_a_tree_whose_ref_is_dropped_goes_on(run_dir: Path) -> None:
    Supervisor([Child(Worker, name="w")], name="top").start("dropped")
    gc.collect()
    client = connect("w")
    pid = client.pid()
    gc.collect()
    assert client.pid() == pid
    assert connect("w", node="dropped").pid() == pid
    top = whereis("top")
    assert top is not None
    root = proc(top.pid)
    top.stop()
    eventually(lambda: not root.is_alive)
    client.close()
    with Supervisor().start("next"):
        # Starting a tree lets go of those that have ended.
        pass


def proc_is_there(pid: int) -> bool:
    try:
        return proc(pid).is_alive
    except AssertionError:
        return False


def test_an_empty_tree_lives_until_it_is_stopped(run_dir: Path) -> None:
    with Supervisor().start() as tree:
        assert tree.which_children() == []
        with pytest.raises(TimeoutError):
            tree.wait(0.05)
        assert tree.is_alive()


def test_start_from_a_process_with_many_threads(run_dir: Path) -> None:
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        with Supervisor([Child(Worker, name="w"), Child(Worker, id="other")]).start():
            assert connect("w").echo("hello") == "hello"
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_the_tree_outlives_the_thread_that_started_it(run_dir: Path) -> None:
    trees: list[SupervisorRef] = []
    thread = threading.Thread(
        target=lambda: trees.append(Supervisor([Child(Worker, name="w")]).start())
    )
    thread.start()
    thread.join()
    (tree,) = trees
    with tree:
        client = connect("w")
        pid = client.pid()
        with pytest.raises(TimeoutError):
            tree.monitor().wait(0.3)
        assert client.pid() == pid
        client.close()


def test_trees_of_many_threads_do_not_disturb_each_other(run_dir: Path) -> None:
    answers: list[object] = []

    def run(number: int) -> None:
        with Supervisor([Child(Worker, name="w")]).start(f"node-{number}"):
            answers.append(connect("w", node=f"node-{number}").echo(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [0, 1, 2, 3]


def test_closures_and_lambdas_are_targets(run_dir: Path, journal: str) -> None:
    word = "captured"

    class Local:
        def word(self) -> str:
            return word

    spec = Supervisor(
        [
            Child(Local, name="local"),
            Child(lambda: note(journal, word), id="lambda", restart="temporary"),
            Child(async_task, {"journal": journal}, restart="transient"),
        ]
    )
    with spec.start():
        assert connect("local").word() == "captured"
        eventually(lambda: {"captured", "async task"} <= set(lines(journal)))


def test_a_spec_that_cannot_be_carried_is_a_spec_error(run_dir: Path) -> None:
    with pytest.raises(SpecError):
        Supervisor([Child(Worker, {"label": (n for n in [])})]).start()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_start_methods(run_dir: Path, journal: str, method: str) -> None:
    spec = Supervisor(
        [
            Child(Worker, name="w", start_method=method),
            Child(task_that_waits, {"journal": journal}, start_method=method),
            Child(Command(["sleep", "600"]), start_method=method),
        ]
    )
    with spec.start() as tree:
        first = connect("w").pid()
        assert [child.status for child in tree.which_children()] == ["running"] * 3
        assert connect("w").ignores_interrupt()
        os.kill(first, signal.SIGKILL)
        assert connect("w").pid() != first
    eventually(lambda: lines(journal)[-1] == "SystemExit task True")


def test_a_node_that_runs_already_says_which_and_whose(run_dir: Path) -> None:
    with Supervisor([Child(Worker)]).start("one") as tree:
        with pytest.raises(NodeRunning) as caught:
            Supervisor([Child(Worker)]).start("one")
        assert isinstance(caught.value, StartError)
        assert caught.value.node == "one"
        assert caught.value.pid == tree.pid
        assert "one" in str(caught.value)
        assert str(tree.pid) in str(caught.value)
        with Supervisor([Child(Worker)]).start("two"):
            pass
        assert tree.is_alive()


def test_what_a_killed_node_left_is_cleaned_up(run_dir: Path) -> None:
    tree = Supervisor([Child(Worker, name="w")]).start("one")
    everyone = descendants()
    proc(tree.pid).kill()
    assert tree.wait(20).signal == signal.SIGKILL
    eventually(lambda: all_gone(everyone))
    stale = [path.name for path in (run_dir / "one").iterdir()]
    assert len(stale) > 1
    with Supervisor([Child(Worker, id="other")]).start("one"):
        # The lock, the root, the registry and the one child.
        assert len(list((run_dir / "one").iterdir())) == 4
        assert whereis("w", node="one") is None
    assert not (run_dir / "one").exists()


def test_the_root_is_found_by_its_name(run_dir: Path) -> None:
    with Supervisor([Child(Worker)], name="top").start() as tree:
        found = whereis("top")
        assert isinstance(found, SupervisorRef)
        assert found.pid == tree.pid
        assert [child.id for child in found.which_children()] == ["Worker"]
        with pytest.raises(NameTaken):
            tree.start_child(Child(Worker, name="top"))


def test_a_dynamic_supervisor_as_root(run_dir: Path) -> None:
    with DynamicSupervisor(name="pool").start() as tree:
        ref = tree.start_child(Child(task_that_returns, restart="transient"))
        eventually(lambda: tree.which_children() == [])
        assert not ref.is_alive()


def test_two_nodes_in_one_process_the_one_started_last_that_still_runs(run_dir: Path) -> None:
    one = Supervisor([Child(Worker, {"label": "1"}, name="w")]).start("one")
    two = Supervisor([Child(Worker, {"label": "2"}, name="w")]).start("two")
    try:
        pids = {node: connect("w", node=node).pid() for node in ("one", "two")}
        assert connect("w").pid() == pids["two"]
        root = proc(two.pid)
        root.kill()
        eventually(lambda: not root.is_alive and not proc_is_there(pids["two"]))
        assert connect("w").pid() == pids["one"]
        with Supervisor([Child(Worker, name="w")]).start("three"):
            assert connect("w").pid() not in pids.values()
        assert connect("w").pid() == pids["one"]
    finally:
        two.stop()
        one.stop()
    remove_killed_node(run_dir / "two")
