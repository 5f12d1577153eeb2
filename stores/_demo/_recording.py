"""The client processes: started here, given commits, heard when they have recorded one."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ports import Session
from stores._demo._git import Commit, Repository

__all__ = ["RecorderDied", "Recorders"]

# One commit that it works at, and one that it finds when it is done with that.
_AHEAD = 2


class RecorderDied(Exception):
    """A client process ended before its work did: a bug of the demonstration."""


class _Recorder:
    def __init__(self, repository: Repository, node: str, run_dir: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "stores._demo._recorder", repository.path, node],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "REGROW_RUN_DIR": str(run_dir), "PYTHONPATH": _import_path()},
        )
        assert self._process.stdin is not None  # noqa: S101  they are pipes, as asked for
        assert self._process.stdout is not None  # noqa: S101
        self._input, self._output = self._process.stdin, self._process.stdout
        self.pid = self._process.pid
        # It has to start, and says when it has.
        self.at_work = 1
        self._unread = b""

    def fileno(self) -> int:
        return self._output.fileno()

    def give(self, session: Session, commit: Commit) -> None:
        work = {"session": session.to_map(), "commit": commit.to_map()}
        self.at_work += 1
        # A broken pipe is heard of where its reports end.
        with contextlib.suppress(BrokenPipeError):
            self._input.write(json.dumps(work).encode() + b"\n")
            self._input.flush()

    def hear(self) -> Iterator[dict[str, Any]]:
        """The reports that are there.

        Raises:
            RecorderDied: there will be no more.
        """
        data = os.read(self.fileno(), 65536)
        if not data:
            raise RecorderDied(f"the recorder with pid {self.pid} ended early")
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self.at_work -= 1
            yield json.loads(line)

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        self._output.close()
        self._process.wait()


class Recorders:
    """Several client processes, each with its own connections.

    Args:
        count: how many.
        repository: where the commits are that they will be given.
        node: whose store they record in.
        run_dir: where that node is.
    """

    def __init__(self, count: int, repository: Repository, node: str, run_dir: Path) -> None:
        self._recorders = [_Recorder(repository, node, run_dir) for _ in range(count)]
        self._selector = selectors.DefaultSelector()
        for recorder in self._recorders:
            self._selector.register(recorder, selectors.EVENT_READ, recorder)

    def wait(self) -> None:
        """Wait until all of them have nothing left to do, at first: until they have started.

        Raises:
            RecorderDied: one of them ended.
        """
        while self.at_work:
            self.hear(1.0)

    @property
    def at_work(self) -> int:
        """How many of them have a commit to record."""
        return sum(recorder.at_work > 0 for recorder in self._recorders)

    @property
    def has_room(self) -> bool:
        """Whether one of them takes a further commit."""
        return any(recorder.at_work < _AHEAD for recorder in self._recorders)

    def give(self, session: Session, commit: Commit) -> None:
        """Give a commit to the one that has least to do."""
        min(self._recorders, key=lambda recorder: recorder.at_work).give(session, commit)

    def hear(self, timeout: float) -> list[dict[str, Any]]:
        """The reports that come within so many seconds; as soon as there is one.

        Raises:
            RecorderDied: one of them ended.
        """
        ready = self._selector.select(timeout)
        return [report for key, _ in ready for report in key.data.hear()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._selector.close()
        for recorder in self._recorders:
            recorder.close()


def _import_path() -> str:
    """Where this package is found, for a process that may run in another folder."""
    here = str(Path(__file__).parents[2])
    inherited = os.environ.get("PYTHONPATH")
    return f"{here}{os.pathsep}{inherited}" if inherited else here
