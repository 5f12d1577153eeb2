"""What a test leaves behind: processes, threads, descriptors, sockets."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from supervisor._node import resolve_run_dir
from supervisor.testing._processes import Proc, descendants, open_descriptors
from supervisor.testing._waiting import eventually

__all__ = ["LeakCheck"]

# What ends in the moments after a test is no leak.
_PATIENCE = 5.0


class LeakCheck:
    """Remembers what there is, to find out later what has been added.

    Processes are those below this one; an orphan is only seen where this process adopts it
    (PR_SET_CHILD_SUBREAPER). Sockets are those of nodes, in ``$REGROW_RUN_DIR`` or where nodes are
    without it. On Linux only: elsewhere, threads and sockets alone are seen.
    """

    def __init__(self) -> None:
        self._processes = _processes()
        self._descriptors = _descriptors()
        self._threads = set(threading.enumerate())
        self._sockets = _sockets()

    def expect_none(self, within: float = _PATIENCE) -> None:
        """Check that all that has come since is gone.

        Args:
            within: seconds that it may take.

        Raises:
            AssertionError: something is left; says what.
        """
        self._expect("processes", self._new_processes, within)
        self._expect("threads", self._new_threads, within)
        if self._new_descriptors():
            gc.collect()
        self._expect("descriptors", self._new_descriptors, within)
        self._expect("sockets", self._new_sockets, within)

    def _expect(self, what: str, left: Callable[[], Iterable[object]], within: float) -> None:
        try:
            eventually(lambda: not left(), within=within)
        except AssertionError:
            described = ", ".join(map(str, left()))
            raise AssertionError(f"{what} outlive the test: {described}") from None

    def _new_processes(self) -> list[str]:
        left = _processes(zombies=True) - self._processes
        if left and self._processes:
            # What stands below a process that was there is that one's business.
            left -= descendants(*(owner.pid for owner in self._processes), zombies=True)
        for process in left:
            # An orphan of the test's, which this process has adopted.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)
        return [f"{process.pid} ({process.command_line})" for process in left if process.is_alive]

    def _new_threads(self) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread not in self._threads]

    def _new_descriptors(self) -> list[str]:
        return [
            f"{number} ({what})"
            for number, what in _descriptors().items()
            if number not in self._descriptors
        ]

    def _new_sockets(self) -> set[Path]:
        # What a node that was there has opened is that node's business.
        nodes = {path.parent for path in self._sockets}
        return {path for path in _sockets() if path.parent not in nodes}


_HAS_PROC = Path("/proc/self/stat").exists()


def _processes(*, zombies: bool = False) -> set[Proc]:
    return descendants(zombies=zombies) if _HAS_PROC else set()


def _descriptors() -> dict[int, str]:
    return open_descriptors() if _HAS_PROC else {}


def _sockets() -> set[Path]:
    # Not by `rglob`: nodes of others come and go meanwhile, which `walk` passes over.
    return {
        path
        for folder, _, names in os.walk(resolve_run_dir(None))
        for path in (Path(folder, name) for name in names)
        if path.is_socket()
    }
