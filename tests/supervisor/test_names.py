"""Names: the registry, groups, nodes and where they are."""

from __future__ import annotations

import os
import signal
import stat
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from supervisor import (
    BadCall,
    Child,
    ChildExists,
    NameTaken,
    NoProcess,
    Ref,
    SpecError,
    StartError,
    Supervisor,
    SupervisorRef,
    connect,
    whereis,
)
from supervisor._client.delivery import Target
from tests.supervisor.conftest import fresh
from tests.supervisor.servers import Worker, task_that_waits
from tests.support import eventually

NAMES = ["/", "../../etc", "nul \0 inside", "\U0001f600 ü", "x" * 255, " ", ".", "a b\nc", "\ud800"]


@pytest.fixture(scope="module")
def shared(module_run_dir: Path) -> Iterator[SupervisorRef]:
    children = [Child(Worker, name=name) for name in ("a", "b", "c")]
    inner = Supervisor([Child(Worker, name="deep")], name="inner")
    odd = [Child(Worker, name=name) for name in NAMES[:2]]
    with Supervisor([*children, inner, *odd], max_restarts=1000, name="top").start() as tree:
        yield tree


@pytest.fixture
def tree(shared: SupervisorRef) -> Iterator[SupervisorRef]:
    with fresh(shared) as ref:
        yield ref


@pytest.fixture
def registry(tree: SupervisorRef) -> Iterator[Any]:
    with connect(tree.registry()) as client:
        yield client


def _kill(ref: Any) -> None:
    os.kill(ref.pid, signal.SIGKILL)


# --- names ---------------------------------------------------------------------------------------


def test_names_are_sorted_and_found_by_prefix(registry: Any) -> None:
    assert registry.names() == sorted(["a", "b", "c", "deep", "inner", "top", *NAMES[:2]])
    assert registry.names("de") == ["deep"]
    assert registry.names(prefix="zz") == []


def test_whereis(tree: SupervisorRef, registry: Any) -> None:
    for name in ("a", "deep", *NAMES[:2]):
        found = whereis(name)
        assert found is not None
        assert found.name == name
        assert found.call("pid") == found.pid == registry.whereis(name).pid
    assert isinstance(whereis("inner"), SupervisorRef)
    assert isinstance(registry.whereis("inner"), SupervisorRef)
    assert whereis("nobody") is None
    assert registry.whereis("nobody") is None


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_and_any_id(tree: SupervisorRef, name: str) -> None:
    if name not in NAMES[:2]:
        tree.start_child(Child(Worker, id=name, name=name, restart="temporary"))
    assert connect(name).own_name() == name
    assert tree.child(name).call("own_name") == name
    assert name in [child.id for child in tree.which_children()]
    if name not in NAMES[:2]:
        tree.terminate_child(name)
        assert whereis(name) is None


def test_a_name_is_free_again_when_its_process_is_gone_for_good(tree: SupervisorRef) -> None:
    ref = tree.start_child(Child(Worker, name="short", restart="temporary"))
    ref.call("stop_self")
    eventually(lambda: whereis("short") is None)
    eventually(lambda: "short" not in connect(tree.registry()).names())
    tree.start_child(Child(Worker, id="other", name="short", restart="temporary"))
    assert connect("short").own_name() == "short"
    tree.terminate_child("other")


def test_a_stopped_child_keeps_its_name_until_it_is_deleted(
    tree: SupervisorRef, registry: Any
) -> None:
    tree.start_child(Child(Worker, name="kept"))
    tree.terminate_child("kept")
    assert whereis("kept") is None
    assert "kept" in registry.names()
    with connect("kept") as client, pytest.raises(NoProcess):
        client.pid()
    with pytest.raises(NameTaken):
        tree.start_child(Child(Worker, id="thief", name="kept"))
    tree.restart_child("kept")
    assert connect("kept").own_name() == "kept"
    tree.terminate_child("kept")
    tree.delete_child("kept")
    assert "kept" not in registry.names()
    tree.start_child(Child(Worker, id="heir", name="kept", restart="temporary"))
    tree.terminate_child("heir")


def test_names_are_unique_in_the_node(tree: SupervisorRef) -> None:
    before = [child.id for child in tree.which_children()]
    with pytest.raises(NameTaken, match="'deep'"):
        tree.start_child(Child(Worker, name="deep"))
    with pytest.raises(NameTaken):
        tree.start_child(Supervisor([Child(Worker, name="a")], id="inside"))
    with pytest.raises(ChildExists):
        # The id comes first, then the name.
        tree.start_child(Child(Worker, id="a", name="deep"))
    assert [child.id for child in tree.which_children()] == before


def test_of_two_that_start_at_once_under_one_name_one_does(tree: SupervisorRef) -> None:
    def start(number: int) -> str:
        try:
            tree.start_child(Child(Worker, id=f"race-{number}", name="race", restart="temporary"))
        except NameTaken:
            return ""
        return f"race-{number}"

    with ThreadPoolExecutor(4) as pool:
        started = [id for id in pool.map(start, range(4)) if id]
    assert len(started) == 1
    tree.terminate_child(started[0])


