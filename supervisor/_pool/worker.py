"""The life of a worker: takes one task after the other, and answers each."""

from __future__ import annotations

import array
import asyncio
import faulthandler
import gc
import inspect
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import traceback
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NoReturn

import multiprocess

from supervisor._exit import Exit
from supervisor._pool.messages import (
    BEGUN,
    ERROR,
    INLINE,
    LOADING,
    LOG,
    PREFIX,
    PRINTED,
    RESULT,
    WORKER_PREFIX,
)
from supervisor._pool.output import capture_output, end_lines, line_buffered
from supervisor._pool.payload import (
    Body,
    Incoming,
    dump_error,
    dump_result,
    return_to_callers,
)
from supervisor._pool.spec import PoolWorker
from supervisor._process.control import ControlPipe
from supervisor._process.launch import unblock_signals
from supervisor._server.heart import DUMP_SIGNAL
from supervisor._wire.sockets import send

__all__ = ["run_worker"]

# More than any message to a worker.
_READ_SIZE = INLINE + 64 * 1024
_ANCILLARY = socket.CMSG_SPACE(array.array("i").itemsize)

# So many functions are kept as objects, by their bytes.
_KEPT_FUNCTIONS = 256


class _Stopped(SystemExit):
    """SIGTERM came."""


class _Worker:
    """Takes tasks from a socket, and answers them there.

    Args:
        spec: of the worker.
        channel: the socket to the pool: one message is one task.
    """

    def __init__(self, spec: PoolWorker, channel: socket.socket) -> None:
        self._spec = spec
        self._channel = channel
        self._functions: OrderedDict[bytes, Callable[..., Any]] = OrderedDict()
        self._task = 0

    def prepare(self) -> None:
        """Run the initializer, and see to output, logs and stacks."""
        return_to_callers()
        line_buffered()
        _dump_stacks_for(self._channel)
        if self._spec.authkey is not None:
            for library in (multiprocessing, multiprocess):
                library.current_process().authkey = self._spec.authkey
        self._spec.target(*self._spec.args, **self._spec.kwargs)
        if self._spec.authkey is not None:
            capture_output(
                lambda line: self._tell(PRINTED, line), lambda record: self._tell(LOG, record)
            )
        # What is here by now stays: looking through it at each collection would be in vain.
        gc.collect()
        gc.freeze()

    def serve(self) -> Exit:
        """Carry out tasks; return when there have been as many as may be."""
        limit = self._spec.max_tasks
        done = 0
        while limit is None or done < limit:
            data, ancillary, _, _ = self._channel.recvmsg(_READ_SIZE, _ANCILLARY, _CLOEXEC)
            if not data:
                break
            self._carry_out(data, _descriptor(ancillary))
            done += 1
        return Exit("normal", 0)

    def _carry_out(self, data: bytes, descriptor: int | None) -> None:
        (self._task,) = PREFIX.unpack_from(data)
        try:
            call = self._load(data[PREFIX.size :], descriptor)
        except _Stopped:
            raise
        except BaseException as error:  # noqa: BLE001  whatever the objects in it do
            error.add_note("the task could not be rebuilt in the worker")
            self._answer(ERROR, dump_error(error))
            return
        finally:
            if descriptor is not None:
                os.close(descriptor)
        self._call(*call)

    def _load(
        self, data: bytes, descriptor: int | None
    ) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        incoming = Incoming(data, descriptor)
        function = self._functions.get(incoming.function)
        if function is None or descriptor is not None:
            # This may import modules: should the worker be killed meanwhile, it is not the task's.
            self._tell(LOADING, b"")
            if function is None:
                function = pickle.loads(incoming.function)
                self._keep(incoming.function, function)
            args, *kwargs = incoming.value()
            self._tell(BEGUN, b"")
        else:
            args, *kwargs = incoming.value()
        return function, args, kwargs[0] if kwargs else {}

    def _keep(self, data: bytes, function: Callable[..., Any]) -> None:
        # Others are carried anew, with what they refer to, and would be mixed up.
        if len(data) <= INLINE:
            self._functions[data] = function
            if len(self._functions) > _KEPT_FUNCTIONS:
                self._functions.popitem(last=False)

    def _call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        try:
            result = function(*args, **kwargs)
            if inspect.iscoroutine(result):
                result = asyncio.run(result)
            if self._spec.authkey is not None:
                end_lines()
        except _Stopped:
            raise
        except BaseException as error:  # noqa: BLE001  it is the answer, as in concurrent.futures
            self._answer(ERROR, dump_error(error))
            error.__traceback__ = None
            return
        try:
            body = dump_result(result)
        except _Stopped:
            raise
        except BaseException as problem:  # noqa: BLE001  whatever the objects in it do
            what = f"the result, a {type(result).__name__}, cannot be sent: {problem}"
            refusal = pickle.PicklingError(what)
            refusal.__traceback__ = problem.__traceback__
            self._answer(ERROR, dump_error(refusal))
            return
        self._answer(RESULT, body)

    # --- answers -------------------------------------------------------------------------------

    def _answer(self, kind: int, body: Body) -> None:
        descriptors = () if body.blob is None else (body.blob.fileno(),)
        try:
            self._send(kind, body.data, descriptors)
        finally:
            body.close()

    def _tell(self, kind: int, data: bytes) -> None:
        self._send(kind, data, ())

    def _send(self, kind: int, data: bytes, descriptors: tuple[int, ...]) -> None:
        message = WORKER_PREFIX.pack(self._task, kind) + data
        if descriptors:
            send(self._channel, message, descriptors)
        else:
            self._channel.send(message)


_CLOEXEC = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))


def _descriptor(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            return int(array.array("i", payload)[0])
    return None


def _dump_stacks_for(channel: socket.socket) -> None:
    """Let a fatal signal, or the pool's question, leave the stacks where the pool can read them."""
    if not hasattr(os, "memfd_create"):
        return
    stacks = os.memfd_create("regrow-stacks")
    faulthandler.enable(file=stacks, all_threads=False)
    faulthandler.register(DUMP_SIGNAL, file=stacks, all_threads=True)
    send(channel, WORKER_PREFIX.pack(0, LOADING), [stacks])


def run_worker(spec: PoolWorker, channel: socket.socket, control: ControlPipe) -> int:
    """Be a worker; return the exit status."""
    signal.signal(signal.SIGTERM, _stop)
    worker = _Worker(spec, channel)
    try:
        unblock_signals()
        worker.prepare()
    except _Stopped:
        control.send("exit", Exit("shutdown", 0))
        return 0
    except BaseException as error:  # noqa: BLE001  whatever an initializer raises
        control.send("failed", [], repr(error), traceback.format_exc())
        return 1
    control.send("ready")
    try:
        exit = worker.serve()
    except _Stopped:
        exit = Exit("shutdown", 0)
    except OSError:
        # The pool is gone.
        return 1
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    control.send("exit", exit)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    return 0


def _stop(*_: object) -> NoReturn:
    raise _Stopped
