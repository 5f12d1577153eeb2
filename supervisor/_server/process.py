"""The life of a server process: built, ready, serving, stopped or crashed."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from supervisor._context import Identity, is_main_thread
from supervisor._errors import StartError
from supervisor._exit import Exit
from supervisor._forward.forwarder import Forwarder
from supervisor._forward.switch import Switch
from supervisor._loop import Reactor, new_loop
from supervisor._process.control import ControlPipe
from supervisor._process.launch import unblock_signals
from supervisor._secrets import without_secrets
from supervisor._server.calls import Calls
from supervisor._server.endpoint import Connection, Endpoint
from supervisor._server.heart import Heart
from supervisor._server.mailbox import Mailbox, mailbox_size
from supervisor._server.operations import (
    has_async_operations,
)
from supervisor._server.responses import (
    going_down_response,
)
from supervisor._server.server import Server, serve_with
from supervisor._spec import Child
from supervisor._traceback import format_error
from supervisor._wire.frames import REQUEST, Frame, FrameError, read_header

__all__ = ["ServerProcess"]

logger = logging.getLogger("supervisor")

# How long callers that do not read are waited for when the process ends.
_DRAIN_SECONDS = 1.0


class ServerProcess:
    """Serves one object to its callers until it is stopped, stops itself, or crashes.

    Args:
        child: the spec.
        identity: who this process is.
        listener: its listening socket, held by the supervisor too.
        control: the pipe to the supervisor.
    """

    def __init__(
        self, child: Child, identity: Identity, listener: socket.socket, control: ControlPipe
    ) -> None:
        self._child = child
        self._identity = identity
        self._control = control
        self._loop: Reactor = (
            asyncio.new_event_loop() if has_async_operations(child.target) else new_loop(spin=True)
        )
        self._calls = Calls(self._loop, identity.instance, self._crash)
        self._mailbox = Mailbox(self._loop, self._calls)
        self._endpoint = Endpoint(
            self._loop, listener, self._mailbox.receive, self._mailbox.carry_out_whole
        )
        self._switch: Switch | None = None
        self._heart: Heart | None = None
        self._exit: Exit | None = None
        self._server: Any = None

    # --- life ----------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve; return the exit status."""
        signal.signal(signal.SIGTERM, _raise_system_exit)
        try:
            unblock_signals()
            self._build()
        except BaseException as error:  # noqa: BLE001  whatever a constructor raises
            return self._start_failed(error)
        self._loop.add_signal_handler(signal.SIGTERM, self._stop, Exit("shutdown", 0))
        self._loop.add_reader(self._control.fileno(), self._controlled)
        if isinstance(self._server, Forwarder):
            self._switch = Switch(self._loop, self._server)
            self._endpoint.hand_to(self._switch.receive)
        self._endpoint.open()
        if self._child.watchdog is not None:
            self._heart = Heart(self._loop, self._control, self._child.watchdog)
            self._heart.start()
        self._control.send("ready")
        self._loop.run_forever()
        return self._end(self._exit or Exit("shutdown", 0))

    def _build(self) -> None:
        serve_with(self)
        self._server = self._child.target(*self._child.args, **self._child.kwargs)
        self._calls.serve(self._server)
        self._mailbox.size = mailbox_size(self._server)
        if isinstance(self._server, Server):
            self._server.on_start()

    def _start_failed(self, error: BaseException) -> int:
        if isinstance(error, SystemExit) and error.code == _STOPPED:
            self._control.send("exit", Exit("shutdown", 0))
            return 0
        what = error.error if isinstance(error, StartError) else repr(error)
        self._control.send("failed", [], what, format_error(error))
        return 1

    def _controlled(self) -> None:
        messages = self._control.receive()
        if messages is None:
            # The supervisor is gone: nobody would restart, or stop, this process ever again.
            os._exit(1)
        for kind, _ in messages:
            if kind == "stop":
                self._stop(Exit("shutdown", 0))

    def _stop(self, exit: Exit) -> None:
        if self._exit is None:
            self._exit = exit
        self._loop.stop()

    def _end(self, exit: Exit) -> int:
        """End in order."""
        self._stop_serving()
        error = self._terminate(exit)
        if error is not None:
            exit = _error_exit(error)
        self._control.send("exit", exit)
        self._release_callers(exit)
        if self._switch is not None:
            self._switch.close()
        self._endpoint.close()
        self._loop.close()
        return exit.code or 0

    def _stop_serving(self) -> None:
        self._endpoint.stop_accepting()
        if self._heart is not None:
            self._heart.stop()

    def _terminate(self, exit: Exit) -> BaseException | None:
        """Let the object end its work; what it raises instead is returned."""
        try:
            if isinstance(self._server, Server):
                self._server.terminate(exit)
            close = getattr(self._server, "close", None)
            if callable(close) and exit.is_orderly:
                close()
        except BaseException as error:  # noqa: BLE001  it ends in any case
            return error
        return None

    def _release_callers(self, exit: Exit) -> None:
        """Tell who still waits that the answer will not come."""
        for connection, call_id in self._calls.later.values():
            connection.put(going_down_response(call_id, exit, taken=True).data)
        for connection, frame in self._mailbox.take_all():
            waiting = _request_id(frame)
            if waiting is not None:
                connection.put(going_down_response(waiting, exit, taken=False).data)
        for connection in tuple(self._endpoint.connections):
            connection.drain(_DRAIN_SECONDS)

    def _crash(
        self,
        error: BaseException,
        doing: str,
        args: object,
        connection: Connection | None = None,
        call_id: int | None = None,
    ) -> NoReturn:
        """End because of a bug; the callers are told, and the supervisor gets a report."""
        exit = _error_exit(error)
        self._stop_serving()
        if connection is not None and call_id is not None:
            connection.put(going_down_response(call_id, exit, taken=True).data)
        self._control.send("crash", doing, _summary(args))
        second = self._terminate(exit)
        if second is not None:
            logger.error("%s: terminate failed too", doing, exc_info=second)
        self._control.send("exit", exit)
        self._release_callers(exit)
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            _flush(stream)
        # Not by way of the interpreter's own end, which would wait for threads that hang.
        os._exit(1)

    # --- what a server can ask of its process ----------------------------------------------------

    @property
    def loop(self) -> Reactor:
        """The loop that it runs on."""
        return self._loop

    def call_later(
        self, seconds: float, method: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        """Call the method, in turn with the operations."""
        later = partial(self._carry_out_later, method, args)
        if threading.current_thread() is threading.main_thread():
            self._loop.call_later(seconds, self._mailbox.add, later)
        else:
            add = self._mailbox.add
            self._loop.call_soon_threadsafe(self._loop.call_later, seconds, add, later)

    def stop(self) -> None:
        """End, once the reply to the operation that runs is sent."""
        running = self._running_task()
        if running is None:
            self._stop_soon()
        else:
            # Behind the callback that sends its reply.
            running.add_done_callback(self._stop_soon)

    def _stop_soon(self, _: object = None) -> None:
        self._loop.call_soon_threadsafe(self._stop, Exit("normal", 0))

    def _running_task(self) -> asyncio.Task[Any] | None:
        """The asynchronous operation that calls, if one does."""
        task = asyncio.current_task(self._loop) if is_main_thread() else None
        return task if task in self._calls.later else None

    def _carry_out_later(self, method: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            result = method(*args)
        except BaseException as error:  # noqa: BLE001  a bug, whatever it is
            self._crash(error, f"call_later({getattr(method, '__name__', method)})", args)
        if asyncio.iscoroutine(result):
            later = self._loop.create_task(result)
            later.add_done_callback(partial(self._finished_later, args))

    def _finished_later(self, args: tuple[Any, ...], task: asyncio.Task[Any]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self._crash(error, "call_later", args)


_STOPPED = "stopped by the supervisor"


def _raise_system_exit(*_: object) -> NoReturn:
    raise SystemExit(_STOPPED)


def _error_exit(error: BaseException) -> Exit:
    return Exit("error", 1, error=repr(error), traceback=format_error(error))


def _summary(args: object) -> str:
    """The arguments of a call, for a report."""
    try:
        return without_secrets(repr(args)[:10_000])[:300]
    except Exception as error:  # noqa: BLE001  what an object's own __repr__ raises
        return f"(they cannot be shown: {error!r})"


def _request_id(frame: Frame) -> int | None:
    try:
        header = read_header(frame.data)
    except FrameError:
        return None
    return header.id if header.kind == REQUEST else None


def _flush(stream: Any) -> None:
    try:
        stream.flush()
    except (AttributeError, OSError, ValueError):
        # None, broken or closed: there is nobody to read what is left in it.
        return
