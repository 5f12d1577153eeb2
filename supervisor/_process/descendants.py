"""Every process below this one, by proc(5): for an end that waits for nobody."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass

__all__ = ["Found", "all_processes", "end_descendants", "kill_descendants"]

# What was killed is gone within milliseconds, unless the kernel holds it.
_PATIENCE = 2.0
_PAUSE = 0.002


@dataclass(frozen=True, slots=True)
class Found:
    """A process, as proc(5) shows it; ``started`` is in clock ticks since the system was booted."""

    pid: int
    parent: int
    group: int
    session: int
    started: int
    is_gone: bool


def kill_descendants() -> int:
    """SIGKILL to each process that this one's children, and theirs, have started.

    Spared is what has made a session of its own, as daemons do, and what is in this process's own
    group: every process of a tree leads one.

    Returns:
        How many were there; 0 where the system does not tell.
    """
    own_group, own_session = os.getpgrp(), os.getsid(0)
    killed = 0
    for found in _descendants(os.getpid()):
        if found.session == own_session and found.group != own_group and not found.is_gone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGKILL)
            killed += 1
    return killed


def end_descendants() -> None:
    """Kill them until none is left, and reap those that come to this process; see subreapers."""
    until = time.monotonic() + _PATIENCE
    while kill_descendants() and time.monotonic() < until:
        time.sleep(_PAUSE)
        _reap()
    _reap()


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            continue


def _descendants(pid: int) -> list[Found]:
    below: dict[int, list[Found]] = {}
    for found in all_processes():
        below.setdefault(found.parent, []).append(found)
    line = list(below.get(pid, ()))
    for found in line:
        line += below.get(found.pid, ())
    return line


def all_processes() -> list[Found]:
    """Every process there is; none where the system does not tell."""
    try:
        entries = os.listdir("/proc")
    except FileNotFoundError:
        return []
    return [found for entry in entries if entry.isdigit() and (found := _read(int(entry)))]


def _read(pid: int) -> Found | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            # The name, in parentheses, may hold anything.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    state, parent, group, session = fields[:4]
    is_gone = state in (b"Z", b"X")
    return Found(pid, int(parent), int(group), int(session), int(fields[19]), is_gone)
