"""What waits to be sent through a socket that does not block."""

from __future__ import annotations

import contextlib
import os
import socket
from collections import deque
from collections.abc import Sequence

from supervisor._wire.sockets import send

__all__ = ["Outbox"]

# Small frames are sent together, up to about so many bytes at once.
_BATCH = 256 * 1024


class Outbox:
    """Frames to be sent, in order, each with its descriptors.

    The outbox duplicates the descriptors that it has to keep, so that their owner may close them.
    """

    __slots__ = ("_queue", "size")

    def __init__(self) -> None:
        self._queue: deque[tuple[bytes | memoryview, tuple[int, ...]]] = deque()
        self.size = 0

    def put(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """Add a frame.

        Raises:
            OSError: there are no descriptors left to duplicate its own.
        """
        self._queue.append((data, _duplicates(descriptors) if descriptors else ()))
        self.size += len(data)

    def flush(self, sock: socket.socket) -> bool:
        """Send as much as goes at once.

        Returns:
            Whether all is sent.

        Raises:
            OSError: the connection is broken.
        """
        queue = self._queue
        if len(queue) == 1 and not queue[0][1]:
            # The usual case, without ado.
            data = queue[0][0]
            try:
                sent = sock.send(data)
            except BlockingIOError:
                return False
            self.size -= sent
            if sent == len(data):
                queue.popleft()
                return True
            queue[0] = (memoryview(data)[sent:], ())
        while queue:
            data, descriptors = self._next()
            try:
                sent = send(sock, data, descriptors) if descriptors else sock.send(data)
            except BlockingIOError:
                queue.appendleft((data, descriptors))
                return False
            except OSError:
                _close(descriptors)
                raise
            _close(descriptors)
            self.size -= sent
            if sent < len(data):
                queue.appendleft((memoryview(data)[sent:], ()))
        return True

    def _next(self) -> tuple[bytes | memoryview, tuple[int, ...]]:
        """What to send next: one frame that has descriptors, or some that have none."""
        queue = self._queue
        data, descriptors = queue.popleft()
        if descriptors or not queue or queue[0][1] or len(data) > _BATCH:
            return data, descriptors
        batch, size = [data], len(data)
        while queue and not queue[0][1] and size < _BATCH:
            piece, _ = queue.popleft()
            batch.append(piece)
            size += len(piece)
        return b"".join(batch), ()

    def clear(self) -> None:
        """Drop what was not sent."""
        while self._queue:
            _, descriptors = self._queue.popleft()
            _close(descriptors)
        self.size = 0


def _duplicates(descriptors: Sequence[int]) -> tuple[int, ...]:
    copies: list[int] = []
    try:
        for descriptor in descriptors:
            copies.append(os.dup(descriptor))  # noqa: PERF401  those made so far are to be closed
    except OSError:
        _close(copies)
        raise
    return tuple(copies)


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
