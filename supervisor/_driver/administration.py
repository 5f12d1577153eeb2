"""What callers ask of a supervisor: the operations of SupervisorRef, and of the runtime itself."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from supervisor._client.delivery import Target
from supervisor._core.messages import DeleteChild, RestartChild, StartChild, TerminateChild
from supervisor._errors import (
    BadCall,
    ChildExists,
    ChildNotFound,
    NoProcess,
    StartError,
    SupervisorError,
)
from supervisor._exit import Exit
from supervisor._refs import ChildCount, ChildInfo, Ref, SupervisorRef
from supervisor._server.endpoint import Connection
from supervisor._server.responses import error_response, result_response
from supervisor._supervisor import Supervisor, names_of
from supervisor._wire.codec import CodecError, Decoder
from supervisor._wire.frames import (
    NOTIFICATION,
    REQUEST,
    Frame,
    FrameError,
    close_all,
    read_header,
)

if TYPE_CHECKING:
    from supervisor._driver.children import Running
    from supervisor._driver.supervisor_process import SupervisorProcess

__all__ = ["Administration"]

logger = logging.getLogger("supervisor")

# How long the registry may take to learn of a change before its author is answered all the same.
_NEWS_PATIENCE = 5.0

# Questions that change nothing, and may wait for as long as a child lives: nobody wants the answer
# once the connection is closed.
_WAITING = frozenset({"child_exit", "wait", "wait_child"})

# Who asked: the connection and the call's id.
Request = tuple[Connection, int]


class Administration:
    """Answers requests; those that change children are decided by the machine."""

    def __init__(self, process: SupervisorProcess) -> None:
        self._process = process
        self._machine = process.machine
        self._decoder = Decoder(specs=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[Connection, set[asyncio.Task[None]]] = {}
        self._starting = asyncio.Lock()
        self._ended: asyncio.Future[Exit] = process.loop.create_future()
        self._operations: dict[str, Callable[..., Any]] = {
            "which_children": self._which_children,
            "count_children": self._count_children,
            "get_child": self._get_child,
            "start_child": self._start_child,
            "terminate_child": partial(self._change, TerminateChild),
            "restart_child": partial(self._change, RestartChild),
            "delete_child": partial(self._change, DeleteChild),
            "child_status": self._child_status,
            "describe_child": self._describe_child,
            "describe": self._describe,
            "child_exit": self._child_exit,
            "child_has_run": self._child_has_run,
            "wait_child": self._wait_child,
            "stop_child": self._stop_child,
            "stop": self._stop,
            "wait": self._wait,
        }

    # --- requests and answers ------------------------------------------------------------------

    def receive(self, connection: Connection, frames: list[Frame]) -> None:
        """Take requests up."""
        for frame in frames:
            if connection.closed:
                close_all(frame.descriptors)
            else:
                self._receive(connection, frame)

    def _receive(self, connection: Connection, frame: Frame) -> None:
        try:
            header = read_header(frame.data)
            message = self._decoder.decode(frame.data, frame.descriptors)
            if header.kind == NOTIFICATION:
                logger.warning("a cast of %r is dropped: supervisors take none", header.operation)
                return
            if header.kind != REQUEST:
                raise FrameError("a supervisor takes requests only")
            args, kwargs, *_ = message[3]
        except CodecError as error:
            self._put((connection, header.id), error_response(header.id, BadCall(str(error))))
            return
        except (FrameError, ValueError, TypeError) as error:
            logger.warning("a connection is closed: %s", error)
            connection.close()
            return
        self._carry_out((connection, header.id), header.operation, args, kwargs)

    def _carry_out(self, request: Request, name: str, args: Any, kwargs: Any) -> None:
        operation = self._operations.get(name)
        if operation is None:
            known = ", ".join(self._operations)
            self.refuse(
                request, BadCall(f"a supervisor has no operation {name!r}; it has: {known}")
            )
            return
        self._process.children.catch_up()
        try:
            result = operation(request, *args, **kwargs)
        except SupervisorError as error:
            self.refuse(request, error)
        except (TypeError, ValueError) as error:
            self.refuse(request, BadCall(f"{name}: {error}"))
        else:
            if asyncio.iscoroutine(result):
                task = self._process.loop.create_task(self._await(request, name, result))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                if name in _WAITING:
                    self._waiting.setdefault(request[0], set()).add(task)
                    task.add_done_callback(partial(self._waited, request[0]))
            elif result is not _LATER:
                self._respond(request, result)

    def _waited(self, connection: Connection, task: asyncio.Task[None]) -> None:
        tasks = self._waiting.get(connection, set())
        tasks.discard(task)
        if not tasks:
            self._waiting.pop(connection, None)

    def closed(self, connection: Connection) -> None:
        """Nobody is there any more who could be answered over this connection."""
        for task in tuple(self._waiting.get(connection, ())):
            task.cancel()

    async def _await(self, request: Request, name: str, coroutine: Any) -> None:
        try:
            result = await coroutine
        except SupervisorError as error:
            self.refuse(request, error)
        except (TypeError, ValueError) as error:
            self.refuse(request, BadCall(f"{name}: {error}"))
        else:
            if result is not _LATER:
                self._respond(request, result)

    def answer(self, request: Any, value: Any) -> None:
        """Answer a request that the machine has decided, once the registry knows of it."""
        told = self._process.news.told()
        if told is None:
            self._respond(request, value)
            return
        self._process.loop.call_later(_NEWS_PATIENCE, _finish, told)
        told.add_done_callback(lambda _: self._respond(request, value))

    def refuse(self, request: Any, error: SupervisorError) -> None:
        """Answer a request with an error."""
        _, call_id = request
        if isinstance(error, ChildExists):
            error = ChildExists(error.id, self._ref_if_running(error.id))
        elif isinstance(error, StartError) and error.child:
            path = (*self._process.identity.path, *error.child)
            error = StartError(path, error.error, error.traceback)
        self._put(request, error_response(call_id, error))

    def _respond(self, request: Request, value: Any) -> None:
        try:
            response = result_response(request[1], value)
        except CodecError as error:
            response = error_response(request[1], BadCall(f"the answer {error}"))
        self._put(request, response)

    def _put(self, request: Request, response: Any) -> None:
        connection, _ = request
        connection.put(response.data)
        connection.flush()

    def ended(self, exit: Exit) -> None:
        """The supervisor has ended."""
        if not self._ended.done():
            self._ended.set_result(exit)

    async def drain(self) -> None:
        """Wait until those who asked for the end, and those who asked before it, are answered."""
        # One turn, in which the tasks that waited for it go on.
        turn: asyncio.Future[None] = self._process.loop.create_future()
        self._process.loop.call_later(0, _finish, turn)
        await turn
        waiting = [task for task in self._tasks if not task.done()]
        for task in waiting:
            task.cancel()

    # --- children ------------------------------------------------------------------------------

    def _which_children(self, _: Request) -> list[ChildInfo]:
        return [self._info(row) for row in self._machine.rows()]

    def _info(self, row: Any) -> ChildInfo:
        running = self._process.children.get(row.token)
        runs = running is not None and row.status == "running"
        return ChildInfo(
            id=row.id,
            name=row.spec.name,
            pid=running.process.pid if running is not None and runs else None,
            status=row.status,
            kind=row.spec.kind,
            restarts=row.restarts,
            started_at=running.process.started_at if running is not None and runs else None,
        )

    def _count_children(self, _: Request) -> ChildCount:
        rows = self._machine.rows()
        supervisors = sum(isinstance(row.spec, Supervisor) for row in rows)
        active = sum(row.status == "running" for row in rows)
        return ChildCount(len(rows), active, supervisors, len(rows) - supervisors)

    def _get_child(self, _: Request, id: str) -> Any:
        return self._row(id).spec

    def _row(self, id: object) -> Any:
        if not isinstance(id, str):
            raise BadCall(f"a child's id is a string, not {id!r}")
        return self._machine.row(id)

    async def _start_child(self, request: Request, spec: Any) -> Any:
        # One at a time, so that no other child takes the id while the registry is asked.
        async with self._starting:
            spec = self._machine.check_new(spec)
            inner = list(names_of(spec))
            if inner:
                child = [spec.id, spec.name, spec.kind]
                held = [name for name in inner if name != spec.name]
                path = list(self._process.identity.path)
                await self._process.news.tell("reserve", path, child, held)
            self._process.feed(StartChild(request, spec))
        return _LATER

    def _change(self, event: type, request: Request, id: str) -> Any:
        if not isinstance(id, str):
            raise BadCall(f"a child's id is a string, not {id!r}")
        self._process.feed(event(request, id))
        return _LATER

    def _ref_if_running(self, id: str) -> Ref | None:
        try:
            row = self._machine.row(id)
        except ChildNotFound:
            return None
        if row.status != "running":
            return None
        target = Target(self._process.identity.node, path=(*self._process.identity.path, id))
        return (SupervisorRef if row.spec.kind == "supervisor" else Ref)(target)

    # --- what the runtime asks -----------------------------------------------------------------

    def _running(self, id: str) -> Running | None:
        if id in self._process.extras:
            return self._process.extras[id]
        row = self._row(id)
        return self._process.children.get(row.token)

    def _child_status(self, _: Request, id: str) -> list[Any]:
        if id in self._process.extras:
            return ["running" if self._process.extras[id] else "restarting", None]
        try:
            row = self._row(id)
        except ChildNotFound:
            return ["gone", None]
        if row.spec.kind in ("task", "command"):
            raise BadCall(f"{id!r} is a {row.spec.kind}: it answers no calls")
        running = self._process.children.get(row.token)
        return [row.status, None if running is None else running.process.instance]

    def _describe_child(self, _: Request, id: str) -> list[int | None]:
        try:
            running = self._running(id)
        except ChildNotFound:
            raise NoProcess(f"there is no child {id!r}") from None
        if running is None or not running.ready:
            return [None, None]
        return [running.process.pid, running.process.instance]

    def _child_has_run(self, _: Request, id: str) -> bool:
        try:
            running = self._running(id)
        except ChildNotFound:
            return False
        if self._process.is_coming_back or (running is not None and running.ready):
            return True
        is_restarting = id in self._process.extras or self._row(id).status == "restarting"
        return is_restarting and self._process.has_run_before(id)

    def _describe(self, _: Request) -> list[int]:
        return [os.getpid(), self._process.identity.instance]

    async def _child_exit(self, _: Request, id: str, since: float, until: float) -> Exit | None:
        ends = self._process.ends
        loop = self._process.loop
        while (exit := ends.since(id, since)) is None and loop.time() < until:
            if not self._process.was_open(id, since):
                return None
            await ends.next(id, until)
        return exit

    async def _wait_child(self, _: Request, id: str, instance: int | None) -> Exit:
        ends = self._process.ends
        if instance is None:
            # No run of it was going on: the last one's end is what there is to tell.
            return ends.of(id, None) or Exit("error", error="it did not run")
        while (exit := ends.of(id, instance)) is None:
            if not self._runs(id, instance):
                return Exit("error", error="it ended before its supervisor was there to see how")
            await ends.next(id)
        return exit

    def _runs(self, id: str, instance: int) -> bool:
        try:
            running = self._running(id)
        except ChildNotFound:
            return False
        return running is not None and running.process.instance == instance

    async def _stop_child(self, request: Request, id: str, instance: int | None) -> None:
        try:
            running = self._running(id)
        except ChildNotFound:
            running = None
        if running is None or (instance is not None and running.process.instance != instance):
            raise NoProcess(f"child {id!r} does not run")
        self._process.children.stop(running)
        await self._wait_child(request, id, running.process.instance)

    async def _stop(self, _: Request) -> None:
        self._process.shut_down()
        await asyncio.shield(self._ended)

    async def _wait(self, _: Request) -> Exit:
        return await asyncio.shield(self._ended)


class _Later:
    """The machine answers this request, now or later."""


_LATER = _Later()


def _finish(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result(None)
