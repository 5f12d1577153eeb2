"""What a server does with a call: it finds the operation, carries it out, and answers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import CoroutineType
from typing import Any, NoReturn, Protocol

from supervisor._context import is_main_thread
from supervisor._errors import BadCall, NoProcess
from supervisor._loop import Reactor
from supervisor._server.endpoint import Connection
from supervisor._server.operations import Operation, declared_errors, find_operations, unknown
from supervisor._server.responses import error_response, result_response
from supervisor._wire.blob import take_values
from supervisor._wire.codec import CodecError, Decoder
from supervisor._wire.frames import NOTIFICATION, REQUEST, Frame, FrameError, read_header

__all__ = ["Calls", "Crash"]

logger = logging.getLogger("supervisor")

_Params = tuple[list[Any], dict[str, Any]]


class Crash(Protocol):
    """Ends the process because of a bug, and tells the caller whose call it was."""

    def __call__(
        self,
        error: BaseException,
        doing: str,
        args: object,
        connection: Connection | None = None,
        call_id: int | None = None,
    ) -> NoReturn:
        """End it."""


class Calls:
    """Carries out the calls of one server's process.

    Args:
        loop: the process's loop.
        instance: which run of the process this is.
        crash: is called with a bug.

    Attributes:
        in_flight: how many operations were begun and are not done.
        later: who is to be answered when they are: the connection and the call's id.
        unbegun: whether there are asynchronous operations that have not taken their first step.
    """

    def __init__(self, loop: Reactor, instance: int, crash: Crash) -> None:
        self.in_flight = 0
        self.later: dict[Any, tuple[Connection, int]] = {}
        self.unbegun = False
        self._loop = loop
        self._instance = instance
        self._crash = crash
        self._decoder = Decoder()
        self._server: Any = None
        self._operations: dict[str, Operation] = {}
        self._asynchronous: frozenset[str] = frozenset()
        self._declared: tuple[type[BaseException], ...] = ()

    def serve(self, server: Any) -> None:
        """Carry them out on this object."""
        self._server = server
        self._operations = find_operations(server)
        self._asynchronous = frozenset(
            name
            for name, operation in self._operations.items()
            if inspect.iscoroutinefunction(operation.method)
        )
        self._declared = declared_errors(server)

    def is_in_turn(self, frame: Frame) -> bool:
        """Whether this call can be carried out now: those that came before it are begun first."""
        if not self.unbegun:
            return True
        try:
            return read_header(frame.data).operation in self._asynchronous
        except FrameError:
            return True

    def carry_out_whole(self, connection: Connection, data: bytes) -> bool:
        """Carry out the call that these bytes are; False if they are not one call, whole."""
        try:
            message = self._decoder.decode(data)
        except CodecError:
            # Several, or a part of one, or one with something wrong: the long way finds out.
            return False
        self._carry_out(connection, message, ())
        return True

    def carry_out(self, connection: Connection, frame: Frame) -> None:
        """Carry out the call of this frame."""
        try:
            message = self._decoder.decode(frame.data, frame.descriptors)
        except CodecError as error:
            self._refuse_undecodable(connection, frame, error)
            return
        self._carry_out(connection, message, frame.descriptors)

    def _carry_out(self, connection: Connection, message: Any, descriptors: Sequence[int]) -> None:
        try:
            call_id, name, (args, kwargs, *extras) = _call_of(message)
        except (ValueError, TypeError, IndexError, KeyError) as error:
            logger.warning("a connection is closed: %s: not a call: %.100r", error, message)
            connection.close()
            return
        if extras and self._is_void(connection, call_id, extras):
            return
        operation = self._operations.get(name) if type(name) is str else None
        if operation is None:
            self._refuse(connection, call_id, unknown(self._server, name, self._operations))
            return
        if type(args) is not list or type(kwargs) is not dict:
            self._refuse(connection, call_id, BadCall(f"{name}: params are [args, kwargs]"))
            return
        if descriptors and not operation.blobs:
            try:
                args = take_values(args)
                kwargs = dict(zip(kwargs, take_values(list(kwargs.values())), strict=True))
            except (OSError, ValueError) as error:
                refusal = BadCall(f"{name}: a large binary cannot be read: {error}")
                self._refuse(connection, call_id, refusal)
                return
        try:
            result = operation.method(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001  a reply, the caller's fault, or a bug
            self._failed(operation, (args, kwargs), connection, call_id, error)
            return
        if isinstance(result, (CoroutineType, concurrent.futures.Future)):
            self._answer_later(operation, (args, kwargs), connection, call_id, result)
        elif call_id is not None:
            try:
                response = result_response(call_id, result)
            except (CodecError, OSError) as error:
                self._crash(error, _result_of(operation), (args, kwargs), connection, call_id)
            connection.put(response.data, response.descriptors)

    def _is_void(self, connection: Connection, call_id: int | None, extras: list[Any]) -> bool:
        """Whether the call is for nobody: its caller has given up, or meant another process."""
        deadline = extras[0]
        if isinstance(deadline, float) and deadline < time.monotonic():
            return True
        if len(extras) > 1 and extras[1] != self._instance:
            self._refuse(connection, call_id, NoProcess("that run of the process has ended"))
            return True
        return False

    def _failed(
        self,
        operation: Operation,
        params: _Params,
        connection: Connection,
        call_id: int | None,
        error: BaseException,
    ) -> None:
        """An operation has raised an error."""
        if isinstance(error, self._declared):
            self._refuse(connection, call_id, error)
            return
        misfit = operation.misfit(*params, error) if isinstance(error, TypeError) else None
        if misfit is None:
            self._crash(error, operation.name, params, connection, call_id)
        self._refuse(connection, call_id, misfit)

    # --- later ---------------------------------------------------------------------------------

    def _answer_later(
        self,
        operation: Operation,
        params: _Params,
        connection: Connection,
        call_id: int | None,
        result: Any,
    ) -> None:
        """Answer when an asynchronous operation, or a future, is done."""
        if isinstance(result, CoroutineType):
            result = self._loop.create_task(result)
            if not self.unbegun:
                self.unbegun = True
                self._loop.call_soon(self._begun)
        self.in_flight += 1
        if call_id is not None:
            self.later[result] = (connection, call_id)
        done = partial(self._done, operation, params, connection, call_id)
        if isinstance(result, asyncio.Future):
            result.add_done_callback(done)
        else:
            result.add_done_callback(partial(self._done_somewhere, done))

    def _begun(self) -> None:
        """The tasks of the last turn take their first steps in this one, before what came later."""
        self.unbegun = False

    def _done_somewhere(self, done: Callable[[Any], None], future: Any) -> None:
        """A future is done: maybe in another thread, so the rest happens in this one."""
        if is_main_thread():
            done(future)
        else:
            self._loop.call_soon_threadsafe(done, future)

    def _done(
        self,
        operation: Operation,
        params: _Params,
        connection: Connection,
        call_id: int | None,
        future: Any,
    ) -> None:
        self.later.pop(future, None)
        self.in_flight -= 1
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        if error is not None:
            # A wrapper takes any arguments, and finds out later that they do not fit.
            misfit = operation.mismatch(*params) if isinstance(error, TypeError) else None
            if misfit is None and not isinstance(error, self._declared):
                self._crash(error, operation.name, params, connection, call_id)
            self._refuse(connection, call_id, misfit or error)
        elif call_id is not None:
            try:
                response = result_response(call_id, future.result())
            except (CodecError, OSError) as problem:
                self._crash(problem, _result_of(operation), params, connection, call_id)
            # Others may be done by the end of this turn, for the same caller too.
            connection.put_later(response.data, response.descriptors)

    # --- refusals ------------------------------------------------------------------------------

    def _refuse(self, connection: Connection, call_id: int | None, error: BaseException) -> None:
        if call_id is None:
            logger.warning("a cast is dropped: %s", error)
        else:
            connection.put(error_response(call_id, error).data)

    def _refuse_undecodable(self, connection: Connection, frame: Frame, error: CodecError) -> None:
        try:
            header = read_header(frame.data)
        except FrameError as garbage:
            logger.warning("a connection is closed: %s", garbage)
            connection.close()
            return
        cause = error.__cause__
        answer = cause if isinstance(cause, self._declared) else BadCall(f"the call {error}")
        self._refuse(connection, header.id if header.kind == REQUEST else None, answer)


def _result_of(operation: Operation) -> str:
    return f"the result of {operation.name}"


def _call_of(message: Any) -> tuple[int | None, Any, Any]:
    """The call's id (None of a cast), its operation, and its params.

    Raises:
        ValueError, TypeError, IndexError, KeyError: it is no call.
    """
    kind = message[0]
    if kind == REQUEST:
        _, call_id, name, params = message
        if type(call_id) is not int or not 0 <= call_id < 1 << 64:
            raise ValueError("its id is no number")
        return call_id, name, params
    if kind == NOTIFICATION:
        _, name, params = message
        return None, name, params
    raise ValueError("neither a request nor a notification")
