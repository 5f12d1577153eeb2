"""The watchdog: a server whose loop does not turn in time shows its stacks, and is condemned."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any

from supervisor._driver.children import Running
from supervisor._loop import Reactor
from supervisor._node import ProcessPath
from supervisor._process.status import process_state
from supervisor._server.heart import BEATS, DUMP_SIGNAL
from supervisor._spec import Child
from supervisor._traceback import without_runtime

__all__ = ["Watchdog"]

logger = logging.getLogger("supervisor")

# The stacks are written within milliseconds, unless the process cannot run at all: how often, and
# with how many seconds between, their file is looked at.
_LOOKS, _LOOK_SECONDS = 50, 0.01

# More of the stacks than these bytes goes into no log.
_MOST_STACKS = 64 * 1024

_STATES = {
    "T": "it is stopped by a signal, and a stopped process shows no stacks",
    "t": "it is stopped by a debugger, and a stopped process shows no stacks",
    "D": "it waits in the kernel, and shows no stacks",
}


class Watchdog:
    """Listens for the beats of those servers that are to be watched.

    Args:
        loop: the supervisor's.
        path: the supervisor's.
        condemn: is called with a server that has to go.
    """

    def __init__(
        self, loop: Reactor, path: ProcessPath, condemn: Callable[[Running], None]
    ) -> None:
        self._loop = loop
        self._path = path
        self._condemn = condemn
        self._watches: dict[Running, _Watch] = {}

    def hear(self, running: Running, kind: str, args: list[Any]) -> bool:
        """Take note of what a server says; whether it was meant for the watchdog."""
        watch = self._watches.get(running)
        match kind:
            case "beat":
                if watch is not None:
                    watch.heard = self._loop.time()
            case "ending":
                if watch is not None:
                    watch.let_end()
            case "watched":
                self._begin(running, *args)
            case _:
                return False
        return True

    def forget(self, running: Running) -> None:
        """Its process is gone."""
        watch = self._watches.pop(running, None)
        if watch is not None:
            watch.close()

    def _begin(self, running: Running, stacks: int) -> None:
        if not isinstance(running.spec, Child) or running.spec.watchdog is None:
            os.close(stacks)
            return
        self._watches[running] = _Watch(
            self._loop, running, running.spec.watchdog, stacks, self._is_hung
        )

    def _is_hung(self, watch: _Watch) -> None:
        running = watch.running
        pid = running.process.pid
        path = (*self._path, running.spec.id)
        extra = {"path": path, "child": running.spec.id, "pid": pid, "reason": "watchdog"}
        logger.error(
            "%s (pid %d): its loop has not turned for %g s\n%s",
            "/".join(path),
            pid,
            watch.limit,
            watch.evidence(),
            extra=extra,
        )
        self._condemn(running)


class _Watch:
    """One server: when it was heard of last, and what becomes of it when that is too long ago."""

    def __init__(
        self,
        loop: Reactor,
        running: Running,
        limit: float,
        stacks: int,
        is_hung: Callable[[_Watch], None],
    ) -> None:
        self.running = running
        self.limit = limit
        self.heard = loop.time()
        self._loop = loop
        self._stacks = stacks
        self._is_hung = is_hung
        self._timer: asyncio.TimerHandle | None = None
        self._wait_until(self.heard + limit)

    def let_end(self) -> None:
        """The server ends: that its loop turns no more is in order, as long as its spec allows."""
        self.heard = self._loop.time()
        shutdown = self.running.spec.shutdown
        if shutdown is None:
            self._cancel()
        elif isinstance(shutdown, (int, float)):
            self.limit = max(self.limit, shutdown)

    def evidence(self) -> str:
        """The stacks, or why there are none."""
        stacks = os.pread(self._stacks, _MOST_STACKS, 0).decode("utf-8", "replace").rstrip()
        state = process_state(self.running.process.pid)
        return without_runtime(stacks) or _STATES.get(
            state, f"it shows no stacks; its process is in state {state}"
        )

    def close(self) -> None:
        """Watch no more."""
        self._cancel()
        os.close(self._stacks)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait_until(self, due: float) -> None:
        self._timer = self._loop.call_at(due, self._look, due)

    def _look(self, due: float) -> None:
        now = self._loop.time()
        if now - due > self.limit / BEATS:
            # This process itself was held up, and maybe all others: that it has heard nothing of
            # the server meanwhile proves nothing.
            self.heard = now
        if self.heard + self.limit > now:
            self._wait_until(self.heard + self.limit)
        elif process_state(self.running.process.pid) in ("T", "t"):
            # Its signals, too, would wait until it goes on.
            self._is_hung(self)
        else:
            self.running.process.signal(DUMP_SIGNAL)
            self._await_stacks(_LOOKS, 0)

    def _await_stacks(self, looks: int, size_before: int) -> None:
        """Wait until the stacks are written: there are some, and no more have come."""
        size = os.fstat(self._stacks).st_size
        if (size and size == size_before) or not looks:
            self._is_hung(self)
            return
        self._timer = self._loop.call_later(_LOOK_SECONDS, self._await_stacks, looks - 1, size)
