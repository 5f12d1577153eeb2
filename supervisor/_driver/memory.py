"""The guard of ``max_rss``: a child that holds more memory than its spec allows is condemned."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from supervisor._driver.children import Running
from supervisor._loop import Reactor
from supervisor._node import ProcessPath
from supervisor._process.status import IS_KNOWN, resident_bytes
from supervisor._spec import Child
from supervisor._supervisor import ChildSpec

__all__ = ["MemoryGuard"]

logger = logging.getLogger("supervisor")

_SECONDS = 1.0

_MIB = 1024 * 1024


class MemoryGuard:
    """Looks every second, and only while there is somebody to look at.

    Args:
        loop: the supervisor's.
        path: the supervisor's.
        children: its processes.
        condemn: is called with one that has to go.
    """

    def __init__(
        self,
        loop: Reactor,
        path: ProcessPath,
        children: Iterable[Running],
        condemn: Callable[[Running], None],
    ) -> None:
        self._loop = loop
        self._path = path
        self._children = children
        self._condemn = condemn
        self._timer: asyncio.TimerHandle | None = None
        self._has_warned = False

    def watch(self, spec: ChildSpec) -> None:
        """Look at a child of this spec too, if that has a limit."""
        if _limit(spec) is None:
            return
        if IS_KNOWN:
            self._schedule()
        elif not self._has_warned:
            self._has_warned = True
            logger.warning("max_rss is not checked: there is no /proc to read it from")

    def close(self) -> None:
        """Look at nobody any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        for running in self._children:
            limit = _limit(running.spec)
            if limit is not None:
                self._check(running, limit)
                self._schedule()

    def _check(self, running: Running, limit: int) -> None:
        resident = resident_bytes(running.process.pid)
        if resident is None or resident <= limit or running.condemned is not None:
            return
        path = (*self._path, running.spec.id)
        pid = running.process.pid
        extra = {"path": path, "child": running.spec.id, "pid": pid, "reason": "max_rss"}
        logger.error(
            "%s (pid %d) holds %.1f MiB, and its max_rss is %.1f MiB",
            "/".join(path),
            pid,
            resident / _MIB,
            limit / _MIB,
            extra=extra,
        )
        self._condemn(running)


def _limit(spec: ChildSpec) -> int | None:
    return spec.max_rss if isinstance(spec, Child) else None
