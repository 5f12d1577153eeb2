"""What processes use, as /proc says: memory of their own, and time on a processor."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["cpu_seconds", "descendants", "private_bytes"]


def descendants(pid: int) -> list[int]:
    """The processes below this one, and itself."""
    below: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (parent := _parent(int(entry))) is not None:
            below.setdefault(parent, []).append(int(entry))
    found = [pid]
    for one in found:
        found.extend(below.get(one, ()))
    return found


def _parent(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name is in parentheses, and may hold anything.
    return int(text.rpartition(")")[2].split()[1])


def private_bytes(pid: int) -> int:
    """The memory that this process shares with no other: what would be free if it ended."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def cpu_seconds(pids: Iterable[int]) -> float:
    """How long these processes have been on a processor; see sched-stats of the kernel."""
    threads = (path for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(path.read_text().split()[0]) for path in threads) / 1e9
