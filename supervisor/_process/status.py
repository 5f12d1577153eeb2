"""What the kernel says of a process; see proc(5)."""

from __future__ import annotations

import os
import sys

__all__ = ["IS_KNOWN", "process_state", "resident_bytes"]

# Whether this system tells.
IS_KNOWN = sys.platform == "linux"

_PAGE = os.sysconf("SC_PAGE_SIZE")


def process_state(pid: int) -> str:
    """Its state, as one letter: R, S, D, T, t or Z; ``?`` where that cannot be known."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.read().rpartition(b")")[2].split()[0].decode()
    except OSError:
        return "?"


def resident_bytes(pid: int) -> int | None:
    """The memory that it holds, shared pages included; None where that cannot be known."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return None
