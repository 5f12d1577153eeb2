"""A pool's process: the supervisor of its workers, which gives them what callers send.

It carries out what ``core`` decides. It never runs, nor unpickles, anything of its callers.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import logging
import signal
import socket
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, cast

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
from supervisor._pool.callers import Caller, Payload, read_tasks
from supervisor._pool.channel import Answer, Channel
from supervisor._pool.core import Core
from supervisor._pool.messages import (
    ATTACH,
    BEGUN,
    CANCEL,
    CANCELLED,
    CLEAR,
    CRASHED,
    ERROR,
    LOADING,
    REFUSED,
    RESULT,
    SUBMIT,
    TIMED_OUT,
)
from supervisor._pool.spec import Pool, PoolWorker, numbered
from supervisor._pool.tasks import Crashed, Done, Ending, Outcome, Task, TimedOut, Worker
from supervisor._server.endpoint import Connection
from supervisor._server.heart import DUMP_SIGNAL
from supervisor._server.responses import result_response
from supervisor._supervisor import ChildSpec
from supervisor._wire.codec import encode
from supervisor._wire.frames import Frame, FrameError, Header, close_all, read_header

__all__ = ["PoolProcess"]

logger = logging.getLogger("supervisor")

# Who asks for the changes that the pool itself wants.
_OWN = object()

# So many answers of a worker are read at one turn of the loop, so that the others get theirs.
_ANSWERS = 64

# What a worker is given to write down its stacks in, before it is killed.
_DUMP_SECONDS = 0.05

# While a caller does not take its answers, it is looked at again after so many seconds.
_STUCK_PAUSE = 0.02


class PoolProcess(SupervisorProcess):
    """Runs one pool on a loop; see SupervisorProcess."""

    spec: Pool

    def __init__(self, spec: Pool, *args: Any, **options: Any) -> None:
        super().__init__(spec, *args, **options)
        self.core = Core(spec.limits)
        self._channels: dict[str, Channel] = {}
        self.running: dict[str, Running] = {}
        self.callers: dict[Connection, Caller] = {}
        self._told: set[Caller] = set()
        # Whose task a worker had last: what it prints behind that is for nobody else.
        self._last_callers: dict[str, Caller] = {}
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
        for caller in self.callers.values():
            for task in caller.tasks.values():
                task.payload.close()
        for channel in self._channels.values():
            channel.close()

    # --- workers -------------------------------------------------------------------------------

    def socket_for(self, spec: ChildSpec) -> socket.socket | None:
        """A worker of functions gets its end of the sockets that tasks go through."""
        if not isinstance(spec, PoolWorker):
            return super().socket_for(spec)
        channel = self._channels[spec.id] = Channel()
        return channel.workers_end()

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
        channel = self._channels.get(spec.id)
        if channel is not None:
            self.loop.add_reader(channel.fileno(), self._hear, spec.id)

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
        self._last_callers.pop(id, None)
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

    def last_words(self, worker: Worker, exit: Exit, now: float) -> tuple[Exit, list[int]]:
        """Hear what a worker that is gone has still said.

        Returns:
            How it ended, and which tasks it had been given and not begun.
        """
        channel = self._channels.get(worker.id)
        if channel is None:
            return exit, []
        while self._read(worker, channel, now):
            continue
        if exit.traceback is None and (stacks := channel.stacks()) is not None:
            exit = replace(exit, traceback=stacks)
        return exit, channel.take_back()

    def drop_channel(self, id: str) -> None:
        """Let go of the sockets to a worker."""
        channel = self._channels.pop(id, None)
        if channel is not None:
            self.loop.remove_reader(channel.fileno())
            channel.close()

    def _report(self, report: Report) -> Callable[[], None]:
        worker = self.core.worker(report.id)
        if report.kind == "child_ended" and worker is not None and worker.ending is not None:
            # The pool's own doing; the task's caller is told.
            where = "/".join((*self.identity.path, report.id))
            return partial(logger.info, "%s was ended: %s", where, _WHY[worker.ending])
        return super()._report(report)

    # --- what workers say ----------------------------------------------------------------------

    def _hear(self, id: str) -> None:
        worker = self.core.worker(id)
        channel = self._channels.get(id)
        if worker is not None and channel is not None:
            self._read(worker, channel, time.monotonic())
            self.schedule()

    def _read(self, worker: Worker, channel: Channel, now: float) -> int:
        count = 0
        for answer in channel.answers(_ANSWERS):
            self._take(worker, answer, now)
            count += 1
        return count

    def _take(self, worker: Worker, answer: Answer, now: float) -> None:
        task_id, kind, body, descriptor = answer
        if kind in (RESULT, ERROR):
            payload = Payload(kind, body, descriptor)
            task = next((task for task in worker.held if task.id == task_id), None)
            if task is None or task.state == "settled":
                payload.close()
            if task is not None:
                self._last_callers[worker.id] = cast(Caller, task.caller)
                self.core.finished(worker, task_id, payload, now)
        elif kind == LOADING:
            self.core.loading(worker)
        elif kind == BEGUN:
            self.core.loaded(worker, now)
        else:
            self._pass_on(worker, task_id, Payload(kind, body))

    def _pass_on(self, worker: Worker, task_id: int, payload: Payload) -> None:
        """What a task prints and logs goes to its caller, as long as that is there."""
        task = next((task for task in worker.held if task.id == task_id), None)
        caller: Any = self._last_callers.get(worker.id) if task is None else task.caller
        if caller is not None and not caller.connection.closed:
            caller.answer(0, payload)
            self._told.add(caller)

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

    def heed(self, connection: Connection, header: Header, params: Any, frame: Frame) -> None:
        """Do what a caller asks of the pool.

        Raises:
            ValueError, TypeError: it makes no sense.
        """
        caller = self.callers.get(connection)
        if header.operation == ATTACH:
            self._attach(connection, header.id)
        elif caller is None:
            raise ValueError(f"{header.operation} without {ATTACH} before it")
        elif header.operation == SUBMIT:
            for task, wait in read_tasks(caller, params[0], frame.descriptors, self.task_ids):
                caller.tasks[task.key] = task
                self.core.submit(task, wait=wait)
        elif header.operation == CANCEL:
            for key in params[0]:
                unwanted = caller.tasks.pop(key, None)
                if unwanted is not None:
                    self.core.cancel(unwanted)
                    unwanted.payload.close()
        elif header.operation == CLEAR:
            self._clear(caller)
        else:
            raise ValueError(f"a pool has no operation {header.operation!r}")
        self.schedule()

    def _clear(self, caller: Caller) -> None:
        """Cancel what no worker has of a caller's; workers that are free get theirs first."""
        self._pump()
        for task in list(caller.tasks.values()):
            if task.state != "held":
                self.core.cancel(task)
                self._answer(task, Payload(CANCELLED, b""))

    def _attach(self, connection: Connection, call_id: int) -> None:
        self.callers[connection] = Caller(connection)
        limits = self.spec.limits
        about = {"queue_size": limits.queue_size, "max_size": limits.max_size}
        connection.put(result_response(call_id, about).data)

    def _closed(self, connection: Connection) -> None:
        caller = self.callers.pop(connection, None)
        if caller is not None:
            tasks = list(caller.tasks.values())
            caller.tasks.clear()
            self.core.remove_caller(caller, tasks)
            for task in tasks:
                task.payload.close()
            self._told.discard(caller)
            self.schedule()
            if not self.callers and self.spec.is_guest:
                self.shut_down()

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
        core = self.core
        core.blocked = {caller for caller in self.callers.values() if caller.is_stuck}
        given = core.pump(now)
        for _, task in given:
            self.tell_begun(task)
        self._do(core.take())
        # Before a task is with a worker its caller knows: if this process is killed, what its
        # callers have not been told of was not begun, and can be sent again.
        self._flush()
        for worker, task in given:
            self._hand(worker, task)
        self._set_timer(now)

    def _flush(self) -> None:
        while self._told:
            self._told.pop().flush()

    def _hand(self, worker: Worker, task: Task) -> None:
        if worker.ending is None and task.state != "settled" and self.give(worker, task):
            return
        self.core.not_given(worker, task)
        if not worker.held or worker.ending is not None:
            self.loop.call_soon(self.schedule)

    def give(self, worker: Worker, task: Task) -> bool:
        """Give a task to a worker; says whether it could be."""
        channel = self._channels.get(worker.id)
        payload = task.payload
        return channel is not None and channel.send(task.id, payload.body, payload.descriptor)

    def tell_begun(self, task: Task) -> None:
        """Tell a caller that a worker is about to have its task."""
        caller = cast(Caller, task.caller)
        caller.begun(task.key)
        self._told.add(caller)

    def _set_timer(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = self.core.wake_at
        if self.core.blocked:
            at = min(at or now + _STUCK_PAUSE, now + _STUCK_PAUSE)
        if at is not None:
            self._timer = self.loop.call_at(at, self.schedule)

    def _do(self, actions: Iterable[decisions.Action]) -> None:
        for action in actions:
            match action:
                case decisions.Settle(task, outcome):
                    self.settle(task, outcome)
                case decisions.Recall(worker):
                    self._recall(worker)
                case decisions.Start():
                    self._last_number += 1
                    self.feed(StartChild(_OWN, numbered(self.spec.worker, self._last_number)))
                case decisions.End(worker, why):
                    self._end_worker(worker, why)
                case decisions.Admit(task):
                    self.admit(task)
                case decisions.Refuse(task):
                    self.refuse(task)
                case decisions.GiveUp(error):
                    self._give_up(error)

    def settle(self, task: Task, outcome: Outcome) -> None:
        """Tell a caller what has become of its task."""
        match outcome:
            case Done(payload):
                self._answer(task, payload)
            case Crashed(exit, attempts):
                self._answer(task, Payload(CRASHED, encode([exit, attempts])))
            case TimedOut(traceback):
                self._answer(task, Payload(TIMED_OUT, encode(traceback)))

    def _answer(self, task: Task, payload: Payload) -> None:
        task.payload.close()
        caller: Any = task.caller
        if caller.tasks.pop(task.key, None) is None:
            payload.close()
            return
        caller.answer(task.key, payload)
        self._told.add(caller)

    def admit(self, task: Task) -> None:
        """Tell a caller that its task has a place in the queue."""
        caller = cast(Caller, task.caller)
        caller.admitted(task.key)
        self._told.add(caller)

    def refuse(self, task: Task) -> None:
        """Tell a caller that there is no room for its task."""
        self._answer(task, Payload(REFUSED, b""))

    def _recall(self, worker: Worker) -> None:
        channel = self._channels.get(worker.id)
        if channel is not None:
            self.core.recalled(worker, channel.take_back())
            # At the next turn, as answers that are on their way are heard before it.
            self.loop.call_soon(self.schedule)

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
