"""Which process groups a tree has: a table in memory that all of its supervisors share.

Each process of a tree leads a group, in which what it starts by itself is too. Its supervisor notes
it when it has started it, and strikes it out before it is reaped: so a number in the table means
that group, and not one that has come by the same number since.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterable

from supervisor._process.descendants import Found, all_processes

__all__ = ["ProcessGroups", "forget_group", "groups_to_kill", "note_group", "share_groups"]

_ENTRY = struct.Struct("=Q")
_TICKS = os.sysconf("SC_CLK_TCK")

# Where the system does not tell; it is the most that Linux has (proc_sys_kernel(5)).
_MOST_PIDS = 4 * 1024 * 1024


class ProcessGroups:
    """When the leader of each group was started, in clock ticks since the system was booted.

    There is an entry for each pid that there may be. What is not used is never given memory.
    """

    def __init__(self) -> None:
        self._most = _most_pids()
        self._table = mmap.mmap(-1, self._most * _ENTRY.size)

    def note(self, pid: int) -> None:
        """This process of the tree was just started."""
        self._write(pid, int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS) + 1)

    def forget(self, pid: int) -> None:
        """A process has ended, and is about to be reaped; it need not be one of the tree."""
        if self.noted(pid):
            self._write(pid, 0)

    def noted(self, pid: int) -> int:
        """The time by which the process of that pid was started; 0 if it is none of the tree."""
        if not 0 < pid < self._most:
            return 0
        started: int = _ENTRY.unpack_from(self._table, pid * _ENTRY.size)[0]
        return started

    def _write(self, pid: int, value: int) -> None:
        if 0 < pid < self._most:
            _ENTRY.pack_into(self._table, pid * _ENTRY.size, value)

    def kill(self, session: int) -> int:
        """SIGKILL to what is left of these groups, in that session; how many groups that were."""
        groups = groups_to_kill(all_processes(), self.noted, session)
        for group in groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        return len(groups)


def groups_to_kill(
    processes: Iterable[Found], noted: Callable[[int], int], session: int
) -> set[int]:
    """The groups of a tree in which somebody is left. Pure.

    A number that a later process has got is not taken for the group that had it before: that one
    was started later, and is its group's leader.

    Args:
        processes: those that there are.
        noted: the time by which the tree had started the process of a pid; 0 if it had not.
        session: the tree's: what has made one of its own, as daemons do, is spared.
    """
    found = [
        process
        for process in processes
        if process.session == session and not process.is_gone and noted(process.group)
    ]
    strangers = {
        process.group
        for process in found
        if process.pid == process.group and process.started > noted(process.pid)
    }
    return {process.group for process in found} - strangers


def _most_pids() -> int:
    try:
        with open("/proc/sys/kernel/pid_max", "rb") as file:
            return int(file.read()) + 1
    except (OSError, ValueError):
        return _MOST_PIDS


# Of the tree that this process is part of; None where there is no guard that would ask for it.
_groups: ProcessGroups | None = None


def share_groups() -> ProcessGroups | None:
    """Make a new table, for this process and all that are forked from it; None elsewhere."""
    global _groups  # noqa: PLW0603  a process is part of one tree
    _groups = ProcessGroups() if sys.platform == "linux" else None
    return _groups


def note_group(pid: int) -> None:
    """Note a process in the tree's table, if it has one."""
    if _groups is not None:
        _groups.note(pid)


def forget_group(pid: int) -> None:
    """Strike it out again."""
    if _groups is not None:
        _groups.forget(pid)
