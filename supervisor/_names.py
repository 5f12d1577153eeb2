"""Names and groups of a node: the table that the registry answers from. Pure.

The registry process changes its table by operations, and the root process, which starts the next
registry when one dies, applies the same operations to a copy: so they must give the same result
wherever they are applied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from supervisor._errors import BadCall, NameTaken
from supervisor._node import ProcessPath

__all__ = ["Entry", "Names", "is_name"]


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
    # The members of each group by name, in the order they joined, and when that was.
    groups: dict[str, dict[str, float]] = field(default_factory=dict)

    def apply(self, operation: str, args: list[Any]) -> Any:
        """Carry out an operation that changes the table.

        Raises:
            NameTaken: as the operation says.
            BadCall: there is no such operation, or these are no arguments for it.
        """
        change, *checks = _CHANGES.get(operation, (None,))
        if change is None or not isinstance(args, list) or len(args) != len(checks):
            raise BadCall(f"{operation!r} with {args!r:.100} is no change of the names")
        for argument, check in zip(args, checks, strict=True):
            if not check(argument):
                raise BadCall(f"{operation}: {argument!r:.100} is not what is wanted there")
        return change(self, *args)

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
        for entry in self.entries.values():
            if _is_below(entry.path, path) and len(entry.path) == len(path) + 1:
                entry.stopped = False
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

    def died(self, path: list[str], moment: float) -> None:
        """The process at this path, and those below it, died then: they are members no longer.

        Its next run may have joined since, so it counts who had joined before.
        """
        for name, entry in self.entries.items():
            if _is_at_or_below(entry.path, tuple(path)):
                for group in [group for group, when in self.groups.items() if name in when]:
                    if self.groups[group][name] < moment:
                        self.leave(group, name)

    def register(self, name: str, path: list[str], kind: str) -> None:
        """A further name for the process at this path.

        Raises:
            NameTaken: a process has it, be it this one.
        """
        if name in self.entries:
            raise NameTaken(name)
        self.entries[name] = Entry(tuple(path), kind)

    def unregister(self, name: str) -> None:
        """The name is free again; that it was not taken is no error."""
        self._remove(name)

    def join(self, group: str, name: str, moment: float) -> None:
        """The process of that name is a member of the group, from that time on.

        Raises:
            BadCall: there is no such name.
        """
        if name not in self.entries:
            raise BadCall(f"group {group!r} can only be joined under a name, and {name!r} is none")
        self.groups.setdefault(group, {})[name] = moment

    def leave(self, group: str, name: str) -> None:
        """It no longer is; that it was none is no error."""
        members = self.groups.get(group, {})
        members.pop(name, None)
        if not members:
            self.groups.pop(group, None)

    def lookup(self, name: str) -> Entry | None:
        """Where a name leads; None where nobody answers."""
        entry = self.entries.get(name)
        return None if entry is None or entry.stopped else entry

    def members(self, group: str) -> list[str]:
        """The names of the members of a group that can be called."""
        return [name for name in self.groups.get(group, ()) if self.lookup(name) is not None]

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


# What the arguments of changes must be: they come out of other processes.


def is_name(value: object) -> bool:
    """Whether this is a name of a process, or of a group."""
    return isinstance(value, str) and 1 <= len(value) <= 255


def _is_path(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


def _is_child(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    child_id, name, kind = value
    return is_name(child_id) and (name is None or is_name(name)) and isinstance(kind, str)


def _are(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _is_moment(value: object) -> bool:
    return isinstance(value, float)


def _is_kind(value: object) -> bool:
    return isinstance(value, str)


# Each change, and what its arguments must be.
_CHANGES: dict[str, tuple[Any, ...]] = {
    "publish": (Names.publish, _is_path, _are(_is_child)),
    "reserve": (Names.reserve, _is_path, _is_child, _are(is_name)),
    "stop": (Names.stop, _is_path),
    "resume": (Names.resume, _is_path),
    "died": (Names.died, _is_path, _is_moment),
    "forget": (Names.forget, _is_path),
    "register": (Names.register, is_name, _is_path, _is_kind),
    "unregister": (Names.unregister, is_name),
    "join": (Names.join, is_name, is_name, _is_moment),
    "leave": (Names.leave, is_name, is_name),
}
