"""Which processes and descriptors there are; see proc(5)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Proc", "all_gone", "descendants", "open_descriptors", "proc"]


@dataclass(frozen=True, order=True)
class Proc:
    """One process: a pid alone may be another's by now, so it comes with its start time."""

    pid: int
    started: int

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        fields = _stat(self.pid)
        return fields is not None and int(fields[19]) == self.started and fields[0] not in "ZX"

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal it, if it is still there."""
        if self.is_alive:
            os.kill(self.pid, number)

    @property
    def cpu_ticks(self) -> int:
        """How much processor time it has used."""
        fields = _stat(self.pid)
        if fields is None:
            raise AssertionError(f"process {self.pid} is gone")
        return int(fields[11]) + int(fields[12])

    @property
    def name(self) -> str:
        """What ps(1) calls it; empty if it is gone."""
        try:
            with open(f"/proc/{self.pid}/comm", "rb") as file:
                return file.read().decode("utf-8", "replace").rstrip("\n")
        except OSError:
            return ""

    @property
    def command_line(self) -> str:
        """For messages."""
        try:
            with open(f"/proc/{self.pid}/cmdline", "rb") as file:
                return file.read().replace(b"\0", b" ").decode("utf-8", "replace")[:200]
        except OSError:
            return "?"


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/pid/stat behind the name, from the state on."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.read().rpartition(b")")[2].decode().split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def proc(pid: int | None) -> Proc:
    """The process that has this pid now.

    Raises:
        AssertionError: there is none.
    """
    fields = None if pid is None else _stat(pid)
    if pid is None or fields is None:
        raise AssertionError(f"there is no process {pid}")
    return Proc(pid, int(fields[19]))


def descendants(*pids: int, zombies: bool = False) -> set[Proc]:
    """The processes below these (by default, below this one)."""
    if not pids and not _has_children():
        return set()
    below: dict[int, list[Proc]] = {}
    for entry in os.listdir("/proc"):
        fields = _stat(int(entry)) if entry.isdigit() else None
        if fields is not None and (zombies or fields[0] not in "ZX"):
            below.setdefault(int(fields[1]), []).append(Proc(int(entry), int(fields[19])))
    return {found for pid in pids or (os.getpid(),) for found in _walk(below, pid)}


def _has_children() -> bool:
    """Whether there is anything below this process: much cheaper than to look at all processes."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _walk(below: dict[int, list[Proc]], pid: int) -> Iterator[Proc]:
    for child in below.get(pid, []):
        yield child
        yield from _walk(below, child.pid)


def all_gone(processes: set[Proc]) -> bool:
    """Whether none of them runs any more."""
    return not any(process.is_alive for process in processes)


def open_descriptors() -> dict[int, str]:
    """This process's descriptors, and what they are."""
    found = {}
    for entry in os.listdir("/proc/self/fd"):
        try:
            found[int(entry)] = os.readlink(f"/proc/self/fd/{entry}")
        except OSError:
            continue
    return found
