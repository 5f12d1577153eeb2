"""What tests of real processes need: to wait without sleeping blindly, and to know who lives."""

from __future__ import annotations

from pathlib import Path

from supervisor._process.deathsig import adopt_orphans
from supervisor.testing import eventually
from supervisor.testing._processes import Proc, all_gone, descendants, open_descriptors, proc
from supervisor.testing._waiting import PATIENCE

__all__ = [
    "PATIENCE",
    "Proc",
    "adopt_orphans",
    "all_gone",
    "descendants",
    "eventually",
    "members",
    "open_descriptors",
    "proc",
    "standbys",
]


def standbys(*pids: int) -> set[Proc]:
    """Those of the processes below these that wait to become a child of their supervisor."""
    return {found for found in descendants(*pids) if _name(found.pid) == "standby"}


def members(*pids: int, zombies: bool = False) -> set[Proc]:
    """The processes below these but for the standbys, which are no children yet."""
    everyone = descendants(*pids, zombies=zombies)
    return {found for found in everyone if _name(found.pid) != "standby"}


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