def test_a_name_is_free_again_when_its_child_did_not_start(tree: SupervisorRef) -> None:
    with pytest.raises(StartError):
        tree.start_child(Child(int, args=("no number",), name="failed"))
    tree.start_child(Child(Worker, name="failed", restart="temporary"))
    tree.terminate_child("failed")


def test_further_names_by_register(tree: SupervisorRef, registry: Any) -> None:
    ref = whereis("a")
    registry.register("alias", ref)
    with pytest.raises(NameTaken):
        registry.register("alias", ref)
    assert connect("alias").pid() == ref.pid
    with pytest.raises(NameTaken):
        registry.register("alias", whereis("b"))
    with pytest.raises(NameTaken):
        registry.register("b", ref)
    registry.register("alias of a child", tree.child("c"))
    assert connect("alias of a child").own_name() == "c"
    _kill(ref)
    assert connect("alias").own_name() == "a"
    registry.unregister("alias")
    registry.unregister("alias")
    registry.unregister("alias of a child")
    assert whereis("alias") is None
    registry.register("alias", whereis("b"))
    registry.unregister("alias")
    with pytest.raises(NoProcess):
        registry.register("alias", Ref(Target(ref.target.node, name="nobody")))


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        ("register", (5, None)),
        ("register", ("x", "a")),
        ("register", ("", None)),
        ("register", ()),
        ("unregister", (5,)),
        ("unregister", ([],)),
        ("whereis", (5,)),
        ("whereis", ([],)),
        ("whereis", ({},)),
        ("lookup", ([1],)),
        ("names", (5,)),
        ("join", (5, "a")),
        ("join", ("g", [])),
        ("join", ([], "a")),
        ("join", ("g", "nobody")),
        ("leave", ([], "a")),
        ("leave", ("g", 5)),
        ("members", ([],)),
        ("members", (5,)),
        ("broadcast", ([], "pid")),
        ("broadcast", (5, "pid")),
        ("change", ("publish", None)),
        ("change", ("publish", [None, None])),
        ("change", ("publish", [[], [["id", 5, "server"]]])),
        ("change", ("publish", [[5], []])),
        ("change", ("reserve", ["x", ["a", "b", "server"], []])),
        ("change", ("forget", [])),
        ("change", ("died", [[], "now"])),
        ("change", ("unknown", [])),
        ("change", ([], [])),
    ],
)
def test_wrong_arguments_to_the_registry_are_a_bad_call(
    tree: SupervisorRef, operation: str, args: tuple[Any, ...]
) -> None:
    registry = tree.registry()
    before = registry.pid
    with pytest.raises(BadCall):
        registry.call(operation, *args)
    assert registry.pid == before
    assert registry.call("names", "de") == ["deep"]


# --- groups --------------------------------------------------------------------------------------


def test_groups(registry: Any) -> None:
    for name in ("b", "a", "b"):
        registry.join("group", name)
    assert [ref.name for ref in registry.members("group")] == ["b", "a"]
    counts = {name: connect(name).increment(0) for name in "abc"}
    assert registry.broadcast("group", "increment", 3) == 2
    eventually(lambda: connect("b").increment(0) == counts["b"] + 3)
    eventually(lambda: connect("a").increment(0) == counts["a"] + 3)
    assert connect("c").increment(0) == counts["c"]
    registry.leave("group", "b")
    registry.leave("group", "b")
    assert [ref.name for ref in registry.members("group")] == ["a"]
    registry.leave("group", "a")
    assert registry.members("group") == []
    assert registry.broadcast("group", "increment") == 0


def test_a_member_that_does_not_read_holds_nobody_up(tree: SupervisorRef, registry: Any) -> None:
    deaf = next(child.pid for child in tree.which_children() if child.id == "a")
    registry.join("slow", "a")
    with connect("a") as a, connect("b") as b:
        counts = [a.increment(0), b.increment(0)]
        os.kill(deaf, signal.SIGSTOP)
        try:
            sent = [registry.broadcast("slow", "echo", bytes(1_000_000)) for _ in range(20)]
            assert sent[0] == 1
            assert sent[-1] == 0
            # The registry is there for everybody else.
            registry.join("slow", "b")
            assert registry.broadcast("slow", "increment") == 1
            eventually(lambda: b.increment(0) == counts[1] + 1)
        finally:
            os.kill(deaf, signal.SIGCONT)
        eventually(lambda: registry.broadcast("slow", "increment") == 2)
        eventually(lambda: a.increment(0) > counts[0])
    for name in "ab":
        registry.leave("slow", name)


def test_a_member_leaves_when_it_dies(registry: Any) -> None:
    registry.join("mortal", "a")
    registry.join("mortal", "b")
    _kill(whereis("a"))
    eventually(lambda: [ref.name for ref in registry.members("mortal")] == ["b"])
    # Its next run joins anew.
    assert connect("a").own_name() == "a"
    registry.join("mortal", "a")
    assert [ref.name for ref in registry.members("mortal")] == ["b", "a"]
    for name in "ab":
        registry.leave("mortal", name)


