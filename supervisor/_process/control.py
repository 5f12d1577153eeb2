"""The control pipe between a supervisor and a child: notifications, and an end of file.

====================  ===========================================================================
from the child        ``ready``; ``failed`` (the path below it, the error, the traceback) in its
                      place; ``exit`` (an Exit) before it ends by itself; ``crash`` (what it was
                      doing); from the registry also ``journal``; from a server with a watchdog
                      ``watched`` (with the file that its stacks go to), ``beat``, ``ending``;
                      from a standby ``taken`` (see ``standby``)
from the supervisor   ``stop``; to a standby ``become``
====================  ===========================================================================

Its end of file, on either side, means that the other process is gone.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Sequence
from typing import Any

from supervisor._wire.codec import CodecError, Decoder, encode
from supervisor._wire.frames import NOTIFICATION, FrameError, FrameReader, frame_limit
from supervisor._wire.sockets import receive, send

__all__ = ["ControlPipe", "Message"]

Message = tuple[str, list[Any]]


class ControlPipe:
    """One end of a control pipe."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._reader = FrameReader(frame_limit())
        self._decoder = Decoder()

    @classmethod
    def pair(cls) -> tuple[ControlPipe, ControlPipe]:
        """Both ends of a new one."""
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return cls(one), cls(other)

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self.socket.fileno()

    def send(self, kind: str, *args: Any) -> bool:
        """Tell the other side; says whether it is still there to be told."""
        try:
            self.socket.sendall(encode([NOTIFICATION, kind, [list(args), {}]]))
        except OSError:
            return False
        return True

    def send_descriptors(self, kind: str, args: Sequence[Any], descriptors: Sequence[int]) -> bool:
        """Hand copies of descriptors over: they follow the message's other arguments."""
        try:
            send(self.socket, encode([NOTIFICATION, kind, [list(args), {}]]), descriptors)
        except OSError:
            return False
        return True

    def send_if_room(self, kind: str) -> None:
        """Tell the other side, unless it has so much to read already that this would have to wait.

        A message as short as this goes whole or not at all (unix(7)).
        """
        with contextlib.suppress(OSError):
            self.socket.send(encode([NOTIFICATION, kind, [[], {}]]), socket.MSG_DONTWAIT)

    def receive(self) -> list[Message] | None:
        """What the other side has told; None at the end of file."""
        messages: list[Message] = []
        try:
            data, descriptors = receive(self.socket, socket.MSG_DONTWAIT)
            if not data:
                return None
            for frame in self._reader.feed(data, descriptors):
                _, kind, (args, _) = self._decoder.decode(frame.data)
                messages.append((kind, [*args, *frame.descriptors]))
        except BlockingIOError:
            return messages
        except (OSError, FrameError, CodecError, ValueError, TypeError):
            # Only the two processes write here; what is no message is as good as an end.
            return None
        return messages

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the other side has told something, or is gone; says whether it has told.

        Args:
            seconds: for how long at most; None waits without limit.
        """
        poller = select.poll()
        poller.register(self.socket, select.POLLIN)
        poller.poll(None if seconds is None else seconds * 1000)
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False

    def drain(self) -> list[Message]:
        """All that a process which is gone has told."""
        messages: list[Message] = []
        while received := self.receive():
            messages += received
        return messages

    def close(self) -> None:
        """Close this end."""
        self._reader.close()
        self.socket.close()
