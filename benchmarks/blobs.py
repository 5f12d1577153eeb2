"""64 MiB at once: written and read through the composite, beside a plain file."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks._harness import Samples, interleave
from benchmarks._report import Bar, Line, Report, Settings, latency_line
from benchmarks._trees import client_of, composite_of, in_files, in_memory, running
from ports import ArtifactStore

__all__ = ["TITLE", "measure"]

TITLE = "64 MiB at once, ms"

_SIZE = 64 * 1024 * 1024

_SPEED = Bar(">=", 0.8, "ratio")

_WRITE, _READ = "plain write + fsync + rename", "plain read"


def measure(settings: Settings) -> Report:
    """Measure it."""
    data = os.urandom(_SIZE)
    children = [in_memory(), in_files(settings.scratch), composite_of("sessions", "artifacts")]
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(children, settings.scratch))
        store = stack.enter_context(client_of("store", ArtifactStore))
        path = settings.scratch / "plain"
        candidates: dict[str, Callable[[], object]] = {
            _WRITE: lambda: _write(path, data),
            "put through the composite": lambda: store.put("blob", data),
            _READ: lambda: _read(path),
            "get through the composite": lambda: store.get("blob"),
            "view through the composite": lambda: store.view("blob"),
        }
        for prepare in candidates.values():
            prepare()
        if store.get("blob") != data or bytes(store.view("blob")) != data:
            raise AssertionError("what was stored is not what was given")
        measured = interleave(
            {name: _timed(operation) for name, operation in candidates.items()},
            rounds=settings.pick(31, 7),
            warmups=2,
            progress=lambda done, of: settings.progress("blobs", done, of),
        )
    return Report("blobs", TITLE, _lines(measured), _notes(measured))


def _timed(operation: Callable[[], object]) -> Callable[[], Samples]:
    def once() -> Samples:
        began = time.monotonic()
        result = operation()
        taken = time.monotonic() - began
        # Giving the memory back is the same for everybody, and not what is measured.
        del result
        return [1e3 * taken]

    return once


def _write(path: Path, data: bytes) -> None:
    """What a careful program does to replace a file: readers see the old bytes or the new."""
    temporary = path.with_suffix(".new")
    with temporary.open("wb", buffering=0) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    temporary.replace(path)


def _read(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        return file.readall()


def _lines(measured: dict[str, list[Samples]]) -> list[Line]:
    written, read = (_WRITE, measured[_WRITE]), (_READ, measured[_READ])
    compared = {
        "put through the composite": (written, _SPEED),
        "get through the composite": (read, _SPEED),
        "view through the composite": (read, Bar("<=", 1)),
    }
    lines = []
    for name, rounds in measured.items():
        if name in compared:
            baseline, bar = compared[name]
            lines.append(
                latency_line(name, "ms", rounds, baseline=baseline, bars=[bar], as_speed=True)
            )
        else:
            lines.append(latency_line(name, "ms", rounds))
    return lines


def _notes(measured: dict[str, list[Samples]]) -> tuple[str, ...]:
    return (
        f"{len(measured[_READ])} rounds, in turn; both read what is in the page cache",
        "a ratio says how many times as fast it is",
        "each put replaces a file, whose space the store lets be freed after its answer",
    )
