"""The process of a pool that carries out tasks: functions that its callers have submitted.

It never runs, nor unpickles, anything of its callers.
"""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from typing import Any, cast

from supervisor._exit import Exit
from supervisor._pool import actions as decisions
from supervisor._pool.callers import Caller, Payload, read_tasks
from supervisor._pool.channel import Answer, Channel
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
from supervisor._pool.process import PoolProcess
from supervisor._pool.spec import PoolWorker
from supervisor._pool.tasks import Crashed, Done, Outcome, Task, TimedOut, Worker
from supervisor._server.endpoint import Connection
from supervisor._server.responses import result_response
from supervisor._supervisor import ChildSpec
from supervisor._wire.codec import encode
from supervisor._wire.frames import Frame, Header

__all__ = ["TasksProcess"]

# So many answers of a worker are read at one turn of the loop, so that the others get theirs.
_ANSWERS = 64


class TasksProcess(PoolProcess):
    """Runs one pool of tasks on a loop; see SupervisorProcess."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._channels: dict[str, Channel] = {}
        self._callers: dict[Connection, Caller] = {}
        self._told: set[Caller] = set()
        # Whose task a worker had last: what it prints behind that is for nobody else.
        self._last_callers: dict[str, Caller] = {}

    def close(self) -> None:
        """Let go of the sockets."""
        super().close()
        for caller in self._callers.values():
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
        channel = self._channels.get(spec.id)
        if channel is not None:
            self.loop.add_reader(channel.fileno(), self._hear, spec.id)

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
        self._last_callers.pop(id, None)
        channel = self._channels.pop(id, None)
        if channel is not None:
            self.loop.remove_reader(channel.fileno())
            channel.close()

    def give(self, worker: Worker, task: Task) -> bool:
        """Give a task to a worker; says whether it could be."""
        channel = self._channels.get(worker.id)
        payload = task.payload
        return channel is not None and channel.send(task.id, payload.body, payload.descriptor)

    def _recall(self, worker: Worker) -> None:
        channel = self._channels.get(worker.id)
        if channel is not None:
            self.core.recalled(worker, channel.take_back())
            # At the next turn, as answers that are on their way are heard before it.
            self.loop.call_soon(self.schedule)

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

    def heed(self, connection: Connection, header: Header, params: Any, frame: Frame) -> None:
        """Do what a caller asks of the pool.

        Raises:
            ValueError, TypeError: it makes no sense.
        """
        caller = self._callers.get(connection)
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
        self._callers[connection] = Caller(connection)
        limits = self.spec.limits
        about = {"queue_size": limits.queue_size, "max_size": limits.max_size}
        connection.put(result_response(call_id, about).data)

    def _closed(self, connection: Connection) -> None:
        caller = self._callers.pop(connection, None)
        if caller is not None:
            tasks = list(caller.tasks.values())
            caller.tasks.clear()
            self.core.remove_caller(caller, tasks)
            for task in tasks:
                task.payload.close()
            self._told.discard(caller)
            self.schedule()
            if not self._callers and self.spec.is_guest:
                self.shut_down()

    # --- what is to be done --------------------------------------------------------------------

    def _work(self) -> None:
        self.core.blocked = {caller for caller in self._callers.values() if caller.is_stuck}
        super()._work()

    def prepare(self, tasks: list[Task]) -> None:
        """Tell the callers of these tasks that workers are about to have them."""
        for task in tasks:
            caller = cast(Caller, task.caller)
            caller.begun(task.key)
            self._told.add(caller)
        super().prepare(tasks)
        # Before a task is with a worker its caller knows: if this process is killed, what its
        # callers have not been told of was not begun, and can be sent again.
        while self._told:
            self._told.pop().flush()

    def do(self, action: decisions.Action) -> None:
        """Carry out what was decided."""
        match action:
            case decisions.Recall(worker):
                self._recall(worker)
            case decisions.Admit(task):
                self._admit(task)
            case decisions.Refuse(task):
                self._answer(task, Payload(REFUSED, b""))
            case _:
                super().do(action)

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

    def _admit(self, task: Task) -> None:
        caller = cast(Caller, task.caller)
        caller.admitted(task.key)
        self._told.add(caller)
