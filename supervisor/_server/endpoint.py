"""A listening socket and its connections, on an event loop; what comes in goes to one handler."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence

from supervisor._loop import Reactor, end_of_turn
from supervisor._wire.frames import Frame, FrameError, FrameReader, frame_limit
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

    __slots__ = (
        "_alone",
        "_endpoint",
        "_held",
        "_outbox",
        "_paused",
        "_reader",
        "_socket",
        "_writing",
        "closed",
    )

    def __init__(self, endpoint: Endpoint, sock: socket.socket) -> None:
        self._endpoint = endpoint
        self._socket = sock
        self._reader = FrameReader(endpoint.limit)
        self._outbox = Outbox()
        self._writing = False
        self._paused = False
        # Whether answers wait for a flush.
        self._held = False
        # Whether what came last was one frame, as is likely then of what comes next.
        self._alone = True
        self.closed = False
        endpoint.loop.add_reader(sock.fileno(), self._readable)

    @property
    def is_stuck(self) -> bool:
        """Whether the peer does not take what is sent to it."""
        return self._writing

    def put(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send a frame, unless answers are held; the descriptors stay the caller's."""
        if self.closed:
            return
        if not self._held and not descriptors and not self._outbox.size:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                # The caller is gone, and so is its interest in the answers.
                self.close()
                return
            if sent == len(data):
                return
            data = data[sent:]
        self._add(data, descriptors)
        if not self._held:
            self.flush()

    def put_later(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send a frame at the end of this turn of the loop, together with others.

        At once, where the caller waits for each answer before it calls again.
        """
        if self._alone and not self._held:
            self.put(data, descriptors)
            return
        if not self._held:
            self._held = True
            self._endpoint.flush_later(self)
        self._add(data, descriptors)

    def hold(self) -> None:
        """Hold what is put until ``flush``: it is sent together."""
        self._held = True

    def _add(self, data: bytes, descriptors: Sequence[int]) -> None:
        if self.closed:
            return
        try:
            self._outbox.put(data, descriptors)
        except OSError as error:
            logger.warning("a connection is closed: its answer cannot be sent: %s", error)
            self.close()

    def flush(self) -> None:
        """Send as much as goes at once, and the rest when it can be."""
        self._held = False
        if self.closed:
            return
        try:
            done = self._outbox.flush(self._socket)
        except OSError:
            # The caller is gone, and so is its interest in the answers.
            self.close()
            return
        if done == self._writing:
            self._writing = not done
            loop = self._endpoint.loop
            if done:
                loop.remove_writer(self._socket.fileno())
            else:
                loop.add_writer(self._socket.fileno(), self.flush)
        if self._paused or not done:
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
        self._endpoint.on_closed(self)

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
            if self._alone and data and not descriptors and self._take_whole(data):
                return
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
        self._alone = len(frames) == 1
        self._endpoint.handle(self, frames)

    def _take_whole(self, data: bytes) -> bool:
        """Whether these bytes were a whole frame, and it is seen to."""
        take, limit = self._endpoint.take_whole, self._endpoint.limit
        if take is None or len(data) > limit or not self._reader.is_between_frames:
            return False
        return take(self, data)


Handler = Callable[[Connection, list[Frame]], None]
Taker = Callable[[Connection, bytes], bool]


class Endpoint:
    """Takes up connections, and gives the frames that come to the handler.

    Args:
        loop: the loop to run on.
        listener: the listening socket.
        handle: is called with a connection and the frames that have come over it, which are the
            handler's from here on; also if the connection is closed meanwhile.
        take_whole: is called, where it is given, with a connection and bytes that are likely to be
            one whole frame, and returns whether they were and it has seen to that.

    Attributes:
        on_closed: is called with each connection that was closed.
    """

    def __init__(
        self,
        loop: Reactor,
        listener: socket.socket,
        handle: Handler,
        take_whole: Taker | None = None,
    ) -> None:
        self.loop = loop
        self.handle = handle
        self.take_whole = take_whole
        self.limit = frame_limit()
        self.connections: set[Connection] = set()
        self._soon = end_of_turn(loop)
        self._unflushed: list[Connection] = []
        self.on_closed: Callable[[Connection], None] = lambda _: None
        self._listener = listener
        self._accepting = False

    def hand_to(self, handle: Handler, take_whole: Taker | None = None) -> None:
        """Give what comes to others."""
        self.handle = handle
        self.take_whole = take_whole

    def flush_later(self, connection: Connection) -> None:
        """Flush the connection at the end of this turn of the loop."""
        if not self._unflushed:
            self._soon(self._flush)
        self._unflushed.append(connection)

    def _flush(self) -> None:
        unflushed, self._unflushed = self._unflushed, []
        for connection in unflushed:
            connection.flush()

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
