"""The program of a client process: records commits through the name "store".

It writes an empty JSON line to standard output when it is there. It reads one JSON line a commit
from standard input, until that ends, and answers each with a line: how many calls it took, the
slowest, and those that failed.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ports import ArtifactStore, Session, SessionStore
from stores._demo._git import Change, Commit, Repository
from stores._demo._history import events_of, finished_run, patch_key, started_run
from supervisor import connect

__all__ = ["Recorder", "main"]

T = TypeVar("T")

# Events of a large commit go in batches; of a small one, each by itself.
_ALONE = 4
_BATCH = 25


class Recorder:
    """Records commits, and counts what it asks for.

    Args:
        repository: where the commits are.
        node: where the store is.
    """

    def __init__(self, repository: Repository, node: str) -> None:
        self._repository = repository
        self._sessions = connect("store", SessionStore, node=node)
        self._artifacts = connect("store", ArtifactStore, node=node)
        self._known: set[str] = set()
        self._calls = 0
        self._slowest = 0.0
        self._failed: list[str] = []

    def record(self, session: Session, commit: Commit) -> dict[str, Any]:
        """Record a commit; return the report of it."""
        self._calls, self._slowest, self._failed = 0, 0.0, []
        changes, patch = self._repository.diff(commit)
        if session.id not in self._known:
            self._call(self._sessions.save_session, session)
            self._known.add(session.id)
        self._call(self._sessions.save_run, started_run(commit))
        self._append(commit, changes)
        self._call(self._artifacts.put, patch_key(commit), patch)
        finished = finished_run(commit, changes, patch)
        self._call(self._sessions.save_run, finished)
        self._read_back("its run", finished, self._sessions.get_run, finished.id)
        self._read_back("its patch", patch, self._artifacts.get, patch_key(commit))
        return {
            "commit": commit.id,
            "events": len(changes),
            "bytes": len(patch),
            "calls": self._calls,
            "slowest": self._slowest,
            "failed": [f"{commit.id[:12]}: {failure}" for failure in self._failed],
        }

    def _append(self, commit: Commit, changes: list[Change]) -> None:
        events = events_of(commit, changes)
        for event in events[:_ALONE]:
            self._call(self._sessions.append_event_with_sequence, event)
        for start in range(_ALONE, len(events), _BATCH):
            self._call(self._sessions.append_events, events[start : start + _BATCH])

    def _call(self, operation: Callable[..., T], *args: Any) -> T | None:
        """One call, once: what fails is told, and not tried again here."""
        self._calls += 1
        begun = time.monotonic()
        try:
            return operation(*args)
        except Exception as error:  # noqa: BLE001  whatever it is, it breaks the promise
            self._failed.append(f"call {self._calls}: {type(error).__name__}: {error}"[:400])
            return None
        finally:
            self._slowest = max(self._slowest, time.monotonic() - begun)

    def _read_back(self, what: str, put: T, operation: Callable[..., T], id: str) -> None:
        """What was acknowledged is there at once, whoever has died since."""
        got = self._call(operation, id)
        if got is not None and got != put:
            self._failed.append(f"{what} was acknowledged, and then read back differently")


def main(path: str, node: str) -> None:
    """Record what standard input says, from the repository at this path, in that node's store."""
    # Ctrl-C is for the one who hands out the work, and whose end ends this too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    recorder = Recorder(Repository(path), node)
    print("{}", flush=True)
    for line in sys.stdin:
        work = json.loads(line)
        commit = Commit.from_map(work["commit"])
        report = recorder.record(Session.from_map(work["session"]), commit)
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
