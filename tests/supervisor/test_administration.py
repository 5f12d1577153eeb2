"""What one can ask of a supervisor."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor import (
    BadCall,
    Child,
    ChildCount,
    ChildExists,
    ChildNotFound,
    ChildRunning,
    Command,
    DynamicSupervisor,
    NoProcess,
    Overloaded,
    Ref,
    SpecError,
    StartError,
    Supervisor,
    SupervisorRef,
)
from tests.supervisor.conftest import fresh
from tests.supervisor.servers import FailsToStart, Slow, Worker, lines, task_that_waits
from tests.support import eventually


@pytest.fixture(scope="module")
def shared(module_run_dir: Path) -> Iterator[SupervisorRef]:
    children = [
        Child(Worker, name="server"),
        Child(task_that_waits, id="task"),
        Child(Command(["sleep", "600"]), id="command"),
        Supervisor([Child(Worker, id="w")], id="inner"),
        DynamicSupervisor(max_children=3, id="pool"),
    ]
    with Supervisor(children, max_restarts=1000).start() as tree:
        yield tree


@pytest.fixture
def tree(shared: SupervisorRef) -> Iterator[SupervisorRef]:
    with fresh(shared) as ref:
        before = [child.id for child in ref.which_children()]
        yield ref
        assert [child.id for child in ref.which_children()] == before


@pytest.fixture
def pool(tree: SupervisorRef) -> Iterator[SupervisorRef]:
    ref = tree.supervisor("pool")
    yield ref
    for child in ref.which_children():
        ref.terminate_child(child.id)
    ref._caller.close()


def test_which_children(tree: SupervisorRef) -> None:
    children = tree.which_children()
    assert [child.id for child in children] == ["server", "task", "command", "inner", "pool"]
    assert [child.kind for child in children] == [
        *("server", "task", "command"),
        *("supervisor", "supervisor"),
    ]
    assert [child.name for child in children] == ["server", None, None, None, None]
    assert {child.status for child in children} == {"running"}
    assert {child.restarts for child in children} == {0}
    now = datetime.datetime.now(datetime.UTC)
    for child in children:
        assert child.started_at is not None
        assert child.started_at.tzinfo is not None
        assert child.started_at < now
        assert child.pid == tree.child(child.id).pid


def test_count_children(tree: SupervisorRef) -> None:
    assert tree.count_children() == ChildCount(specs=5, active=5, supervisors=2, workers=3)
    tree.terminate_child("task")
    assert tree.count_children() == ChildCount(specs=5, active=4, supervisors=2, workers=3)
    (stopped,) = [child for child in tree.which_children() if child.id == "task"]
    assert (stopped.status, stopped.pid, stopped.started_at) == ("stopped", None, None)
    tree.restart_child("task")


def test_get_child_gives_the_spec_as_it_was_written(tree: SupervisorRef) -> None:
    spec = tree.get_child("server")
    assert spec == Child(Worker, name="server")
    assert spec.target is Worker
    inner: Any = tree.get_child("inner")
    assert isinstance(inner, Supervisor)
    assert inner.children[0].id == "w"


@pytest.mark.parametrize(
    "operation", ["get_child", "terminate_child", "restart_child", "delete_child"]
)
def test_an_unknown_child(tree: SupervisorRef, operation: str) -> None:
    with pytest.raises(ChildNotFound) as caught:
        getattr(tree, operation)("nobody")
    assert caught.value.id == "nobody"
    with pytest.raises(BadCall):
        getattr(tree, operation)(5)


def test_start_terminate_restart_delete(tree: SupervisorRef) -> None:
    ref = tree.start_child(Child(Worker, id="new"))
    first = ref.call("pid")
    with pytest.raises(ChildExists) as caught:
        tree.start_child(Child(Worker, id="new"))
    assert isinstance(caught.value.ref, Ref)
    assert caught.value.ref.call("pid") == first
    with pytest.raises(ChildRunning):
        tree.restart_child("new")
    with pytest.raises(ChildRunning):
        tree.delete_child("new")
    tree.terminate_child("new")
    tree.terminate_child("new")
    assert ref.pid is None
    assert not ref.is_alive()
    with pytest.raises(ChildExists) as caught:
        tree.start_child(Child(Worker, id="new"))
    assert caught.value.ref is None
    again = tree.restart_child("new")
    assert again.call("pid") == ref.pid != first
    tree.terminate_child("new")
    tree.delete_child("new")
    with pytest.raises(ChildNotFound):
        tree.delete_child("new")


def test_a_supervisor_as_a_new_child(tree: SupervisorRef) -> None:
    spec = Supervisor([Child(Worker, id="w"), Supervisor([Child(Worker, id="x")], id="y")], id="z")
    ref = tree.start_child(spec)
    assert isinstance(ref, SupervisorRef)
    assert ref.supervisor("y").child("x").call("echo", 1) == 1
    tree.terminate_child("z")
    assert not ref.is_alive()
    restarted = tree.restart_child("z")
    assert isinstance(restarted, SupervisorRef)
    assert restarted.child("w").call("echo", 2) == 2
    tree.terminate_child("z")
    tree.delete_child("z")


def test_a_child_that_does_not_start_is_not_kept(tree: SupervisorRef) -> None:
    with pytest.raises(StartError) as caught:
        tree.start_child(Child(FailsToStart, id="bad"))
    assert caught.value.child == ("bad",)
    assert caught.value.error == "ValueError('no start')"
    assert "Traceback" in (caught.value.traceback or "")
    with pytest.raises(StartError) as caught:
        tree.supervisor("inner").start_child(
            Supervisor([Child(FailsToStart, id="worse")], id="deeper")
        )
    assert caught.value.child == ("inner", "deeper", "worse")


@pytest.mark.parametrize("child", [5, None, "Worker", Worker, [Child(Worker)]])
def test_what_is_no_spec(tree: SupervisorRef, child: Any) -> None:
    with pytest.raises((SpecError, BadCall)):
        tree.start_child(child)


def test_a_significant_child_of_one_that_never_shuts_down_by_itself(tree: SupervisorRef) -> None:
    with pytest.raises(SpecError):
        tree.start_child(Child(Worker, id="s", restart="transient", significant=True))


def test_temporary_children_are_forgotten(tree: SupervisorRef) -> None:
    tree.start_child(Child(Worker, id="t", restart="temporary"))
    tree.terminate_child("t")
    with pytest.raises(ChildNotFound):
        tree.get_child("t")


def test_requests_are_answered_while_a_child_starts(tree: SupervisorRef, journal: str) -> None:
    spec = Child(Slow, {"start": 0.5, "journal": journal}, id="slow")
    starter = threading.Thread(target=tree.start_child, args=(spec,))
    starter.start()
    eventually(lambda: lines(journal))
    (slow,) = [child for child in tree.which_children() if child.id == "slow"]
    assert (slow.status, slow.pid) == ("restarting", None)
    assert tree.count_children().specs == 6
    starter.join()
    tree.terminate_child("slow")
    tree.delete_child("slow")


def test_a_child_that_is_terminated_while_it_starts(tree: SupervisorRef, journal: str) -> None:
    caught: list[BaseException] = []

    def start() -> None:
        try:
            tree.start_child(Child(Slow, {"start": 60, "journal": journal}, id="slow"))
        except StartError as error:
            caught.append(error)

    starter = threading.Thread(target=start)
    starter.start()
    eventually(lambda: lines(journal))
    tree.terminate_child("slow")
    starter.join()
    assert caught


def test_unknown_operations_of_a_supervisor(tree: SupervisorRef) -> None:
    for operation in ("unknown", "__init__", "machine"):
        with pytest.raises(BadCall):
            tree.call(operation)
    with pytest.raises(BadCall):
        tree.call("which_children", 1)
    with pytest.raises(BadCall):
        tree.call("terminate_child")


def test_children_of_a_dynamic_supervisor_get_ids(pool: SupervisorRef) -> None:
    refs = [pool.start_child(Child(Worker)) for _ in range(2)]
    ids = [child.id for child in pool.which_children()]
    assert len(set(ids)) == 2
    assert all(id.startswith("Worker-") for id in ids)
    assert [ref.call("pid") for ref in refs] == [child.pid for child in pool.which_children()]
    explicit = pool.start_child(Child(Worker, id="explicit"))
    assert explicit.call("echo", 1) == 1
    with pytest.raises(ChildExists):
        pool.start_child(Child(Worker, id="explicit"))
    with pytest.raises(Overloaded):
        pool.start_child(Child(Worker))
    pool.terminate_child("explicit")
    with pytest.raises(ChildNotFound):
        pool.restart_child("explicit")
    with pytest.raises(NoProcess):
        explicit.call("echo", 1)
    assert pool.start_child(Child(Worker)).call("echo", 1) == 1


def test_stopping_the_root_by_any_ref(run_dir: Path) -> None:
    with Supervisor([Child(Worker)]).start() as tree:
        with fresh(tree) as ref:
            ref.stop(10)
        assert tree.wait(10).reason == "shutdown"
