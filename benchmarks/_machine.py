"""The machine that was measured, for the header."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["describe", "machine"]


def machine(scratch: Path) -> dict[str, Any]:
    """What a reader has to know to compare numbers."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: version(name) for name in ("msgpack", "sqlalchemy", "dill")},
        "load": [round(load, 2) for load in os.getloadavg()],
        "scratch": f"{scratch} ({_file_system(scratch)})",
        "arguments": sys.argv[1:],
    }


def describe(facts: dict[str, Any]) -> str:
    """The header."""
    load = " ".join(f"{load:.2f}" for load in facts["load"])
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return (
        f"{facts['cores']} cores ({facts['processor']}), {facts['kernel']}, {facts['python']}\n"
        f"{versions}; load before the start {load}; files in {facts['scratch']}"
    )


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else "unknown"


def _file_system(folder: Path) -> str:
    """The type of the file system that holds a folder: where it is in memory, fsync is free."""
    best, found = "", "unknown"
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return found
    for mount in mounts:
        _, point, kind, *_ = mount.split()
        if len(point) >= len(best) and folder.resolve().is_relative_to(point):
            best, found = point, kind
    return found
