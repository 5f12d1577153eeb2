"""A small event loop: one selector, timers, futures and tasks; nothing else.

It has the methods of asyncio's loops by the same names, so that what runs on it runs on asyncio as
well, and asyncio's own Future and Task run on it. It is here because a wake-up of asyncio's loops
costs several times as much, and every call through a process pays for each wake-up on its way.
"""

# mypy: disable-error-code="override"
# (typeshed spells the callbacks' arguments out with type variables; here they are plain)

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any

from supervisor._spin import SPIN_SECONDS, Spin, give_way, now

__all__ = ["Loop", "Reactor", "end_of_turn", "new_loop"]

logger = logging.getLogger("supervisor")

Callback = Callable[..., object]

# What of an event loop the runtime uses: either this one, or asyncio's.
Reactor = asyncio.AbstractEventLoop

_READ = select.POLLIN | select.POLLPRI
_WRITE = select.POLLOUT
_BROKEN = select.POLLERR | select.POLLHUP
_READ_OR_BROKEN = _READ | _BROKEN
_WRITE_OR_BROKEN = _WRITE | _BROKEN

# poll(2) and epoll_wait(2) take so many milliseconds as fit an int.
_LONGEST_WAIT = 86400.0


class Loop(asyncio.AbstractEventLoop):
    """An event loop on epoll(7), or on poll(2) where there is none.

    Args:
        spin: whether to look again for a moment before going to sleep; see ``_spin``.

    Attributes:
        turns: how often it has turned.
        events: how many descriptors this turn has brought something for.
    """

    def __init__(self, *, spin: bool = False) -> None:
        self._spin = Spin() if spin else None
        self._poller = _Epoll() if hasattr(select, "epoll") else _Poll()
        self._readers: dict[int, tuple[Callback, tuple[Any, ...]]] = {}
        self._writers: dict[int, tuple[Callback, tuple[Any, ...]]] = {}
        self._ready: deque[asyncio.Handle] = deque()
        self._end_of_turn: deque[Callback] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._cancelled_timers = 0
        self._numbers = itertools.count()
        self.turns = 0
        self.events = 0
        self._running = False
        self._closed = False
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self.add_reader(self._wake_receiver.fileno(), self._drain)

    # --- descriptors ---------------------------------------------------------------------------

    def add_reader(self, fd: Any, callback: Callback, *args: Any) -> None:
        """Call back whenever the descriptor can be read, or is at its end."""
        self._readers[_number(fd)] = (callback, args)
        self._update(_number(fd))

    def remove_reader(self, fd: Any) -> bool:
        """Stop that; say whether there was something to stop."""
        found = self._readers.pop(_number(fd), None) is not None
        if found:
            self._update(_number(fd))
        return found

    def add_writer(self, fd: Any, callback: Callback, *args: Any) -> None:
        """Call back whenever the descriptor can be written, or is broken."""
        self._writers[_number(fd)] = (callback, args)
        self._update(_number(fd))

    def remove_writer(self, fd: Any) -> bool:
        """Stop that; say whether there was something to stop."""
        found = self._writers.pop(_number(fd), None) is not None
        if found:
            self._update(_number(fd))
        return found

    def _update(self, fd: int) -> None:
        self._poller.watch(
            fd, (_READ if fd in self._readers else 0) | (_WRITE if fd in self._writers else 0)
        )

    def _drain(self) -> None:
        try:
            while self._wake_receiver.recv(4096):
                continue
        except BlockingIOError:
            return

    # --- signals -------------------------------------------------------------------------------

    def add_signal_handler(self, sig: int, callback: Callback, *args: Any) -> None:
        """Call back, in turn, when this process gets the signal; only in its main thread."""
        # The wake-up descriptor is written to by the handler in C: a signal that comes between the
        # last bytecode and the wait would otherwise wait with it.
        signal.set_wakeup_fd(self._wake_sender.fileno(), warn_on_full_buffer=False)
        signal.signal(sig, lambda *_: self.call_soon_threadsafe(callback, *args))
        signal.siginterrupt(sig, False)

    # --- callbacks -----------------------------------------------------------------------------

    def time(self) -> float:
        """The monotonic clock, in seconds."""
        return time.monotonic()

    def call_soon(
        self, callback: Callback, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Call back at the next turn."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at_end_of_turn(self, callback: Callback) -> None:
        """Call back when what this turn's descriptors have brought is handled; in this thread."""
        self._end_of_turn.append(callback)

    def call_soon_threadsafe(
        self, callback: Callback, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Call back at the next turn; from any thread, or a signal handler."""
        handle = self.call_soon(callback, *args, context=context)
        try:
            self._wake_sender.send(b"\0")
        except BlockingIOError:
            # Full of bytes that nobody has drained yet: it will wake without this one.
            return handle
        return handle

    def call_later(
        self, delay: float, callback: Callback, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back after so many seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callback, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back at a time of this loop's clock."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        handle._scheduled = True  # type: ignore[attr-defined]
        return handle

    def _timer_handle_cancelled(self, _: asyncio.TimerHandle) -> None:
        # Called by asyncio.TimerHandle.cancel. Most timers are cancelled: sweep them out before
        # they are more than what is left.
        self._cancelled_timers += 1
        if self._cancelled_timers > 64 and self._cancelled_timers * 2 > len(self._timers):
            self._timers = [entry for entry in self._timers if not entry[2].cancelled()]
            heapq.heapify(self._timers)
            self._cancelled_timers = 0

    # --- futures and tasks ---------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **options: Any
    ) -> asyncio.Task[Any]:
        """Run a coroutine on this loop."""
        return asyncio.Task(coro, loop=self, **options)

    def get_debug(self) -> bool:
        """False: asyncio's debug mode is for asyncio's loops."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Log what a callback or a forgotten task raised."""
        logger.error("%s", context.get("message"), exc_info=context.get("exception"))

    # --- running -------------------------------------------------------------------------------

    def run_forever(self) -> None:
        """Turn until ``stop`` is called."""
        if self._running:
            raise RuntimeError("the loop is running")
        self._running = True
        asyncio._set_running_loop(self)
        try:
            while self._running:
                self._turn()
        finally:
            self._running = False
            asyncio._set_running_loop(None)

    def run_until_complete(self, future: Any) -> Any:
        """Run a coroutine or future to its end, and return its result."""
        task = asyncio.ensure_future(future, loop=self)
        task.add_done_callback(lambda _: self.stop())
        self.run_forever()
        return task.result()

    def stop(self) -> None:
        """Stop at the end of this turn."""
        self._running = False

    def is_running(self) -> bool:
        """Whether it turns."""
        return self._running

    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def close(self) -> None:
        """Let go of its descriptors."""
        if not self._closed:
            self._closed = True
            self._poller.close()
            self._wake_receiver.close()
            self._wake_sender.close()

    def _turn(self) -> None:
        self.turns += 1
        events = self._wait()
        self.events = len(events)
        for fd, mask in events:
            if mask & _READ_OR_BROKEN:
                reader = self._readers.get(fd)
                if reader is not None:
                    self._call(*reader)
            if mask & _WRITE_OR_BROKEN:
                writer = self._writers.get(fd)
                if writer is not None:
                    self._call(*writer)
        if self._timers and self._timers[0][0] <= time.monotonic():
            self._ring()
        while self._end_of_turn:
            self._call(self._end_of_turn.popleft(), ())
        if self._ready:
            for _ in range(len(self._ready)):
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()

    def _wait(self) -> list[tuple[int, int]]:
        if self._ready or self._end_of_turn or not self._running:
            return self._poller.poll(0)
        spin = self._spin
        if spin is None or not spin.is_worth_it():
            return self._poller.poll(self._patience())
        limit = now() + SPIN_SECONDS
        while True:
            events = self._poller.poll(0)
            if events:
                spin.paid()
                return events
            if self._timers and self._timers[0][0] <= time.monotonic():
                return events
            if now() > limit:
                spin.was_in_vain()
                return self._poller.poll(self._patience())
            give_way()

    def _call(self, callback: Callback, args: tuple[Any, ...]) -> None:
        try:
            callback(*args)
        except Exception as error:  # noqa: BLE001  one connection's trouble is not the loop's
            self.call_exception_handler({"message": f"in {callback!r}", "exception": error})

    def _patience(self) -> float | None:
        """How long to wait for a descriptor: None is without limit."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
            self._cancelled_timers -= 1
        if not self._timers:
            return None
        return min(max(0.0, self._timers[0][0] - self.time()), _LONGEST_WAIT)

    def _ring(self) -> None:
        now = self.time()
        while self._timers and self._timers[0][0] <= now:
            _, _, handle = heapq.heappop(self._timers)
            handle._scheduled = False  # type: ignore[attr-defined]
            if handle.cancelled():
                self._cancelled_timers -= 1
            else:
                self._ready.append(handle)


class _Epoll:
    """epoll(7), told only what changes."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._masks: dict[int, int] = {}

    def watch(self, fd: int, mask: int) -> None:
        known = self._masks.get(fd, 0)
        if mask == known:
            return
        if not mask:
            del self._masks[fd]
            self._epoll.unregister(fd)
        elif known:
            self._epoll.modify(fd, mask)
            self._masks[fd] = mask
        else:
            self._epoll.register(fd, mask)
            self._masks[fd] = mask

    def poll(self, seconds: float | None) -> list[tuple[int, int]]:
        return self._epoll.poll(seconds)

    def close(self) -> None:
        self._epoll.close()


class _Poll:
    """poll(2)."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._masks: dict[int, int] = {}

    def watch(self, fd: int, mask: int) -> None:
        if mask:
            self._poll.register(fd, mask)
            self._masks[fd] = mask
        elif self._masks.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def poll(self, seconds: float | None) -> list[tuple[int, int]]:
        return self._poll.poll(None if seconds is None else seconds * 1000)

    def close(self) -> None:
        self._masks.clear()


def _number(fd: Any) -> int:
    return fd if isinstance(fd, int) else fd.fileno()


def end_of_turn(loop: Reactor) -> Callable[[Callback], object]:
    """What calls back at the end of this turn where that can be had, or else at the next one."""
    return loop.call_at_end_of_turn if isinstance(loop, Loop) else loop.call_soon


def new_loop(*, spin: bool = False) -> Loop:
    """A loop of the runtime's own."""
    # What it leaves out of asyncio's loops - transports, subprocesses, executors - nobody here asks
    # it for: a server with asynchronous operations runs on asyncio's.
    return Loop(spin=spin)  # type: ignore[abstract]
