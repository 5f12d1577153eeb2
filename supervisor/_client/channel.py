"""A connection that carries many calls at once, on an event loop."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Sequence

from supervisor._client.delivery import LinkLost
from supervisor._client.requests import discard
from supervisor._loop import Loop, Reactor, end_of_turn
from supervisor._node import ProcessPath
from supervisor._wire.frames import (
    RESPONSE,
    Frame,
    FrameError,
    FrameReader,
    Header,
    frame_limit,
    read_header,
    request_prefix,
)
from supervisor._wire.outbox import Outbox
from supervisor._wire.sockets import receive

__all__ = ["MOST_UNSENT", "Channel", "Receiver"]

# Of casts that a process does not read, so many bytes are kept for it, behind those that its socket
# holds; what comes beyond them is dropped.
MOST_UNSENT = 16 * 1024 * 1024

# Is called once for each request: with its response, or with what broke the connection.
Receiver = Callable[[Frame | None, Header | None, LinkLost | None], None]


class Channel:
    """A multiplexed connection to a process; its socket does not block.

    Attributes:
        path: the path of the process at the other end.
        since: when it was made, on the monotonic clock, or had its first answer.
    """

    def __init__(self, loop: Reactor, sock: socket.socket, path: ProcessPath) -> None:
        self.path = path
        self.since = time.monotonic()
        self.closed = False
        self._is_answered = False
        self._loop = loop
        self._soon = end_of_turn(loop)
        # Where the loop counts its turns; and the one in which a frame was sent at once.
        self._turns = loop if isinstance(loop, Loop) else None
        self._turn = -1
        self._socket = sock
        self._reader = FrameReader(frame_limit())
        self._outbox = Outbox()
        # In the order they were sent, which dicts keep.
        self._pending: dict[int, Receiver] = {}
        self._last_id = 0
        self._flushing = False
        self._writing = False
        loop.add_reader(sock.fileno(), self._readable)

    def request(self, body: bytes, descriptors: Sequence[int], receiver: Receiver) -> int:
        """Send a request: its body from the operation on. The receiver is called exactly once.

        Returns:
            Its id, for ``cancel``.

        Raises:
            LinkLost: the connection is broken already.
            OSError: there are no descriptors left to keep the request's own.
        """
        call_id = self._last_id = self._last_id % 0xFFFFFFFF + 1
        self.send(request_prefix(call_id) + body, descriptors)
        self._pending[call_id] = receiver
        return call_id

    def send(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send a frame, at the end of this turn of the loop, together with others.

        Raises:
            LinkLost: the connection is broken already.
            OSError: there are no descriptors left to keep the frame's own.
        """
        if self.closed:
            raise LinkLost(taken=False, sent=False)
        if not descriptors and self._is_first():
            data = self._send_now(data)
            if not data:
                return
        self._outbox.put(data, descriptors)
        if not self._flushing:
            self._flushing = True
            self._soon(self._flush)

    @property
    def unsent(self) -> int:
        """The bytes that wait for the peer to read what came before them."""
        return self._outbox.size

    def cancel(self, call_id: int) -> None:
        """No longer wait for that response."""
        self._pending.pop(call_id, None)

    def drain(self) -> None:
        """Take in what a peer that is gone has left."""
        if self.closed:
            return
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        while not self.closed and poller.poll(0):
            self._readable()

    def close(self) -> None:
        """Close it; who still waits is told that the connection broke."""
        self._lost(reset=False)

    def _is_first(self) -> bool:
        """Whether there is as yet nothing that it could be sent together with.

        That is the first frame of a turn that only one descriptor has brought something for, unless
        others wait.
        """
        turns = self._turns
        if turns is None or turns.events != 1 or turns.turns == self._turn or self._outbox.size:
            return False
        self._turn = turns.turns
        return True

    def _send_now(self, data: bytes) -> bytes:
        """Send a frame; what of it could not be sent is returned."""
        try:
            return data[self._socket.send(data) :]
        except OSError:
            # There is no room, or nobody: the end of this turn will see.
            return data

    def _flush(self) -> None:
        self._flushing = False
        if self.closed:
            return
        try:
            done = self._outbox.flush(self._socket)
        except OSError:
            # What the peer had answered before it went is still there to be read.
            self._outbox.clear()
            done = True
        if done == self._writing:
            self._writing = not done
            if done:
                self._loop.remove_writer(self._socket.fileno())
            else:
                self._loop.add_writer(self._socket.fileno(), self._flush)

    def _readable(self) -> None:
        try:
            data, descriptors = receive(self._socket)
            frames = self._reader.feed(data, descriptors) if data else []
        except BlockingIOError:
            return
        except ConnectionResetError:
            self._lost(reset=True)
            return
        except (OSError, FrameError):
            self._lost(reset=False)
            return
        if not data:
            self._lost(reset=False)
            return
        for frame in frames:
            self._received(frame)

    def _received(self, frame: Frame) -> None:
        try:
            header = read_header(frame.data)
        except FrameError:
            discard(frame)
            self._lost(reset=False)
            return
        if not self._is_answered:
            # What has ended before was another run, whose successor has found this in the queue.
            self._is_answered = True
            self.since = time.monotonic()
        receiver = self._pending.pop(header.id, None) if header.kind == RESPONSE else None
        if receiver is None:
            discard(frame)
        else:
            receiver(frame, header, None)

    def _lost(self, *, reset: bool) -> None:
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._socket.fileno())
        if self._writing:
            self._loop.remove_writer(self._socket.fileno())
        self._outbox.clear()
        self._reader.close()
        self._socket.close()
        pending, self._pending = self._pending, {}
        for position, receiver in enumerate(pending.values(), 1):
            # Bytes that the peer left unread are those of the last request, at least.
            last = position == len(pending)
            taken = not (reset and last)
            receiver(None, None, LinkLost(taken=taken, suspect=position == 1))
