"""A listening socket and its connections, on an event loop; what comes in goes to one handler."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence

from supervisor._loop import Reactor
from supervisor._wire.frames import Frame, FrameError, FrameReader, close_all, frame_limit
from supervisor._wire.outbox import Outbox
from supervisor._wire.sockets import peer_is_allowed, receive

__all__ = ["Connection", "Endpoint", "Handler"]

logger = logging.getLogger("supervisor")

# Of a peer that sends, but does not read its answers, no more is read beyond so many bytes.
_MOST_UNREAD = 1024 * 1024

# How many connections are taken up at one turn of the loop, so that the others get theirs.
_ACCEPTS = 64

# While there are no descriptors left, taking up more connections has to wait.
_ACCEPT_PAUSE = 0.05


class Connection:
    """A connection to a caller."""

    __slots__ = ("_endpoint", "_outbox", "_paused", "_reader", "_socket", "_writing", "closed")

    def __init__(self, endpoint: Endpoint, sock: socket.socket) -> None:
        self._endpoint = endpoint
        self._socket = sock
        self._reader = FrameReader(endpoint.limit)
        self._outbox = Outbox()
        self._writing = False
        self._paused = False
        self.closed = False
        endpoint.loop.add_reader(sock.fileno(), self._readable)

    def put(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """Add a frame to what is to be sent; the descriptors stay the caller's."""
        if self.closed:
            return
        try:
            self._outbox.put(data, descriptors)
        except OSError as error:
            logger.warning("a connection is closed: its answer cannot be sent: %s", error)
            self.close()

    def flush(self) -> None:
        """Send as much as goes at once, and the rest when it can be."""
        if self.closed:
            return
        try:
            done = self._outbox.flush(self._socket)
        except OSError:
            # The caller is gone, and so is its interest in the answers.
            self.close()
            return
        loop = self._endpoint.loop
        if done == self._writing:
            self._writing = not done
            if done:
                loop.remove_writer(self._socket.fileno())
            else:
                loop.add_writer(self._socket.fileno(), self.flush)
        self._pause_or_resume()

    def drain(self, seconds: float) -> None:
        """Send the rest, waiting for a slow caller for no longer than this."""
        if self.closed:
            return
        try:
            self._socket.settimeout(seconds)
            self._outbox.flush(self._socket)
        except OSError:
            self.close()

    def close(self) -> None:
        """Close it."""
        if self.closed:
            return
        self.closed = True
        loop = self._endpoint.loop
        loop.remove_reader(self._socket.fileno())
        if self._writing:
            loop.remove_writer(self._socket.fileno())
        self._outbox.clear()
        self._reader.close()
        self._socket.close()
        self._endpoint.connections.discard(self)

    def _pause_or_resume(self) -> None:
        pause = self._outbox.size > _MOST_UNREAD
        if pause == self._paused:
            return
        self._paused = pause
        if pause:
            self._endpoint.loop.remove_reader(self._socket.fileno())
        else:
            self._endpoint.loop.add_reader(self._socket.fileno(), self._readable)

    def _readable(self) -> None:
        try:
            data, descriptors = receive(self._socket)
            frames = self._reader.feed(data, descriptors) if data else None
        except BlockingIOError:
            return
        except FrameError as error:
            logger.warning("a connection is closed: %s", error)
            self.close()
            return
        except OSError:
            self.close()
            return
        if frames is None:
            self.close()
            return
        for frame in frames:
            if self.closed:
                close_all(frame.descriptors)
            else:
                self._endpoint.handle(self, frame)


Handler = Callable[[Connection, Frame], None]


class Endpoint:
    """Takes up connections, and gives each frame to the handler.

    Args:
        loop: the loop to run on.
        listener: the listening socket.
        handle: is called with each frame and its connection.
    """

    def __init__(self, loop: Reactor, listener: socket.socket, handle: Handler) -> None:
        self.loop = loop
        self.handle = handle
        self.limit = frame_limit()
        self.connections: set[Connection] = set()
        self._listener = listener
        self._accepting = False

    def open(self) -> None:
        """Begin to take up connections."""
        self._listener.setblocking(False)
        self._accepting = True
        self.loop.add_reader(self._listener.fileno(), self._accept)

    def stop_accepting(self) -> None:
        """Take up no more: those that come wait in the queue for the next process."""
        if self._accepting:
            self._accepting = False
            self.loop.remove_reader(self._listener.fileno())

    def close(self) -> None:
        """Close every connection, and the listening socket."""
        self.stop_accepting()
        for connection in tuple(self.connections):
            connection.close()
        self._listener.close()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                logger.warning("no connection can be taken up: %s", error)
                self.stop_accepting()
                self.loop.call_later(_ACCEPT_PAUSE, self.open)
                return
            if not peer_is_allowed(sock):
                logger.warning("a connection of another user is refused")
                sock.close()
                continue
            sock.setblocking(False)
            self.connections.add(Connection(self, sock))
