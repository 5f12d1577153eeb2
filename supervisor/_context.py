"""Who this process is: inside a tree, or one that has started trees."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from supervisor._node import Node, ProcessPath

__all__ = ["Identity", "current", "default_node", "enter", "forget_node", "leave", "remember_node"]


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
_started: list[Node] = []
_lock = threading.Lock()


def enter(identity: Identity) -> None:
    """Become this process of a tree."""
    global _current  # noqa: PLW0603  a process is one thing at a time
    _current = identity
    _started.clear()


def leave(before: Identity | None) -> None:
    """Be again what this process was before it became the root of a tree."""
    global _current  # noqa: PLW0603  a process is one thing at a time
    _current = before


def current() -> Identity | None:
    """The process of a tree that this is; None outside of trees."""
    return _current


def remember_node(node: Node) -> None:
    """This process has started that node."""
    with _lock:
        _started.append(node)


def forget_node(node: Node) -> None:
    """That node, started by this process, has ended."""
    with _lock:
        if node in _started:
            _started.remove(node)


def default_node(name: str | None, run_dir: str | os.PathLike[str] | None) -> Node:
    """The node that is meant where none, or only its name, is given."""
    if name is None and run_dir is None:
        with _lock:
            if _started:
                return _started[-1]
        if _current is not None:
            return _current.node
    if name is not None and run_dir is None and _current is not None and _current.node.name == name:
        return _current.node
    return Node.named(name or "default", run_dir)
