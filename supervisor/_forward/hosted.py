"""A backend in the forwarder's own process: its methods are called on threads."""

from __future__ import annotations

import concurrent.futures
import inspect
import logging
from collections.abc import Callable
from typing import Any

from supervisor._errors import BadCall, CallTimeout
from supervisor._forward.calls import ForwardedCall
from supervisor._forward.forwarder import Hosted
from supervisor._forward.sweeper import Sweeper
from supervisor._loop import Reactor
from supervisor._server.operations import Operation, declared_errors, find_operations, unknown
from supervisor._server.responses import Response, error_response, result_response
from supervisor._wire.blob import take_values
from supervisor._wire.codec import CodecError, Decoder
from supervisor._wire.frames import Frame, close_all

__all__ = ["HostedBackend"]

logger = logging.getLogger("supervisor")

# As many calls of a hosted object may block at a time before further ones have to wait.
_THREADS = 256

Answer = Callable[[ForwardedCall, Response], None]
Fail = Callable[[ForwardedCall, Exception], None]


class HostedBackend:
    """Calls one object on a pool of threads.

    Args:
        loop: the forwarder's.
        route: the object, and how to make another.
        answer: is called, on the loop's thread, with a call and its response.
        fail: is called, on the loop's thread, with a call that ended in a bug, and with the bug.
    """

    def __init__(self, loop: Reactor, route: Hosted, answer: Answer, fail: Fail) -> None:
        self._loop = loop
        self._route = route
        self._sweeper = Sweeper(loop, self._expire)
        self._answer = answer
        self._fail = fail
        self._decoder = Decoder()
        # What was given to the threads and is not done; changed on the loop's thread only.
        self.load = 0
        self._threads = concurrent.futures.ThreadPoolExecutor(_THREADS, "hosted")
        self._host(route.server)

    def _host(self, server: Any) -> None:
        self._server = server
        self._operations = find_operations(server, on_threads=True)
        self._declared = declared_errors(server)
        for operation in self._operations.values():
            if inspect.iscoroutinefunction(operation.method):
                raise TypeError(
                    f"{type(server).__name__}.{operation.name} is asynchronous: such an object "
                    "cannot be hosted on threads; run it as a process of its own"
                )

    def forward(self, call: ForwardedCall) -> None:
        """Carry a call out."""
        self._sweeper.add(call)
        # The descriptors are the decoder's from here on.
        frame = Frame(b"\x93\x00" + call.body, call.descriptors)
        call.descriptors = ()
        self.load += 1
        self._threads.submit(self._carry_out, call, frame, self._server)

    def cast(self, data: bytes) -> bool:
        """Carry out a notification, which nobody waits for."""
        self.load += 1
        self._threads.submit(self._carry_out_cast, data)
        return True

    def _carry_out(self, call: ForwardedCall, frame: Frame, server: Any) -> None:
        if call.answered:
            # Its caller has given up on it while it waited for a thread.
            close_all(frame.descriptors)
            self._loop.call_soon_threadsafe(self._done)
            return
        try:
            _, name, (args, kwargs, *_) = self._decoder.decode(frame.data, frame.descriptors)
            operation = self._operations.get(name)
            if operation is None:
                raise unknown(server, name, self._operations)
            if frame.descriptors and not operation.blobs:
                args = take_values(args)
                kwargs = dict(zip(kwargs, take_values(list(kwargs.values())), strict=True))
            result = self._operate(operation, args, kwargs)
        except BaseException as error:  # noqa: BLE001  it is the call's, not the thread's
            self._settle(call, error, server)
            return
        if isinstance(result, concurrent.futures.Future):
            result.add_done_callback(lambda future: self._settle_later(call, future, server))
        else:
            self._settle_result(call, result, server)

    def _operate(self, operation: Operation, args: list[Any], kwargs: dict[str, Any]) -> Any:
        try:
            return operation.method(*args, **kwargs)
        except TypeError as error:
            misfit = operation.misfit(args, kwargs, error)
            if misfit is None:
                raise
            raise misfit from None

    def _settle_later(self, call: ForwardedCall, future: Any, server: Any) -> None:
        error = future.exception() if not future.cancelled() else RuntimeError("cancelled")
        if error is None:
            self._settle_result(call, future.result(), server)
        else:
            self._settle(call, error, server)

    def _settle_result(self, call: ForwardedCall, result: Any, server: Any) -> None:
        try:
            response = result_response(call.id, result)
        except (CodecError, OSError) as error:
            self._settle(call, error, server)
        else:
            self._loop.call_soon_threadsafe(self._settled, call, response)

    def _done(self) -> None:
        self.load -= 1

    def _settled(self, call: ForwardedCall, response: Response) -> None:
        self._done()
        self._sweeper.discard(call)
        self._answer(call, response)

    def _expire(self, call: ForwardedCall) -> None:
        """Its thread goes on; what comes of it, nobody waits for any more."""
        name = type(self._server).__name__
        self._fail(call, CallTimeout(f"{name} did not answer {call.operation} in time"))

    def _settle(self, call: ForwardedCall, error: BaseException, server: Any) -> None:
        cause = error.__cause__ if isinstance(error, CodecError) else error
        if cause is not None and isinstance(cause, (BadCall, *self._declared)):
            response = error_response(call.id, cause)
            self._loop.call_soon_threadsafe(self._settled, call, response)
        else:
            self._loop.call_soon_threadsafe(self._crashed, call, error, server)

    def _crashed(self, call: ForwardedCall, error: BaseException, server: Any) -> None:
        """What a process would die of: the object is replaced, where there is a way to make one."""
        logger.error("%s: %s crashed", call.operation, type(server).__name__, exc_info=error)
        self._done()
        if self._route.rebuild is not None and server is self._server:
            self._threads.submit(self._replace, server)
        self._sweeper.discard(call)
        problem = error if isinstance(error, Exception) else RuntimeError(repr(error))
        self._fail(call, problem)

    def _replace(self, server: Any) -> None:
        try:
            if self._route.rebuild is not None and server is self._server:
                self._host(self._route.rebuild())
                _close(server)
        except Exception:  # the old one is as good as none, and goes on
            logger.exception("%s could not be made anew", type(server).__name__)

    def _carry_out_cast(self, data: bytes) -> None:
        try:
            _, name, (args, kwargs, *_) = self._decoder.decode(data)
            operation = self._operations.get(name)
            if operation is None:
                raise unknown(self._server, name, self._operations)
            operation.method(*args, **kwargs)
        except Exception:  # nobody waits for it
            logger.exception("a cast failed")
        finally:
            self._loop.call_soon_threadsafe(self._done)

    def close(self) -> None:
        """Let running calls end, and close the object."""
        self._sweeper.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        _close(self._server)


def _close(server: Any) -> None:
    close = getattr(server, "close", None)
    if callable(close):
        close()
