"""When a supervisor has a standby: a process that becomes the next child which is restarted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable

from supervisor._driver.rehearsal import rehearse
from supervisor._loop import Reactor
from supervisor._node import Node, ProcessPath
from supervisor._process.launch import Main, Plan, Process, safe_method
from supervisor._process.standby import Standby
from supervisor._spec import Child
from supervisor._supervisor import ChildSpec

__all__ = ["Standbys"]

logger = logging.getLogger("supervisor")

# After a start there are better things to do. After a restart, whoever waits for the new process is
# to be answered first, and those that ended together are restarted before the next end is thought
# of.
_AFTER_START = 1.0
_AFTER_RESTART = 0.0015

# One that was killed is replaced with a pause: what has killed it may kill the next. And where no
# child is left, one may be on its way.
_AFTER_END = 1.0


class Standbys:
    """Keeps one process ready for the next restart, while there is a child that may need it.

    Args:
        loop: the supervisor's.
        node: the node.
        path: of the supervisor.
        main: what a child's process does.
        specs: gives the children that there are now.
    """

    def __init__(
        self,
        loop: Reactor,
        node: Node,
        path: ProcessPath,
        main: Main,
        specs: Callable[[], list[ChildSpec]],
    ) -> None:
        self._loop = loop
        self._node = node
        self._path = path
        self._main = main
        self._specs = specs
        self._standby: Standby | None = None
        # Those that are dying: it takes a moment until they can be reaped.
        self._ending: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._pause = _AFTER_START

    def become(self, plan: Plan) -> Process | None:
        """Have the standby be the child of the plan; None where it cannot."""
        if plan.state:
            # It has run before: this is a restart, and where there is one, there may be more.
            self._pause = _AFTER_RESTART
        standby = self._standby
        if standby is None or not standby.can_become(plan.spec):
            return None
        self._standby = None
        process = standby.become(plan)
        if process is None:
            self._ending.add(standby.pid)
        return process

    def prepare(self) -> None:
        """A child has been started: see to it that the next restart is fast, but not at once."""
        self._schedule(self._pause)

    def reconsider(self) -> None:
        """There is no child's process left: see later whether a standby is still needed."""
        self._schedule(_AFTER_END)

    def has_ended(self, pid: int) -> bool:
        """Whether the process of this pid, which was just reaped, was a standby."""
        if pid in self._ending:
            self._ending.discard(pid)
            return True
        if self._standby is None or self._standby.pid != pid:
            return False
        self._standby.forget()
        self._standby = None
        self._schedule(_AFTER_END)
        return True

    def close(self) -> None:
        """Have none from now on."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._end()

    def wait(self) -> None:
        """Wait until the last one is gone, once it was closed."""
        for pid in self._ending:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def _schedule(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._closed:
            self._timer = self._loop.call_later(seconds, self._renew)

    def _renew(self) -> None:
        """Have one that knows every child, if there is one to know."""
        specs = {spec.id: spec for spec in self._specs() if _is_restarted_by_fork(spec)}
        if self._standby and specs and all(map(self._standby.can_become, specs.values())):
            return
        self._end()
        if not specs or safe_method() != "fork":
            return
        try:
            self._standby = Standby(self._node, self._path, specs, self._main, rehearse)
        except OSError as error:
            # Nothing is lost but time: a restart will try for itself.
            logger.debug("no process can be forked ahead of time: %s", error)

    def _end(self) -> None:
        if self._standby is not None:
            self._standby.end()
            self._ending.add(self._standby.pid)
            self._standby = None


def _is_restarted_by_fork(spec: ChildSpec) -> bool:
    if spec.restart == "temporary" or spec.kind == "command":
        return False
    return not isinstance(spec, Child) or spec.start_method in (None, "fork")
