"""Refs: handles of processes, by name, by their place in the tree, or of one run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, Self

from supervisor._client.caller import Caller
from supervisor._client.delivery import Target
from supervisor._context import default_node
from supervisor._errors import BadCall, NoProcess, ProcessDown
from supervisor._exit import Exit
from supervisor._monitor import Monitor
from supervisor._node import REGISTRY, ROOT, Node, ProcessPath
from supervisor._spec import Child, Kind
from supervisor._supervisor import ChildSpec

__all__ = ["ChildCount", "ChildInfo", "Monitor", "Ref", "SupervisorRef", "whereis"]

Status = Literal["running", "restarting", "stopped"]

# Seconds that questions to a supervisor or to the registry may take; they answer from memory.
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class ChildInfo:
    """A child, as its supervisor sees it.

    Attributes:
        id: its id.
        name: its name, if it has one.
        pid: its process; None unless it runs.
        status: ``running``, ``restarting`` (also while it starts) or ``stopped``.
        kind: ``server``, ``task``, ``command`` or ``supervisor``.
        restarts: how often it was restarted automatically.
        started_at: when its process was started; None unless it runs.
    """

    id: str
    name: str | None
    pid: int | None
    status: Status
    kind: Kind
    restarts: int
    started_at: datetime | None

    def __to_wire__(self) -> tuple[object, ...]:
        return (
            self.id,
            self.name,
            self.pid,
            self.status,
            self.kind,
            self.restarts,
            self.started_at,
        )

    @classmethod
    def __from_wire__(cls, values: Sequence[Any]) -> Self:
        return cls(*values)


@dataclass(frozen=True, slots=True)
class ChildCount:
    """How many children a supervisor has.

    Attributes:
        specs: children, running or not.
        active: of these, how many run.
        supervisors: how many are supervisors, running or not.
        workers: how many are not.
    """

    specs: int
    active: int
    supervisors: int
    workers: int

    def __to_wire__(self) -> tuple[object, ...]:
        return (self.specs, self.active, self.supervisors, self.workers)

    @classmethod
    def __from_wire__(cls, values: Sequence[Any]) -> Self:
        return cls(*values)


class Ref:
    """A handle of a process: to call it, to watch it, to stop it.

    By name or by its place in the tree it follows the process across restarts.
    """

    __slots__ = ("__weakref__", "_caller")

    def __init__(self, target: Target) -> None:
        self._caller = Caller(target)

    @property
    def target(self) -> Target:
        """Which process is meant."""
        return self._caller.target

    @property
    def name(self) -> str | None:
        """The name by which it is meant, if it is."""
        return self.target.name

    def call(self, op: str, /, *args: Any, timeout: float | None = 5.0, **kwargs: Any) -> Any:
        """Call an operation and return its result.

        Args:
            op: the operation's name.
            *args: its positional arguments.
            timeout: seconds to wait for the answer; None waits without limit. A ``wait_timeout``
                among the keyword arguments stretches it.
            **kwargs: its keyword arguments.

        Raises:
            NoProcess: nobody is there, and nobody will be.
            ProcessDown: the process died during the call.
            CallTimeout: there was no answer in time.
            BadCall: unknown operation, wrong arguments, or a value that cannot be encoded.
            Exception: the declared error that the operation raised.
        """
        return self._caller.call(op, args, kwargs, timeout)

    def cast(self, op: str, /, *args: Any, **kwargs: Any) -> None:
        """Ask for an operation without waiting for it, or for how it ends.

        Raises:
            NoProcess: nobody is there, and nobody will be.
            BadCall: an argument cannot be encoded.
        """
        self._caller.cast(op, args, kwargs, _PATIENCE)

    @property
    def pid(self) -> int | None:
        """The process that runs now; None where none does.

        Raises:
            NoProcess: there is no such child or name.
        """
        pid, instance = self._describe()
        meant = self.target.instance
        return pid if meant is None or meant == instance else None

    def is_alive(self) -> bool:
        """Whether the process runs now."""
        try:
            pid, instance = self._describe()
        except (NoProcess, ProcessDown):
            return False
        meant = self.target.instance
        return pid is not None and (meant is None or meant == instance)

    def has_run(self, timeout: float | None = _PATIENCE) -> bool:
        """Whether the process runs, or ran before and is restarting.

        False where its turn to start has not come yet, or where it is stopped.

        Args:
            timeout: seconds that its supervisor has to answer in.

        Raises:
            CallTimeout: the supervisor did not, because it is restarting itself.
        """
        path = self._caller.locate(_PATIENCE)
        if path == ROOT:
            return True
        known = self._caller.ask(parent_of(path), "child_has_run", path[-1], timeout=timeout)
        return bool(known)

    def pinned(self) -> Ref:
        """A ref of the process that runs now: once that is gone, calls through it are NoProcess.

        Raises:
            NoProcess: none runs now.
        """
        path = self._caller.locate(_PATIENCE)
        pid, instance = self._describe()
        if pid is None:
            raise NoProcess(f"{self.target} does not run now")
        return Ref(replace(self.target, name=None, path=path, instance=instance))

    def monitor(self) -> Monitor:
        """Watch the process that runs now, until it ends."""
        try:
            path = self._caller.locate(_PATIENCE)
        except NoProcess as error:
            return Monitor(self._caller, None, None, Exit("error", error=str(error)))
        try:
            _, instance = self._describe()
        except NoProcess:
            # It is forgotten; its supervisor may still know how it ended.
            instance = None
        meant = self.target.instance
        return Monitor(self._caller, path, instance if meant is None else meant, None)

    def stop(self, timeout: float | None = None) -> None:
        """Stop the process in order, reason ``shutdown``, and wait until it is gone.

        Its supervisor then does what its spec says: a permanent child is restarted.

        Args:
            timeout: seconds to wait; None waits without limit. Nothing is killed at their end.

        Raises:
            TimeoutError: it was not gone in time.
            NoProcess: there is no such process.
        """
        path = self._caller.locate(timeout)
        if path == ROOT:
            self._stop_root(timeout)
            return
        self._caller.ask(
            parent_of(path), "stop_child", path[-1], self.target.instance, timeout=timeout
        )

    def _stop_root(self, timeout: float | None) -> None:
        try:
            self._caller.call("stop", (), {}, timeout)
        except (ProcessDown, NoProcess):
            # It answers when all else has ended, and may be gone before the answer is read.
            return

    def _describe(self) -> tuple[int | None, int | None]:
        """Its pid and the number of this run of it; None for both unless it runs."""
        path = self._caller.locate(_PATIENCE)
        if path == ROOT:
            pid, instance = self._caller.ask(ROOT, "describe", timeout=_PATIENCE)
        else:
            pid, instance = self._caller.ask(
                parent_of(path), "describe_child", path[-1], timeout=_PATIENCE
            )
        return pid, instance

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and self.target == other.target

    def __hash__(self) -> int:
        return hash(self.target)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.target}, node {self.target.node.name!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.target,)

    def __to_wire__(self) -> tuple[object, ...]:
        target = self.target
        return (target.node.name, target.node.folder, target.name, target.path, target.instance)

    @classmethod
    def __from_wire__(cls, values: Sequence[Any]) -> Self:
        node, folder, name, path, instance = values
        where = None if path is None else tuple(path)
        return cls(Target(Node(node, folder), name, where, instance))


def parent_of(path: ProcessPath) -> ProcessPath:
    """The path of the supervisor of the process at this path."""
    return path[:-1]


class SupervisorRef(Ref):
    """A handle of a supervisor: to see its children, and to change them."""

    __slots__ = ()

    def which_children(self) -> list[ChildInfo]:
        """Its children, in start order."""
        children: list[ChildInfo] = self._ask("which_children")
        return children

    def count_children(self) -> ChildCount:
        """How many children it has."""
        count: ChildCount = self._ask("count_children")
        return count

    def get_child(self, id: str) -> Child:
        """The spec of a child, as it was written.

        Raises:
            ChildNotFound: it has no such child.
        """
        spec: Child = self._ask("get_child", id)
        return spec

    def start_child(self, child: ChildSpec) -> Ref:
        """Add a child and start it; return when it is ready.

        Raises:
            ChildExists: it has a child of that id; ``.ref`` is that child, where it runs.
            NameTaken: another process has the name.
            Overloaded: a DynamicSupervisor has ``max_children`` already.
            StartError: the child did not start, and is not kept.
            SpecError: this is no spec.
        """
        started = self._caller.call("start_child", (child,), {}, None)
        return self.child(started) if isinstance(child, Child) else self.supervisor(started)

    def terminate_child(self, id: str) -> None:
        """Stop a child, and keep its spec; a temporary child is forgotten.

        Raises:
            ChildNotFound: it has no such child.
        """
        self._caller.call("terminate_child", (id,), {}, None)

    def restart_child(self, id: str) -> Ref:
        """Start a stopped child again; return when it is ready.

        Raises:
            ChildNotFound: it has no such child.
            ChildRunning: it runs.
            ChildRestarting: it is being restarted.
            StartError: it did not start, and stays stopped.
        """
        self._caller.call("restart_child", (id,), {}, None)
        kinds = {child.id: child.kind for child in self.which_children()}
        return self.supervisor(id) if kinds.get(id) == "supervisor" else self.child(id)

    def delete_child(self, id: str) -> None:
        """Forget a stopped child, and its name.

        Raises:
            ChildNotFound: it has no such child.
            ChildRunning: it runs.
            ChildRestarting: it is being restarted.
        """
        self._caller.call("delete_child", (id,), {}, None)

    def child(self, id: str) -> Ref:
        """A ref of a child, named or not, which follows it across restarts."""
        return Ref(replace(self.target, name=None, path=(*self._path(), id)))

    def supervisor(self, id: str) -> SupervisorRef:
        """The same, of a child that is a supervisor."""
        return SupervisorRef(replace(self.target, name=None, path=(*self._path(), id)))

    def registry(self) -> Ref:
        """A ref of the node's registry."""
        return Ref(Target(self.target.node, path=REGISTRY))

    def wait(self, timeout: float | None = None) -> Exit:
        """Why it ended, once it has.

        Args:
            timeout: seconds to wait; None waits without limit.

        Raises:
            TimeoutError: it had not ended by then.
        """
        return self.monitor().wait(timeout)

    def _path(self) -> ProcessPath:
        return self._caller.locate(_PATIENCE)

    def _ask(self, operation: str, *args: Any) -> Any:
        return self._caller.call(operation, args, {}, _PATIENCE, idempotent=True)


def whereis(
    name: str, *, node: str | None = None, run_dir: str | os.PathLike[str] | None = None
) -> Ref | None:
    """The process of that name; None where there is none, or where it is stopped.

    Args:
        name: as registered.
        node: the node to look in. By default the own one inside a tree, the one started last by
            this process, or else ``default``.
        run_dir: the folder of the nodes' folders, as for ``Supervisor.start``.

    Raises:
        CallTimeout: the registry did not answer in time.
    """
    if not isinstance(name, str):
        raise BadCall(f"a name is a string, not {name!r}")
    target = Target(default_node(node, run_dir), name=name)
    caller = Caller(Target(target.node, path=REGISTRY), retry=True)
    try:
        found = caller.call("lookup", (name,), {}, _PATIENCE, idempotent=True)
    except NoProcess:
        # The node does not run: nobody is there.
        return None
    finally:
        caller.close()
    if found is None:
        return None
    _, kind = found
    return SupervisorRef(target) if kind == "supervisor" else Ref(target)
