"""``regrow run``: how it ends, and what it says."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from supervisor import ProcessDown, connect
from supervisor._cli import status
from tests.cli.command import APP, daemon, regrow, up
from tests.support import PATIENCE, all_gone, descendants, eventually, proc


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_tree_in_reverse(
    folder: Path, run_dir: Path, number: signal.Signals
) -> None:
    with daemon("app:tree", cwd=folder) as process:
        up(run_dir, 4)
        process.send_signal(number)
        assert process.wait(PATIENCE) == status.OK
    assert (folder / "diary").read_text().split() == ["last", "inner", "first"]
    log = (folder / "daemon.log").read_text()
    assert f"INFO    {process.pid} node 'default' starts app:tree" in log
    assert "node 'default' has stopped in order" in log


def test_kill_9_takes_everything_with_it(folder: Path, run_dir: Path) -> None:
    with daemon("app:tree", cwd=folder) as process:
        up(run_dir, 4)
        processes = descendants(process.pid)
        # registry, first, nested, inner, task, the program and last; a program has a keeper
        assert len(processes) >= 7
        process.kill()
        process.wait(PATIENCE)
        eventually(lambda: all_gone(processes), what="the whole subtree is gone")
    assert not (folder / "diary").exists()
    # Nothing that a dead node leaves behind keeps the next one from starting.
    with daemon("app:tree", cwd=folder) as process:
        up(run_dir, 4)
        process.terminate()
        assert process.wait(PATIENCE) == status.OK


def test_a_tree_that_gives_up(folder: Path, run_dir: Path) -> None:
    with daemon("app:fragile", cwd=folder) as process:
        up(run_dir, 1)
        with connect("fragile") as client, pytest.raises(ProcessDown):
            client.bug()
        assert process.wait(PATIENCE) == status.GAVE_UP
    log = (folder / "daemon.log").read_text()
    assert "ZeroDivisionError: a bug" in log
    assert "node 'default' has given up" in log


@pytest.mark.parametrize("tree", ["app:make", "app:holder.tree"])
def test_where_a_tree_may_be(folder: Path, run_dir: Path, tree: str) -> None:
    with daemon(tree, "--node", "other", cwd=folder) as process:
        snapshot = up(run_dir, 4, node="other")
        assert snapshot.root.pid == process.pid
        process.terminate()
        assert process.wait(PATIENCE) == status.OK


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ("app", "'app' is not of the form MODULE:TREE"),
        ("app:", "'app:' is not of the form MODULE:TREE"),
        ("nowhere:tree", "there is no module 'nowhere' in "),
        ("nowhere.at.all:tree", "there is no module 'nowhere' in "),
        ("app:nothing", "module 'app' has no attribute 'nothing'; its supervisors: tree"),
        ("app:number", "app:number is a int: 5, not a Supervisor"),
        ("app:make_nothing", "app:make_nothing returned None, which is not a Supervisor"),
    ],
)
def test_what_names_no_tree(folder: Path, run_dir: Path, tree: str, message: str) -> None:
    done = regrow("run", tree, cwd=folder)
    assert (done.returncode, done.stdout) == (status.BAD_USAGE, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import that_is_not_there\n", "ModuleNotFoundError: No module named 'that_is_not_there'"),
        ("def tree(:\n", "SyntaxError"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("raise SystemExit(0)\n", "SystemExit"),
        (
            "import supervisor as s; s.Supervisor([s.Supervisor(name='a', id='b')], name='a')\n",
            "the name 'a' is taken",
        ),
    ],
)
def test_a_module_that_raises(folder: Path, run_dir: Path, source: str, error: str) -> None:
    (folder / "broken.py").write_text(source)
    done = regrow("run", "broken:tree", cwd=folder)
    assert done.returncode == status.BAD_USAGE
    assert "module 'broken' raised" in done.stderr
    assert error in done.stderr
    assert "broken.py" in done.stderr
    assert "_cli" not in done.stderr, "the frames are the user's, not ours"


def test_a_function_that_raises(folder: Path, run_dir: Path) -> None:
    done = regrow("run", "app:make_trouble", cwd=folder)
    assert done.returncode == status.BAD_USAGE
    assert "app:make_trouble raised" in done.stderr
    assert "LookupError: no seeds" in done.stderr


def test_a_child_that_does_not_start(folder: Path, run_dir: Path) -> None:
    done = regrow("run", "app:unable", cwd=folder)
    assert done.returncode == status.NOT_STARTED
    said = done.stderr.partition("regrow: ")[2]
    assert "child 'nested/Unable' did not start: RuntimeError('cannot grow here')" in said
    assert "Traceback" in said
    assert "in __init__" in said
    # What had started was stopped again.
    assert (folder / "diary").read_text().split() == ["first"]


def test_a_run_directory_that_cannot_be_one(folder: Path) -> None:
    done = regrow("run", "app:tree", "--run-dir", "app.py", cwd=folder)
    assert done.returncode == status.NOT_STARTED
    assert "the run directory cannot be used" in done.stderr
    assert str(folder / "app.py") in done.stderr


def test_a_node_that_runs_already(folder: Path, run_dir: Path) -> None:
    with daemon("app:tree", cwd=folder) as process:
        up(run_dir, 4)
        done = regrow("run", "app:tree", cwd=folder)
        assert done.returncode == status.NODE_RUNNING
        assert f"node 'default' runs already, as process {process.pid}" in done.stderr
        assert proc(process.pid).is_alive
        process.terminate()
        process.wait(PATIENCE)


def test_a_node_name_that_is_none(folder: Path, run_dir: Path) -> None:
    done = regrow("run", "app:tree", "--node", "", cwd=folder)
    assert done.returncode == status.BAD_USAGE
    assert "node must be a string of 1 to 255 characters" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("grow",), ("run",), ("run", "app:tree", "--quick")])
def test_arguments_that_cannot_be_understood(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = regrow(*arguments, cwd=tmp_path)
    assert done.returncode == status.BAD_USAGE
    assert "usage: regrow" in done.stderr


def test_help_tells_the_exit_statuses(tmp_path: Path) -> None:
    done = regrow("run", "--help", cwd=tmp_path)
    assert done.returncode == 0
    for number in (
        status.OK,
        status.GAVE_UP,
        status.BAD_USAGE,
        status.NOT_STARTED,
        status.NODE_RUNNING,
    ):
        assert f"\n  {number}  " in done.stdout
