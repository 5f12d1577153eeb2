"""Who this process is: inside a tree, or one that has started trees."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from supervisor._node import Node, ProcessPath, resolve_run_dir

__all__ = [
    "Identity",
    "current",
    "default_node",
    "enter",
    "forget_node",
    "is_main_thread",
    "leave",
    "remember_node",
]


@dataclass(frozen=True, slots=True)
class Identity:
    """A process of a tree.

    Attributes:
        node: the node it belongs to.
        path: its path.
        name: the name it is registered under, if any.
        instance: this one run of it.
        serves: whether it has operations, which its main thread carries out.
    """

    node: Node
    path: ProcessPath
    name: str | None
    instance: int
    serves: bool = False


_current: Identity | None = None
_pid = 0
# The nodes that this process has started, and whether they still run.
_started: list[tuple[Node, Callable[[], bool]]] = []
_lock = threading.Lock()


def enter(identity: Identity) -> None:
    """Become this process of a tree."""
    global _current, _pid  # noqa: PLW0603  a process is one thing at a time
    _current = identity
    _pid = os.getpid()
    _started.clear()


def leave(before: Identity | None) -> None:
    """Be again what this process was before it became the root of a tree."""
    global _current  # noqa: PLW0603  a process is one thing at a time
    _current = before


def is_main_thread() -> bool:
    """Whether this is the thread that carries the process's operations out: not one of a fork's."""
    return os.getpid() == _pid and threading.current_thread() is threading.main_thread()


def current() -> Identity | None:
    """The process of a tree that this is; None outside of trees."""
    return _current


def remember_node(node: Node, is_running: Callable[[], bool]) -> None:
    """This process has started that node."""
    with _lock:
        _started.append((node, is_running))


def forget_node(node: Node) -> None:
    """That node, started by this process, has ended."""
    with _lock:
        _started[:] = [entry for entry in _started if entry[0] != node or entry[1]()]


def _started_nodes() -> list[Node]:
    """The nodes that this process has started and that still run, the last one first."""
    with _lock:
        _started[:] = [entry for entry in _started if entry[1]()]
        return [node for node, _ in reversed(_started)]


def default_node(name: str | None, run_dir: str | os.PathLike[str] | None) -> Node:
    """The node that is meant where none, only its name, or only its run directory is given."""
    own = [] if _current is None else [_current.node]
    if name is not None:
        if run_dir is None and own and own[0].name == name:
            return own[0]
        return Node.named(name, run_dir)
    place = None if run_dir is None else str(resolve_run_dir(run_dir))
    for node in (*_started_nodes(), *own):
        if place is None or os.path.dirname(node.folder) == place:
            return node
    return Node.named("default", run_dir)
