"""The registry: a server process of the node that knows who is called what.

It is started before the tree's first child, by the root process, which also keeps a copy of its
table: each change is written to the control pipe before it is answered, so that a registry that
dies leaves nothing behind that its successor does not know.
"""

from __future__ import annotations

import time
from typing import Any

from supervisor._client.casts import Casts
from supervisor._client.delivery import Target
from supervisor._client.requests import notification
from supervisor._context import current
from supervisor._errors import BadCall, NoProcess, SupervisorError
from supervisor._names import Entry, Names, is_name
from supervisor._node import Node
from supervisor._operation import idempotent
from supervisor._process.control import ControlPipe
from supervisor._refs import Ref, SupervisorRef
from supervisor._server.server import Server, runtime

__all__ = ["Registry"]


class Registry(Server):
    """Who is called what, in one node. Every supervisor tells it of its children."""

    replies_with = (SupervisorError,)

    def __init__(self, names: Names, control: ControlPipe) -> None:
        self._names = names
        self._control = control
        self._casts: Casts | None = None

    def register(self, name: str, ref: Ref) -> None:
        """Give a process a further name.

        Args:
            name: 1 to 255 characters.
            ref: of the process; it leads there until the process is gone for good.

        Raises:
            NameTaken: another process has it.
            NoProcess: the ref is of a name that does not exist.
            BadCall: these are no name and ref.
        """
        _check_name(name)
        if not isinstance(ref, Ref) or ref.target.node.folder != self._node.folder:
            raise BadCall(f"a ref of a process of this node is wanted, not {ref!r}")
        path, kind = ref.target.path, _kind_of(ref)
        if path is None:
            entry = self._names.lookup(ref.target.name or "")
            if entry is None:
                raise NoProcess(f"{ref.target} does not exist")
            path, kind = entry.path, entry.kind
        self._change("register", [name, list(path), kind])

    @idempotent
    def unregister(self, name: str) -> None:
        """Free a name; that it was not taken is no error."""
        self._change("unregister", [name])

    @idempotent
    def whereis(self, name: str) -> Ref | None:
        """The process of that name; None where there is none, or where it is stopped."""
        _check_name(name)
        entry = self._names.lookup(name)
        return None if entry is None else _ref(self._node, name, entry)

    @idempotent
    def names(self, prefix: str = "") -> list[str]:
        """The names that begin so, sorted; those of stopped processes too."""
        if not isinstance(prefix, str):
            raise BadCall(f"a prefix is a string, not {prefix!r}")
        return sorted(name for name in self._names.entries if name.startswith(prefix))

    @idempotent
    def lookup(self, name: str) -> list[Any] | None:
        """Where a name leads, as path and kind: what clients ask when they connect."""
        _check_name(name)
        entry = self._names.lookup(name)
        return None if entry is None else [list(entry.path), entry.kind]

    @idempotent
    def join(self, group: str, name: str) -> None:
        """Make the process of that name a member of a group; it leaves when it dies.

        Raises:
            BadCall: there is no such name.
        """
        self._change("join", [group, name, time.monotonic()])

    @idempotent
    def leave(self, group: str, name: str) -> None:
        """Make it no longer one; that it was none is no error."""
        self._change("leave", [group, name])

    @idempotent
    def members(self, group: str) -> list[Ref]:
        """The members of a group, in the order they joined; none where there is no such group."""
        _check_name(group)
        return [
            _ref(self._node, name, self._names.entries[name]) for name in self._names.members(group)
        ]

    def broadcast(self, group: str, operation: str, *args: Any) -> int:
        """Cast an operation to each member of a group, and wait for none of them.

        Returns:
            How many it was sent to. One that has died since, or that does not read what it was sent
            before, is not among them.
        """
        _check_name(group)
        data = notification(operation, args, {})
        casts = self._own_casts()
        members = self._names.members(group)
        return sum(casts.send(self._names.entries[name].path, data) for name in members)

    def _own_casts(self) -> Casts:
        process = runtime()
        if process is None:
            raise SupervisorError("the registry runs in a node only")
        if self._casts is None:
            self._casts = Casts(process.loop, self._node)
        return self._casts

    @idempotent
    def change(self, operation: str, args: list[Any]) -> None:
        """A supervisor's news of its children; see Names.

        Raises:
            NameTaken: another process has a name.
            BadCall: there is no such change.
        """
        if operation not in ("publish", "reserve", "stop", "resume", "died", "forget"):
            raise BadCall(f"{operation!r} is no news of a supervisor")
        self._change(operation, args)

    def _change(self, operation: str, args: list[Any]) -> None:
        self._names.apply(operation, args)
        self._control.send("journal", operation, args)

    @property
    def _node(self) -> Node:
        identity = current()
        if identity is None:
            raise SupervisorError("the registry runs in a node only")
        return identity.node


def _ref(node: Node, name: str, entry: Entry) -> Ref:
    return (SupervisorRef if entry.kind == "supervisor" else Ref)(Target(node, name=name))


def _check_name(name: object) -> None:
    if not is_name(name):
        raise BadCall(f"a name is a string of 1 to 255 characters, not {name!r:.100}")


def _kind_of(ref: Ref) -> str:
    return "supervisor" if isinstance(ref, SupervisorRef) else "server"
