"""What runs in a node, at one moment: read from outside, supervisor by supervisor."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from supervisor._client.delivery import Target
from supervisor._errors import NoProcess, SupervisorError
from supervisor._node import ROOT, Node, nodes_in, resolve_run_dir
from supervisor._refs import ChildInfo, Ref, SupervisorRef

__all__ = ["ProcessSnapshot", "TreeSnapshot", "absence_of", "root_of", "take_snapshot"]


@dataclass(frozen=True, slots=True)
class ProcessSnapshot:
    """One process.

    Attributes:
        id: its id; the node's name for the root.
        name: its name, if it has one.
        kind: ``server``, ``task``, ``command``, ``supervisor`` or ``registry``.
        status: ``running``, ``restarting`` or ``stopped``.
        pid: None unless it runs.
        restarts: how often it was restarted automatically; None where nobody counts.
        started_at: None unless it runs.
        children: of a supervisor; None where it is not one, or could not be asked.
    """

    id: str
    name: str | None
    kind: str
    status: str
    pid: int | None
    restarts: int | None
    started_at: datetime | None
    children: list[ProcessSnapshot] | None = None

    def uptime(self, now: datetime) -> float | None:
        """Seconds that it has been running."""
        if self.started_at is None:
            return None
        return max(0.0, (now - self.started_at).total_seconds())

    def to_map(self, now: datetime) -> dict[str, Any]:
        """For JSON."""
        uptime = self.uptime(now)
        fields: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "status": self.status,
            "pid": self.pid,
            "restarts": self.restarts,
            "started_at": self.started_at and self.started_at.isoformat(),
            "uptime": None if uptime is None else round(uptime, 3),
        }
        if self.kind == "supervisor":
            known = self.children
            fields["children"] = None if known is None else [c.to_map(now) for c in known]
        return fields


@dataclass(frozen=True, slots=True)
class TreeSnapshot:
    """A whole node."""

    node: str
    folder: str
    root: ProcessSnapshot
    registry: ProcessSnapshot
    taken_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def to_map(self) -> dict[str, Any]:
        """For JSON: the root supervisor, with what is only there once."""
        return {
            "node": self.node,
            "folder": self.folder,
            "taken_at": self.taken_at.isoformat(),
            "registry": self.registry.to_map(self.taken_at),
            "root": self.root.to_map(self.taken_at),
        }


def root_of(node: str, run_dir: str | os.PathLike[str] | None) -> SupervisorRef:
    """A ref of the root supervisor of a node, running or not."""
    return SupervisorRef(Target(Node.named(node, run_dir), path=ROOT))


def absence_of(node: str, run_dir: str | os.PathLike[str] | None) -> str:
    """What to say of a node that does not run."""
    others = [name for name in nodes_in(run_dir) if root_of(name, run_dir).is_alive()]
    there = f"running there: {', '.join(map(repr, others))}" if others else "none runs there"
    return f"node {node!r} does not run in {resolve_run_dir(run_dir)}; {there}"


def take_snapshot(root: SupervisorRef) -> TreeSnapshot:
    """What runs below this root now.

    Raises:
        NoProcess: the node does not run.
        SupervisorError: it does not answer.
    """
    node = root.target.node
    outermost = _alone(root, node.name, "supervisor", _children_of(root))
    registry = _alone(root.registry(), "registry", "registry", None)
    return TreeSnapshot(node.name, node.folder, outermost, registry)


def _alone(ref: Ref, id: str, kind: str, children: list[ProcessSnapshot] | None) -> ProcessSnapshot:
    """The root or the registry: no supervisor lists them among its children."""
    try:
        instance = ref.pinned().target.instance
        pid = ref.pid
    except NoProcess:
        instance, pid = None, None
    if instance is None or pid is None:
        if kind == "supervisor":
            raise NoProcess(f"node {ref.target.node.name!r} is not running")
        return ProcessSnapshot(id, None, kind, "restarting", None, None, None)
    # The number of a run is the time in nanoseconds at which it was started.
    started_at = datetime.fromtimestamp(instance / 1e9, UTC)
    return ProcessSnapshot(id, None, kind, "running", pid, None, started_at, children)


def _children_of(supervisor: SupervisorRef) -> list[ProcessSnapshot]:
    return [_child(supervisor, info) for info in supervisor.which_children()]


def _child(supervisor: SupervisorRef, info: ChildInfo) -> ProcessSnapshot:
    children = None
    if info.kind == "supervisor" and info.status == "running":
        try:
            children = _children_of(supervisor.supervisor(info.id))
        except SupervisorError:
            # It has ended since its supervisor was asked, or does not answer: the others are
            # shown all the same.
            children = None
    return ProcessSnapshot(
        id=info.id,
        name=info.name,
        kind=info.kind,
        status=info.status,
        pid=info.pid,
        restarts=info.restarts,
        started_at=info.started_at,
        children=children,
    )
