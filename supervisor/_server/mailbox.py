"""The mailbox of a server: what waits to be carried out, in order of arrival, within a bound.

A request beyond the bound is refused with Overloaded, and nothing is done; it is never dropped in
silence. Requests count from when the loop has read them until they are begun; asynchronous ones,
and those that are answered by a future, until they are answered. What a busy server has not read
yet waits in its sockets, where the kernel holds callers up; it is read, and judged, as soon as the
loop turns: at least so often as ``_SLICE`` says, unless one operation alone takes longer. The
answers to calls that the server itself makes come over connections of their own: no mailbox, full
or not, is on their way.

A request that comes alone, while nothing waits, need not wait either: it is carried out at once.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from supervisor import _validate as validate
from supervisor._errors import Overloaded
from supervisor._loop import Loop, Reactor, end_of_turn
from supervisor._server.calls import Calls
from supervisor._server.endpoint import Connection
from supervisor._server.responses import Response, error_response
from supervisor._wire.frames import REQUEST, Frame, FrameError, close_all, read_header

__all__ = ["DEFAULT_SIZE", "DroppedCasts", "Mailbox", "mailbox_size", "refusal"]

logger = logging.getLogger("supervisor")

DEFAULT_SIZE = 10_000

# For how many seconds operations are carried out before the loop is to turn: to hear the
# supervisor, to take up connections, to let timers ring.
_SLICE = 0.1

# Dropped casts are told of once in so many seconds, however many they are.
_SECONDS_BETWEEN_WARNINGS = 1.0


def mailbox_size(server: object) -> int:
    """The bound that the server's class sets.

    Raises:
        SpecError: it is no number of requests.
    """
    size: Any = getattr(type(server), "mailbox_size", DEFAULT_SIZE)
    if callable(size):
        # A plain class may have an operation of that name.
        return DEFAULT_SIZE
    return validate.integer(type(server).__name__, "mailbox_size", size, least=1)


class Mailbox:
    """What waits, and when it is carried out.

    Args:
        loop: the process's loop.
        calls: what carries requests out.

    Attributes:
        size: how many requests may wait or be in flight.
    """

    def __init__(self, loop: Reactor, calls: Calls) -> None:
        self.size = DEFAULT_SIZE
        self._loop = loop
        self._soon = end_of_turn(loop)
        self._calls = calls
        self._waiting: deque[tuple[Connection, Frame] | Callable[[], object]] = deque()
        self._scheduled = False
        self._dropped = DroppedCasts(loop)
        # Where the loop counts its turns: the one that requests were last carried out in as they
        # came, and until when that may go on.
        self._turns = loop if isinstance(loop, Loop) else None
        self._turn = 0
        self._until = 0.0

    def carry_out_whole(self, connection: Connection, data: bytes) -> bool:
        """Carry out at once what is one whole request, unless it has to wait; whether it was."""
        calls = self._calls
        if self._waiting or calls.unbegun or calls.in_flight >= self.size or not self._may_work():
            return False
        return self._calls.carry_out_whole(connection, data)

    def receive(self, connection: Connection, frames: list[Frame]) -> None:
        """Take frames in, or refuse them."""
        for frame in frames:
            if connection.closed:
                close_all(frame.descriptors)
            elif len(self._waiting) + self._calls.in_flight >= self.size:
                self._refuse(connection, frame)
            else:
                self._waiting.append((connection, frame))
        if self._waiting and not self._scheduled:
            self._scheduled = True
            self._soon(self._work)

    def _may_work(self) -> bool:
        """Whether this turn's slice is not over yet."""
        if self._turns is None:
            return False
        if self._turns.turns != self._turn:
            self._turn = self._turns.turns
            self._until = time.monotonic() + _SLICE
            return True
        return time.monotonic() < self._until

    def add(self, callback: Callable[[], object]) -> None:
        """Call back in turn with the requests; this is the server's own, and has no bound."""
        self._waiting.append(callback)
        if not self._scheduled:
            self._scheduled = True
            self._soon(self._work)

    def take_all(self) -> Iterator[tuple[Connection, Frame]]:
        """The requests that nobody will carry out any more."""
        while self._waiting:
            item = self._waiting.popleft()
            if isinstance(item, tuple):
                yield item

    def _work(self) -> None:
        """Carry out what waits, in order of arrival, until the slice is over."""
        self._scheduled = False
        waiting = self._waiting
        until = None
        connection: Connection | None = None
        while waiting:
            if self._calls.unbegun and not self._is_in_turn(waiting[0]):
                if connection is not None:
                    connection.flush()
                self._work_on()
                return
            item = waiting.popleft()
            if not isinstance(item, tuple):
                item()
                continue
            connection, frame = item
            if waiting and self._is_of(waiting[0], connection):
                # Answers to one caller that follow one another are sent together.
                connection.hold()
            self._calls.carry_out(connection, frame)
            if not waiting:
                connection.flush()
                return
            if until is None:
                until = time.monotonic() + _SLICE
            is_over = time.monotonic() > until
            if is_over or not self._is_of(waiting[0], connection):
                connection.flush()
            if is_over:
                self._work_on()
                return

    def _work_on(self) -> None:
        """Go on with it when the loop has turned."""
        self._scheduled = True
        self._loop.call_soon(self._work)

    def _is_in_turn(self, item: tuple[Connection, Frame] | Callable[[], object]) -> bool:
        return isinstance(item, tuple) and self._calls.is_in_turn(item[1])

    @staticmethod
    def _is_of(item: object, connection: Connection) -> bool:
        return isinstance(item, tuple) and item[0] is connection

    # --- beyond the bound ----------------------------------------------------------------------

    def _refuse(self, connection: Connection, frame: Frame) -> None:
        close_all(frame.descriptors)
        try:
            header = read_header(frame.data)
        except FrameError as error:
            logger.warning("a connection is closed: %s", error)
            connection.close()
            return
        if header.kind != REQUEST:
            self._dropped.add(_waiting(self.size))
            return
        connection.put(refusal(header.id, self.size).data)


def refusal(call_id: int, size: int) -> Response:
    """The answer to a request beyond the bound."""
    return error_response(call_id, Overloaded(f"{_waiting(size)}; nothing was done"))


def _waiting(size: int) -> str:
    return f"{size} requests wait or are in flight"


class DroppedCasts:
    """Tells the log of casts beyond the bound: nobody waits for a cast, so only that can tell.

    Args:
        loop: the process's loop.
    """

    def __init__(self, loop: Reactor) -> None:
        self._loop = loop
        self._count = 0

    def add(self, why: str) -> None:
        """One is dropped."""
        self._count += 1
        if self._count == 1:
            logger.warning("a cast is dropped: %s", why)
            self._loop.call_later(_SECONDS_BETWEEN_WARNINGS, self._tell)

    def _tell(self) -> None:
        further, self._count = self._count - 1, 0
        if further:
            logger.warning("%d more casts were dropped, for the same reason", further)
