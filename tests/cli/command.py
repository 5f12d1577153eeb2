"""The command, as a user runs it: in a process of its own, in a folder of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from supervisor import SupervisorError
from supervisor._cli.snapshot import TreeSnapshot, root_of, take_snapshot
from tests.support import PATIENCE, eventually

ROOT = Path(__file__).parents[2]

# A tree whose servers write down how they end.
APP = """
import os
import time

from supervisor import Child, Command, Supervisor

class Diary:
    def __init__(self, name):
        self.name = name

    def ask(self):
        return os.getpid()

    def bug(self):
        raise ZeroDivisionError("a bug")

    def close(self):
        with open("diary", "a") as file:
            file.write(f"{self.name}\\n")

class Unable:
    def __init__(self):
        raise RuntimeError("cannot grow here")

def idle():
    time.sleep(3600)

def diary(name):
    return Child(Diary, {"name": name}, name=name)

tree = Supervisor(
    [
        diary("first"),
        Supervisor([diary("inner"), Child(idle, id="task")], id="nested"),
        Child(Command(["sleep", "3600"]), id="program"),
        diary("last"),
    ]
)
fragile = Supervisor([diary("fragile")], max_restarts=0)
unable = Supervisor([diary("first"), Supervisor([Child(Unable)], id="nested")])

class holder:
    tree = tree

def make():
    return tree

def make_nothing():
    return None

def make_trouble():
    raise LookupError("no seeds")

number = 5
"""


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with the packages on the path and no colours asked for."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def regrow(*arguments: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    options.setdefault("env", environment())
    return subprocess.run(
        [sys.executable, "-m", "supervisor", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


@contextlib.contextmanager
def daemon(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """``regrow run`` in the background; killed in the end if it runs still."""
    with (cwd / "daemon.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor", "run", *arguments],
            cwd=cwd,
            env=environment(),
            stderr=log,
            text=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def up(run_dir: Path, count: int, node: str = "default") -> TreeSnapshot:
    """What runs, once the root has so many children that run."""

    def running() -> TreeSnapshot | None:
        try:
            snapshot = take_snapshot(root_of(node, run_dir))
        except SupervisorError:
            return None
        children = [child for child in snapshot.root.children or [] if child.pid is not None]
        return snapshot if len(children) == count and snapshot.registry.pid else None

    snapshot = eventually(running, within=PATIENCE, what=f"node {node!r} is up")
    assert snapshot is not None
    return snapshot
