"""The process of a pool of servers: calls of the pool's name go to a worker that is free.

Frames go there as they came, and their answers back. A call that waits for a worker is a task as
any other, and so is a checkout: it holds a worker until the connection that asked for it is closed.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from supervisor._client.channel import Channel
from supervisor._client.delivery import LinkLost
from supervisor._client.requests import discard, is_going_down
from supervisor._driver.children import Running
from supervisor._errors import BadCall, Overloaded, ProcessDown
from supervisor._exit import Exit
from supervisor._forward.calls import ForwardedCall
from supervisor._node import short_address
from supervisor._operation import is_idempotent
from supervisor._pool.core import Core
from supervisor._pool.messages import CHECKOUT
from supervisor._pool.process import PoolProcess
from supervisor._pool.spec import RESERVED
from supervisor._pool.tasks import Crashed, Outcome, Task, Worker
from supervisor._server.endpoint import Connection
from supervisor._server.responses import error_response, result_response
from supervisor._wire.codec import CodecError, Decoder
from supervisor._wire.frames import (
    NOTIFICATION,
    REQUEST,
    RESPONSE,
    Frame,
    Header,
    close_all,
    response_prefix,
)

__all__ = ["ServersProcess"]

logger = logging.getLogger("supervisor")

# How often a call that may be sent again is, at most.
_RESENDS = 8

# How many calls wait for a worker where the pool's spec does not say.
_DEFAULT_QUEUE = 10_000

# A worker whose connection is broken is dead or dying; one that is not gone by then is ended.
_DYING_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _Checkout:
    """Somebody who wants a worker of their own, or has one."""

    connection: Connection
    id: int

    @property
    def operation(self) -> str:
        """What it is called in reports."""
        return "checkout"


class ServersProcess(PoolProcess):
    """Runs one pool of servers on a loop; see SupervisorProcess."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # The bound is kept here: who calls is refused, and does not wait for a place.
        self.core = Core(replace(self.spec.limits, queue_size=None))
        self._links: dict[str, Channel] = {}
        # What a worker had said that it had not begun, before it went.
        self._untaken: dict[str, list[int]] = {}
        self._tasks: dict[Connection, set[Task]] = {}
        self._casts = itertools.count()
        self._decoder = Decoder()

    # --- workers -------------------------------------------------------------------------------

    def _child_ready(self, running: Running) -> None:
        path = (*self.identity.path, running.spec.id)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with short_address(self.identity.node.socket_path(path)) as address:
                sock.connect(address)
        except OSError as error:
            # It is dying already: its end will be noticed.
            logger.debug("no connection to %s: %s", running.spec.id, error)
            sock.close()
        else:
            sock.setblocking(False)
            self._links[running.spec.id] = Channel(self.loop, sock, path)
        super()._child_ready(running)

    def last_words(self, worker: Worker, exit: Exit, _: float) -> tuple[Exit, list[int]]:
        """What a worker had not begun, it has said itself, or the kernel has."""
        link = self._links.get(worker.id)
        if link is not None:
            link.drain()
        return exit, self._untaken.pop(worker.id, [])

    def drop_channel(self, id: str) -> None:
        """Let go of the connection to a worker."""
        link = self._links.pop(id, None)
        if link is not None:
            link.close()
        self._untaken.pop(id, None)

    def close(self) -> None:
        """Let go of the sockets."""
        for link in tuple(self._links.values()):
            link.close()
        super().close()

    # --- calls ---------------------------------------------------------------------------------

    def heed(self, connection: Connection, header: Header, _: Any, __: Frame) -> None:
        """Give the caller a worker of its own, when there is one.

        Raises:
            ValueError: it asks for something else.
        """
        if header.kind == REQUEST and header.operation == CHECKOUT:
            self._submit(connection, _Checkout(connection, header.id))
            return
        target = self.spec.worker.target.__name__
        if header.kind != REQUEST:
            raise ValueError(f"the workers of this pool are servers of {target}")
        error = BadCall(f"the workers of this pool are servers of {target}: they run no functions")
        connection.put(error_response(header.id, error).data)

    def receive_other(self, connection: Connection, header: Header, frame: Frame) -> None:
        """Pass a call on to a worker, unless it is about the supervisor."""
        if header.kind == RESPONSE or header.operation in RESERVED:
            super().receive_other(connection, header, frame)
        elif header.kind == NOTIFICATION:
            self._cast(frame)
        else:
            self._submit(connection, ForwardedCall(connection, header, frame))

    def _submit(self, connection: Connection, call: ForwardedCall | _Checkout) -> None:
        bound = self.spec.limits.queue_size or _DEFAULT_QUEUE
        if self.core.waiting >= bound + self.core.idle:
            refusal = Overloaded(f"{bound} calls wait for a worker already; nothing was done")
            self._answer_call(call, error_response(call.id, refusal).data)
            return
        task = Task(next(self.task_ids), connection, 0, call.operation, call)
        self._tasks.setdefault(connection, set()).add(task)
        self.core.submit(task)
        self.schedule()

    def _cast(self, frame: Frame) -> None:
        """A cast goes to each worker in turn: there is no telling when one is done with it."""
        links = [link for link in self._links.values() if not link.closed]
        if links:
            with contextlib.suppress(LinkLost, OSError):
                # A cast promises nothing.
                links[next(self._casts) % len(links)].send(frame.data, frame.descriptors)
        close_all(frame.descriptors)

    def give(self, worker: Worker, task: Task) -> bool:
        """Pass a call on, or hand the worker over."""
        call = task.payload
        if isinstance(call, _Checkout):
            running = self.running[worker.id]
            path = [*self.identity.path, worker.id]
            where = [path, running.process.instance]
            call.connection.put(result_response(call.id, where).data)
            return True
        link = self._links.get(worker.id)
        if link is None or link.closed:
            return False
        try:
            link.request(call.body, call.descriptors, partial(self._received, worker, task))
        except (LinkLost, OSError):
            return False
        return True

    def _received(
        self,
        worker: Worker,
        task: Task,
        frame: Frame | None,
        header: Header | None,
        lost: LinkLost | None,
    ) -> None:
        if frame is None or header is None:
            if lost is not None and not lost.taken:
                self._untaken.setdefault(worker.id, []).append(task.id)
            running = self.running.get(worker.id)
            if running is not None:
                self.loop.call_later(_DYING_SECONDS, self.kill, running)
            return
        if is_going_down(frame, header):
            self._going_down(worker, task, frame)
            return
        call = task.payload
        if task.state != "settled":
            data = response_prefix(call.id) + frame.data[header.body :]
            call.connection.put(data, frame.descriptors)
        discard(frame)
        self._forget(task)
        self.core.finished(worker, task.id, None, self.loop.time())
        self.schedule()

    def _going_down(self, worker: Worker, task: Task, frame: Frame) -> None:
        """The worker is about to end: what becomes of the call is decided when it has."""
        try:
            _, _, down, _ = self._decoder.decode(frame.data, frame.descriptors)
        except CodecError as error:
            logger.warning("%s has sent what cannot be read: %s", worker.id, error)
            return
        if not down.taken:
            self._untaken.setdefault(worker.id, []).append(task.id)

    def settle(self, task: Task, outcome: Outcome) -> None:
        """Tell a caller that the worker has died of its call, or try another one."""
        call = task.payload
        if not isinstance(outcome, Crashed):
            return
        if isinstance(call, _Checkout):
            self._forget(task)
        elif (
            not outcome.exit.is_fault_of_call
            and call.resends < _RESENDS
            and is_idempotent(getattr(self.spec.worker.target, call.operation, None))
        ):
            call.resends += 1
            self._tasks.get(call.connection, set()).discard(task)
            again = Task(next(self.task_ids), call.connection, 0, call.operation, call)
            self._tasks.setdefault(call.connection, set()).add(again)
            self.core.submit(again)
            self.schedule()
        else:
            down = ProcessDown(f"a worker of {self.identity.path[-1]!r}", outcome.exit, taken=True)
            self._answer_call(call, error_response(call.id, down).data)
            self._forget(task)

    def _answer_call(self, call: Any, data: bytes) -> None:
        call.connection.put(data)
        if isinstance(call, ForwardedCall):
            call.finish()

    def _forget(self, task: Task) -> None:
        call = task.payload
        tasks = self._tasks.get(call.connection)
        if tasks is not None:
            tasks.discard(task)
        if isinstance(call, ForwardedCall):
            call.finish()

    def _closed(self, connection: Connection) -> None:
        """A caller is gone: its calls are not begun any more, and its worker is free again."""
        for task in self._tasks.pop(connection, ()):
            worker = task.worker
            is_held = task.state == "held" and worker is not None
            if is_held and worker is not None and isinstance(task.payload, _Checkout):
                self.core.finished(worker, task.id, None, self.loop.time())
            elif task.state != "settled":
                self.core.cancel(task)
            if isinstance(task.payload, ForwardedCall):
                task.payload.finish()
        self.schedule()
