"""From kill -9 to the next answered call."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from multiprocess import get_context

from benchmarks._harness import Samples, interleave
from benchmarks._report import Bar, Line, Report, Settings, latency_line
from benchmarks._trees import client_of, composite_of, in_files, in_memory, in_sqlite, running
from ports import SessionStore
from supervisor import SupervisorRef

__all__ = ["TITLE", "measure"]

TITLE = "kill -9 to the next answered call, ms"

_BARE = "bare fork to its first byte"
_BARS = {
    "in memory": (Bar("<=", 5), Bar("<=", 25, "p99")),
    "SQLAlchemy, SQLite": (Bar("<=", 8), Bar("<=", 25, "p99")),
    "composite": (),
}

# So long after a restart is the next kill: a process is not killed while it is still being born.
_PAUSE = 0.01


def measure(settings: Settings) -> Report:
    """Measure it."""
    with _kills(settings) as kills:
        measured = interleave(
            {name: _call_after(kill) for name, kill in kills.items()},
            rounds=settings.pick(100, 20),
            warmups=3,
            progress=lambda done, of: settings.progress("restart", done, of),
        )
        bare = measured.pop(_BARE)
        lines = [latency_line(_BARE, "ms", bare)]
        for name, rounds in measured.items():
            lines.append(latency_line(name, "ms", rounds, baseline=(_BARE, bare), bars=_BARS[name]))
        for name in ("in memory", "SQLAlchemy, SQLite"):
            lines.extend(_phases(settings, name, kills[name]))
    notes = (
        f"{len(bare)} kills of each, in turn; a caller that has a connection calls at once",
        "phases, of other kills: the process is gone; its successor is forked; a call is answered",
    )
    return Report("restart", TITLE, lines, notes)


class _Victim:
    """A child that is killed again and again, and a client of it."""

    def __init__(self, tree: SupervisorRef, child: str, client: SessionStore) -> None:
        self._tree = tree
        self._child = child
        self._client = client
        client.get_latest_sequence("none")

    def kill(self) -> float:
        """Kill it; return when that was."""
        time.sleep(_PAUSE)
        pid = self._tree.child(self._child).pid
        began = time.monotonic()
        os.kill(_expected(pid), signal.SIGKILL)
        return began

    def answer(self) -> float:
        """Call it; return when it has answered."""
        self._client.get_latest_sequence("none")
        return time.monotonic()

    def phases(self) -> tuple[float, float, float]:
        """Milliseconds from a kill to the death, to the fork, and to the next answer."""
        time.sleep(_PAUSE)
        pid = _expected(self._tree.child(self._child).pid)
        watch = os.pidfd_open(pid)
        try:
            wall, began = datetime.now(UTC), time.monotonic()
            os.kill(pid, signal.SIGKILL)
            select.select([watch], [], [])
            died = time.monotonic() - began
            answered = self.answer() - began
        finally:
            os.close(watch)
        forked = (self._started_at() - wall).total_seconds()
        return 1e3 * died, 1e3 * (forked - died), 1e3 * (answered - forked)

    def _started_at(self) -> datetime:
        for child in self._tree.which_children():
            if child.id == self._child and child.started_at is not None:
                return child.started_at
        raise RuntimeError("a child that has answered does not run")


def _expected(pid: int | None) -> int:
    if pid is None:
        raise RuntimeError("a child that has answered does not run")
    return pid


@contextlib.contextmanager
def _kills(settings: Settings) -> Iterator[dict[str, _Victim | None]]:
    """The tree, and by name what is killed in it; None for the baseline."""
    children = [
        in_memory(),
        in_sqlite(settings.scratch),
        in_files(settings.scratch),
        composite_of("sessions", "artifacts"),
    ]
    with contextlib.ExitStack() as stack:
        tree = stack.enter_context(running(children, settings.scratch))

        def victim(name: str) -> _Victim:
            client = stack.enter_context(client_of(name, SessionStore))
            return _Victim(tree, name, client)

        yield {
            _BARE: None,
            "in memory": victim("sessions"),
            "SQLAlchemy, SQLite": victim("sqlite"),
            "composite": victim("store"),
        }


def _call_after(victim: _Victim | None) -> Callable[[], Samples]:
    if victim is None:
        return _bare_fork
    return lambda: [1e3 * (-victim.kill() + victim.answer())]


_context = get_context("fork")


def _bare_fork() -> Samples:
    """A fork of this process, which has imported as much, until it has sent a byte."""
    ours, theirs = _context.Pipe()
    with ours, theirs:
        began = time.monotonic()
        process = _context.Process(target=theirs.send_bytes, args=(b"x",))
        process.start()
        ours.recv_bytes()
        taken = time.monotonic() - began
        process.join()
        process.close()
    return [1e3 * taken]


def _phases(settings: Settings, name: str, victim: _Victim | None) -> list[Line]:
    if victim is None:
        return []
    found = [victim.phases() for _ in range(settings.pick(50, 10))]
    return [
        latency_line(f"  {name}: {phase}", "ms", [[taken] for taken in phases])
        for phase, phases in zip(
            ("gone", "forked", "answered"), zip(*found, strict=True), strict=True
        )
    ]
