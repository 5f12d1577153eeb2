"""Names and groups of a node: the table that the registry answers from. Pure.

The registry process changes its table by operations, and the root process, which starts the next
registry when one dies, applies the same operations to a copy: so they must give the same result
wherever they are applied.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from supervisor._errors import BadCall, NameTaken
from supervisor._node import ProcessPath

__all__ = ["Entry", "Names"]


@dataclass(slots=True)
class Entry:
    """Where a name leads.

    Attributes:
        path: of the process.
        kind: of its child: ``server``, ``supervisor`` ...
        stopped: whether nobody answers: the name is only reserved.
    """

    path: ProcessPath
    kind: str
    stopped: bool = False


@dataclass(slots=True)
class Names:
    """The table."""

    entries: dict[str, Entry] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)

    def apply(self, operation: str, args: list[Any]) -> Any:
        """Carry out an operation that changes the table.

        Raises:
            NameTaken: as the operation says.
        """
        return _CHANGES[operation](self, *args)

    def publish(self, owner: list[str], children: list[list[Any]]) -> None:
        """A supervisor has started: these, as ``[id, name, kind]``, are all its children.

        Raises:
            NameTaken: somebody else has one of the names; nothing is changed.
        """
        path = tuple(owner)
        ids = {child[0] for child in children}
        gone = [
            name
            for name, entry in self.entries.items()
            if _is_below(entry.path, path) and entry.path[len(path)] not in ids
        ]
        self._check(
            [(name, (*path, child_id)) for child_id, name, _ in children if name is not None], gone
        )
        for name in gone:
            self._remove(name)
        for child_id, name, kind in children:
            if name is not None:
                self.entries[name] = Entry((*path, child_id), kind)

    def reserve(self, owner: list[str], child: list[Any], inner: list[str]) -> None:
        """A child, as ``[id, name, kind]``, is added; the names inside it must be free too.

        Raises:
            NameTaken: somebody else has one of the names; nothing is changed.
        """
        child_id, name, kind = child
        path = (*owner, child_id)
        for held in inner:
            entry = self.entries.get(held)
            if entry is not None and not _is_below(entry.path, path):
                raise NameTaken(held)
        if name is not None:
            self._check([(name, path)], [])
            self.entries[name] = Entry(path, kind)

    def stop(self, path: list[str]) -> None:
        """Nobody answers at this path, or below it, for now."""
        for entry in self.entries.values():
            if _is_at_or_below(entry.path, tuple(path)):
                entry.stopped = True

    def resume(self, path: list[str]) -> None:
        """Somebody answers there again."""
        for entry in self.entries.values():
            if entry.path == tuple(path):
                entry.stopped = False

    def forget(self, path: list[str]) -> None:
        """Nobody will ever answer at this path, or below it."""
        gone = [
            name for name, entry in self.entries.items() if _is_at_or_below(entry.path, tuple(path))
        ]
        for name in gone:
            self._remove(name)

    def register(self, name: str, path: list[str], kind: str) -> None:
        """A further name for the process at this path.

        Raises:
            NameTaken: somebody else has it.
        """
        self._check([(name, tuple(path))], [])
        self.entries[name] = Entry(tuple(path), kind)

    def unregister(self, name: str) -> None:
        """The name is free again; that it was not taken is no error."""
        self._remove(name)

    def join(self, group: str, name: str) -> None:
        """The process of that name is a member of the group.

        Raises:
            BadCall: there is no such name.
        """
        if name not in self.entries:
            raise BadCall(f"group {group!r} can only be joined under a name, and {name!r} is none")
        members = self.groups.setdefault(group, [])
        if name not in members:
            members.append(name)

    def leave(self, group: str, name: str) -> None:
        """It no longer is; that it was none is no error."""
        members = self.groups.get(group, [])
        if name in members:
            members.remove(name)
        if not members:
            self.groups.pop(group, None)

    def lookup(self, name: str) -> Entry | None:
        """Where a name leads; None where nobody answers."""
        entry = self.entries.get(name)
        return None if entry is None or entry.stopped else entry

    def members(self, group: str) -> list[str]:
        """The names of the members of a group that can be called."""
        return [name for name in self.groups.get(group, []) if self.lookup(name) is not None]

    def _check(self, wanted: list[tuple[str, ProcessPath]], gone: list[str]) -> None:
        for name, path in wanted:
            entry = self.entries.get(name)
            if entry is not None and entry.path != path and name not in gone:
                raise NameTaken(name)

    def _remove(self, name: str) -> None:
        self.entries.pop(name, None)
        for group in [group for group, members in self.groups.items() if name in members]:
            self.leave(group, name)


def _is_below(path: ProcessPath, above: ProcessPath) -> bool:
    return len(path) > len(above) and path[: len(above)] == above


def _is_at_or_below(path: ProcessPath, above: ProcessPath) -> bool:
    return path[: len(above)] == above


_CHANGES: dict[str, Any] = {
    "publish": Names.publish,
    "reserve": Names.reserve,
    "stop": Names.stop,
    "resume": Names.resume,
    "forget": Names.forget,
    "register": Names.register,
    "unregister": Names.unregister,
    "join": Names.join,
    "leave": Names.leave,
}
