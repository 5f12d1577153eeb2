"""A pool's process: the supervisor of its workers, which gives them what callers send.

It carries out what ``core`` decides. How workers are given something, and how they answer, is up to
its subclasses: the one of pools that carry out tasks, and the one of pools of servers.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import logging
import signal
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import msgpack

from supervisor._core.messages import (
    Abort,
    Action,
    Refuse,
    Reply,
    Report,
    StartChild,
    TerminateChild,
)
from supervisor._driver.children import Running
from supervisor._driver.supervisor_process import SupervisorProcess
from supervisor._exit import Exit
from supervisor._loop import end_of_turn
from supervisor._pool import actions as decisions
from supervisor._pool.core import Core
from supervisor._pool.spec import Pool, numbered
from supervisor._pool.tasks import Ending, Outcome, Task, Worker
from supervisor._server.endpoint import Connection
from supervisor._server.heart import DUMP_SIGNAL
from supervisor._supervisor import ChildSpec
from supervisor._wire.frames import Frame, FrameError, Header, close_all, read_header

__all__ = ["PoolProcess"]

logger = logging.getLogger("supervisor")

# Who asks for the changes that the pool itself wants.
_OWN = object()

# What a worker is given to write down its stacks in, before it is killed.
_DUMP_SECONDS = 0.05

# While a caller does not take its answers, it is looked at again after so many seconds.
_STUCK_PAUSE = 0.02


class PoolProcess(SupervisorProcess, ABC):
    """Runs one pool on a loop; see SupervisorProcess."""

    spec: Pool

    def __init__(self, spec: Pool, *args: Any, **options: Any) -> None:
        super().__init__(spec, *args, **options)
        self.core = Core(spec.limits)
        self.running: dict[str, Running] = {}
        self.task_ids = itertools.count(1)
        self._last_number = spec.limits.size
        self._soon = end_of_turn(self.loop)
        self._is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._endpoint.hand_to(self._receive)
        self._endpoint.on_closed = self._closed

    async def boot(self) -> None:
        """Import what workers are to have, and start them."""
        for name in self.spec.preload:
            try:
                importlib.import_module(name)
            except BaseException as error:  # noqa: BLE001  those who need it are told again
                logger.warning("%s cannot be preloaded: %r", name, error)
        await super().boot()

    def close(self) -> None:
        """Let go of the sockets."""
        if self._timer is not None:
            self._timer.cancel()
        super().close()

    # --- workers -------------------------------------------------------------------------------

    def _spawn(self, token: int, spec: ChildSpec) -> None:
        super()._spawn(token, spec)
        running = self.children.get(token)
        if running is None:
            self.drop_channel(spec.id)
            exit = Exit("error", error="no process could be started")
            self.core.worker_failed(None, exit, time.monotonic())
            self.schedule()
            return
        self.running[spec.id] = running
        self.core.worker_started(spec.id)

    def _child_ready(self, running: Running) -> None:
        super()._child_ready(running)
        if running.spec.id in self.running:
            self.core.worker_ready(running.spec.id, time.monotonic())
            self.schedule()

    def child_gone(self, running: Running, exit: Exit) -> None:
        """A worker's process is reaped."""
        id = running.spec.id
        worker = self.core.worker(id)
        if running.token < 0 or worker is None or self.running.get(id) is not running:
            super().child_gone(running, exit)
            return
        now = time.monotonic()
        exit, unbegun = self.last_words(worker, exit, now)
        self._name_culprit(running, worker, unbegun)
        del self.running[id]
        self.drop_channel(id)
        super().child_gone(running, exit)
        if worker.is_ready:
            self.core.worker_gone(id, exit, unbegun, now)
        else:
            self.core.worker_failed(id, exit, now)
        self.schedule()

    def _name_culprit(self, running: Running, worker: Worker, unbegun: list[int]) -> None:
        """Let the report of its end say which task the worker was at."""
        for task in worker.held:
            is_suspect = task.id not in unbegun and task.state != "settled"
            if is_suspect and running.words.operation is None:
                running.words.operation = f"task {task.name}"
                running.words.arguments = (
                    "" if not task.retries else f" (attempt {task.crashes + 1})"
                )

    @abstractmethod
    def last_words(self, worker: Worker, exit: Exit, now: float) -> tuple[Exit, list[int]]:
        """Hear what a worker that is gone has still said.

        Returns:
            How it ended, and which tasks it had been given and not begun.
        """

    @abstractmethod
    def drop_channel(self, id: str) -> None:
        """Let go of the connection to a worker."""

    def _report(self, report: Report) -> Callable[[], None]:
        worker = self.core.worker(report.id)
        if report.kind == "child_ended" and worker is not None and worker.ending is not None:
            # The pool's own doing; the task's caller is told.
            where = "/".join((*self.identity.path, report.id))
            return partial(logger.info, "%s was ended: %s", where, _WHY[worker.ending])
        return super()._report(report)

    # --- what callers say ----------------------------------------------------------------------

    def _receive(self, connection: Connection, frames: list[Frame]) -> None:
        for frame in frames:
            if connection.closed:
                close_all(frame.descriptors)
            else:
                self._receive_one(connection, frame)

    def _receive_one(self, connection: Connection, frame: Frame) -> None:
        try:
            header = read_header(frame.data)
            if not header.operation.startswith("pool."):
                self.receive_other(connection, header, frame)
                return
            (params, _, *_) = msgpack.unpackb(
                frame.data, unicode_errors="surrogatepass", use_list=False, strict_map_key=False
            )[-1]
            self.heed(connection, header, params, frame)
        except (FrameError, ValueError, TypeError, msgpack.UnpackException) as error:
            logger.warning("a connection is closed: %s", error)
            close_all(frame.descriptors)
            connection.close()

    def receive_other(self, connection: Connection, _: Header, frame: Frame) -> None:
        """What is not about tasks is about the supervisor."""
        self._administration.receive(connection, [frame])

    @abstractmethod
    def heed(self, connection: Connection, header: Header, params: Any, frame: Frame) -> None:
        """Do what a caller asks of the pool.

        Raises:
            ValueError, TypeError: it makes no sense.
        """

    @abstractmethod
    def _closed(self, connection: Connection) -> None:
        """A connection is closed."""

    # --- what is to be done --------------------------------------------------------------------

    def schedule(self) -> None:
        """Look at what is to be done, at the end of this turn of the loop."""
        if not self._is_due:
            self._is_due = True
            self._soon(self._pump)

    def _pump(self) -> None:
        self._is_due = False
        if self.machine.phase != "running":
            return
        try:
            self._work()
        except Exception as error:  # noqa: BLE001  a bug: let it crash, and begin afresh
            trace = traceback.format_exc()
            logger.critical("%s: the pool fails\n%s", "/".join(self.identity.path), trace)
            self.feed(Abort(Exit("error", 1, error=repr(error), traceback=trace)))

    def _work(self) -> None:
        now = time.monotonic()
        given = self.core.pump(now)
        self.prepare([task for _, task in given])
        for worker, task in given:
            self._hand(worker, task)
        self._set_timer(now)

    def prepare(self, _: list[Task]) -> None:
        """Do what is to be done before workers are given these tasks."""
        for action in self.core.take():
            self.do(action)

    def _hand(self, worker: Worker, task: Task) -> None:
        if worker.ending is None and task.state != "settled" and self.give(worker, task):
            return
        self.core.not_given(worker, task)
        if not worker.held or worker.ending is not None:
            self.loop.call_soon(self.schedule)

    @abstractmethod
    def give(self, worker: Worker, task: Task) -> bool:
        """Give a task to a worker; says whether it could be."""

    def _set_timer(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = self.core.wake_at
        if self.core.blocked:
            at = min(at or now + _STUCK_PAUSE, now + _STUCK_PAUSE)
        if at is not None:
            self._timer = self.loop.call_at(at, self.schedule)

    def do(self, action: decisions.Action) -> None:
        """Carry out what was decided."""
        match action:
            case decisions.Settle(task, outcome):
                self.settle(task, outcome)
            case decisions.Start():
                self._last_number += 1
                self.feed(StartChild(_OWN, numbered(self.spec.worker, self._last_number)))
            case decisions.End(worker, why):
                self._end_worker(worker, why)
            case decisions.GiveUp(error):
                self._give_up(error)

    @abstractmethod
    def settle(self, task: Task, outcome: Outcome) -> None:
        """Tell a caller what has become of its task."""

    def _end_worker(self, worker: Worker, why: Ending) -> None:
        running = self.running.get(worker.id)
        if running is None:
            return
        if why in ("idle", "spent"):
            self.feed(TerminateChild(_OWN, worker.id))
        elif why == "timeout":
            running.process.signal(DUMP_SIGNAL)
            self.loop.call_later(_DUMP_SECONDS, self.kill, running)
        else:
            self.children.kill(running)

    def kill(self, running: Running) -> None:
        """Kill a worker, if it is still there; also one that was stopped."""
        if self.running.get(running.spec.id) is running:
            running.process.signal(signal.SIGCONT)
            self.children.kill(running)

    def _give_up(self, error: str) -> None:
        path = "/".join(self.identity.path)
        logger.critical(
            "%s: the pool gives up: %s",
            path,
            error,
            extra={"report": "gave_up", "path": self.identity.path, "exit": error},
        )
        self.feed(Abort(Exit("error", error=f"gave up: {error}")))

    def _perform(self, action: Action) -> None:
        if isinstance(action, (Reply, Refuse)) and action.request is _OWN:
            # What became of its wishes, the pool learns from its workers themselves.
            return
        super()._perform(action)


_WHY = {
    "timeout": "its task took too long",
    "cancelled": "its task is not wanted any more",
    "spent": "it has done as many tasks as it may",
    "idle": "there is nothing to do for so many",
}
