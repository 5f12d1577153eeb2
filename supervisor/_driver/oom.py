"""Whether it was the kernel, out of memory, that killed a process: what there is to know of it."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["OutOfMemoryKills"]

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_MACHINE = Path("/proc/vmstat")

_COUNTER = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)


class OutOfMemoryKills:
    """Counts what the kernel's out-of-memory killer kills here.

    It counts in this process's cgroup or, where that has no counter, on the whole machine. The
    counter says that it has killed, not whom: so it is evidence, and called no more than that.

    Args:
        files: where the counter may be, the best place first; by default, where this system has
            it.
    """

    def __init__(self, files: list[Path] | None = None) -> None:
        self._file: Path | None = None
        self._known = 0
        for file in _places() if files is None else files:
            count = _count(file)
            if count is not None:
                self._file, self._known = file, count
                return

    def evidence(self) -> str | None:
        """What speaks for it that a process which was just killed was killed by the kernel."""
        count = None if self._file is None else _count(self._file)
        if count is None or count <= self._known:
            return None
        more, self._known = count - self._known, count
        where = "on this machine" if self._file == _MACHINE else "in this cgroup"
        processes = "a process" if more == 1 else f"{more} processes"
        return (
            f"the kernel ran out of memory and has killed {processes} {where} "
            f"(oom_kill {count} in {self._file})"
        )


def _places() -> list[Path]:
    """Where the counter may be; see cgroups(7) and proc(5)."""
    places = []
    try:
        lines = _OWN_CGROUPS.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, cgroup = line.split(":", 2)
        if not controllers:
            places.append(_CGROUPS / cgroup.lstrip("/") / "memory.events")
        elif "memory" in controllers.split(","):
            places.append(_CGROUPS / "memory" / cgroup.lstrip("/") / "memory.oom_control")
    return [*places, _MACHINE]


def _count(file: Path) -> int | None:
    try:
        found = _COUNTER.search(file.read_bytes())
    except OSError:
        return None
    return None if found is None else int(found[1])