def test_the_members_below_a_supervisor_leave_with_it(tree: SupervisorRef, registry: Any) -> None:
    registry.join("below", "deep")
    _kill(tree.supervisor("inner"))
    eventually(lambda: registry.members("below") == [])
    assert connect("deep").own_name() == "deep"


# --- the registry dies ---------------------------------------------------------------------------


def test_a_registry_that_dies_restarts_nobody_and_knows_everything_again(
    tree: SupervisorRef, registry: Any
) -> None:
    registry.register("alias", whereis("a"))
    registry.join("lasting", "b")
    tree.start_child(Child(Worker, name="added", restart="temporary"))
    before = {child.id: child.pid for child in tree.which_children()}
    assert tree.registry().pid not in before.values()
    names = registry.names()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(connect("c").sleep, 0.3)
        pid = tree.registry().pid
        _kill(tree.registry())
        # Looked up, so it waits for the registry.
        assert connect("deep").own_name() == "deep"
        assert running.result() == before["c"]
    assert tree.registry().pid not in (None, pid)
    assert registry.names() == names
    assert [ref.name for ref in registry.members("lasting")] == ["b"]
    assert connect("alias").pid() == before["a"]
    assert {child.id: child.pid for child in tree.which_children()} == before
    registry.unregister("alias")
    registry.leave("lasting", "b")
    tree.terminate_child("added")


def test_a_registry_that_dies_again_and_again(tree: SupervisorRef, registry: Any) -> None:
    before = {child.id: child.pid for child in tree.which_children()}
    for _ in range(3):
        pid = registry.whereis("a") and tree.registry().pid
        os.kill(pid, signal.SIGKILL)
        assert whereis("a") is not None
    assert {child.id: child.pid for child in tree.which_children()} == before


def test_names_given_while_the_registry_is_down_are_there_afterwards(
    tree: SupervisorRef, registry: Any
) -> None:
    _kill(tree.registry())
    tree.start_child(Child(Worker, name="meanwhile", restart="temporary"))
    assert connect("meanwhile").own_name() == "meanwhile"
    tree.terminate_child("meanwhile")


# --- nodes and folders ---------------------------------------------------------------------------


def test_duplicate_names_in_one_tree_are_name_taken() -> None:
    with pytest.raises(NameTaken) as caught:
        Supervisor([Child(Worker, name="x"), Child(Worker, id="y", name="x")])
    assert caught.value.name == "x"
    inner = Supervisor([Child(Worker, name="x")], id="inner")
    with pytest.raises(NameTaken):
        Supervisor([Child(Worker, id="y", name="x"), inner])
    with pytest.raises(NameTaken):
        Supervisor([Child(Worker, name="x")], name="x")


def test_sockets_lie_in_a_private_folder(tree: SupervisorRef, module_run_dir: Path) -> None:
    folder = module_run_dir / "default"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(module_run_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize("node", ["../up", "n" * 255, "a/b", "\0", "ü", ".", "node.json"])
def test_any_node_name(tmp_path: Path, node: str) -> None:
    with Supervisor([Child(Worker, name="w")]).start(node, run_dir=tmp_path / "run"):
        assert [path.name for path in tmp_path.iterdir()] == ["run"]
        assert connect("w", node=node, run_dir=tmp_path / "run").echo(1) == 1
        assert connect("w").echo(2) == 2
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize("node", ["", "n" * 256, 5, None])
def test_no_node_name(tmp_path: Path, node: Any) -> None:
    with pytest.raises(SpecError):
        Supervisor().start(node, run_dir=tmp_path)


def test_a_run_dir_too_long_for_a_socket_address(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["long" * 20] * 3)
    with Supervisor([Child(Worker, name="w")]).start(run_dir=folder) as tree:
        client = connect("w")
        before = client.pid()
        _kill(tree.child("w"))
        assert client.pid() != before
        assert connect("w", run_dir=folder).echo(1) == 1
        client.close()


def test_run_dir_and_its_variables_are_read_at_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def where() -> list[str]:
        with Supervisor().start("here"):
            return [str(path.parent) for path in tmp_path.rglob("here")]

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv("REGROW_RUN_DIR", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert where() == [str(tmp_path / f"regrow-{os.getuid()}")]
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "xdg"))
    assert where() == [str(tmp_path / "xdg" / "regrow")]
    monkeypatch.setenv("REGROW_RUN_DIR", str(tmp_path / "named"))
    assert where() == [str(tmp_path / "named")]


def test_a_run_dir_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(StartError, match="written by others"):
        Supervisor().start(run_dir=folder)


def test_a_run_dir_that_cannot_be_made_is_a_start_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError):
        Supervisor().start(run_dir=tmp_path / "file" / "below")


def test_without_a_node_the_started_one_is_meant_in_its_run_dir(tmp_path: Path) -> None:
    child = Child(task_that_waits, restart="temporary")
    with Supervisor([Child(Worker, name="w"), child]).start("mine", run_dir=tmp_path):
        assert connect("w").echo(1) == 1
        assert connect("w", run_dir=tmp_path).echo(2) == 2
        with connect("w", run_dir=tmp_path / "other") as client, pytest.raises(NoProcess):
            client.echo(3)
