"""What is done again and again, and what its processes hold before and after."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from supervisor import (
    Child,
    Command,
    DynamicSupervisor,
    Pool,
    PoolExecutor,
    ProcessDown,
    Server,
    Supervisor,
    SupervisorRef,
    WorkerCrashed,
    connect,
    idempotent,
    whereis,
)
from supervisor._process.status import resident_bytes
from supervisor.testing import eventually

__all__ = ["SCENARIOS", "Found", "Held", "Scene", "make_tree", "run"]

_KIB = 1024

# What a process may grow by all the same: arenas, caches, frees that come later, and the last ends
# of so many children that a supervisor remembers.
_SLACK = 3 * 1024 * _KIB

# Connections that are kept, and were not needed before.
_FEW = 2

_NO_LIMIT = 1_000_000


class Quick(Server):
    """Starts as quickly as a process can."""

    @idempotent
    def pid(self) -> int:
        return os.getpid()

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Held:
    """What a process holds: descriptors, and bytes of memory."""

    descriptors: int
    resident: int


@dataclass
class Found:
    """What a scenario has found.

    Attributes:
        times: how often it was done between the two looks.
        before: what each process held, by its name.
        after: the same, later.
    """

    times: int
    before: dict[str, Held] = field(default_factory=dict)
    after: dict[str, Held] = field(default_factory=dict)

    def leaks(self) -> list[str]:
        """What has grown, in words."""
        found = []
        for name, after in self.after.items():
            before = self.before[name]
            if after.descriptors > before.descriptors + _FEW:
                found.append(f"{name}: {before.descriptors} -> {after.descriptors} descriptors")
            grown = after.resident - before.resident
            if grown > _SLACK:
                each = grown / self.times
                found.append(f"{name}: {grown // _KIB} KiB more, {each:.0f} bytes each time")
        return found


class Scene:
    """A tree, and what can be done to it.

    Attributes:
        tree: its root.
    """

    def __init__(self, tree: SupervisorRef) -> None:
        self.tree = tree
        self._quick = connect("quick", Quick, timeout=30)
        self._other = connect("other", Quick, timeout=30)
        self._pool = PoolExecutor.connect("pool")
        self._dynamic: Any = tree.supervisor("dynamic")

    def held(self) -> dict[str, Held]:
        """What each process that outlives the scenario holds: this one, and those of the tree."""
        pids = {"client": os.getpid(), "root": self.tree.pid, "registry": self.tree.registry().pid}
        for child in self.tree.which_children():
            if child.id != "quick":
                pids[child.id] = child.pid
        return {name: _held(pid) for name, pid in pids.items() if pid is not None}

    def restart(self) -> None:
        """Kill a child, and have its successor answer."""
        before = self._quick.pid()
        os.kill(before, signal.SIGKILL)
        eventually(lambda: self._quick.pid() != before)

    def call_that_dies(self) -> None:
        """Call an operation that its process does not survive."""
        try:
            self._quick.die()
        except ProcessDown:
            return
        raise AssertionError("it has survived")

    def connection(self) -> None:
        """Connect, call, and close."""
        with connect("other", Quick) as client:
            client.pid()

    def lookup(self) -> None:
        """Look a name up, and watch and call what is there."""
        ref = whereis("other")
        if ref is None:
            raise AssertionError("it is not there")
        ref.call("pid")
        ref.monitor()
        ref._caller.close()

    def child(self) -> None:
        """Start a child, and terminate it: it is forgotten."""
        ref = self._dynamic.start_child(Child(Quick))
        self._dynamic.terminate_child(ref.target.path[-1])

    def program(self) -> None:
        """Let a program run to its end, with lines in the log."""
        command = Command(["sh", "-c", "echo out; echo err >&2"])
        ref = self._dynamic.start_child(Child(command, restart="temporary"))
        ref.monitor().wait(30)

    def task(self) -> None:
        """Let a worker of the pool run a function."""
        if self._pool.submit(abs, -1).result(30) != 1:
            raise AssertionError("a wrong result")

    def task_that_dies(self) -> None:
        """Let a worker die of its task."""
        try:
            self._pool.submit(os._exit, 1).result(30)
        except WorkerCrashed:
            return
        raise AssertionError("it has survived")

    def registry(self) -> None:
        """Kill the registry, and have its successor answer."""
        registry = self.tree.registry()
        before = registry.pid
        if before is not None:
            os.kill(before, signal.SIGKILL)
        eventually(lambda: registry.pid not in (None, before))
        registry.call("names")
        registry._caller.close()

    def close(self) -> None:
        """Close the connections."""
        self._pool.shutdown()
        self._quick.close()
        self._other.close()
        self._dynamic._caller.close()
        self.tree._caller.close()


SCENARIOS: dict[str, Callable[[Scene], None]] = {
    "restarts": Scene.restart,
    "calls that die": Scene.call_that_dies,
    "connections": Scene.connection,
    "look-ups and monitors": Scene.lookup,
    "dynamic children": Scene.child,
    "programs": Scene.program,
    "tasks": Scene.task,
    "tasks that die": Scene.task_that_dies,
    "registry restarts": Scene.registry,
}


def make_tree() -> Supervisor:
    """A tree for all of the scenarios."""
    children = [
        Child(Quick, name="quick"),
        Child(Quick, name="other"),
        DynamicSupervisor(id="dynamic", max_restarts=_NO_LIMIT),
        Pool(size=1, name="pool", max_restarts=_NO_LIMIT, max_crashes=_NO_LIMIT),
    ]
    return Supervisor(children, max_restarts=_NO_LIMIT)


def run(found: Scene, do: Callable[[Scene], None], times: int) -> Found:
    """Do it so often, after a fifth of that for caches to fill, and look before and after."""
    for _ in range(max(5, times // 5)):
        do(found)
    result = Found(times, before=_settled(found))
    for _ in range(times):
        do(found)
    result.after = _settled(found)
    return result


def _settled(found: Scene) -> dict[str, Held]:
    """What is held once all that was under way has come to its end."""
    gc.collect()
    last: list[dict[str, int]] = []

    def is_quiet() -> bool:
        last.append({name: held.descriptors for name, held in found.held().items()})
        return len(last) > 2 and last[-1] == last[-2] == last[-3]

    eventually(is_quiet)
    return found.held()


def _held(pid: int) -> Held:
    return Held(len(os.listdir(f"/proc/{pid}/fd")), resident_bytes(pid) or 0)
