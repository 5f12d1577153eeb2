"""The pool's side of the sockets to one worker; see ``messages``."""

from __future__ import annotations

import array
import os
import socket
import sys
from collections.abc import Iterator
from typing import NamedTuple

from supervisor._pool.messages import PREFIX, WORKER_PREFIX
from supervisor._wire.frames import close_all
from supervisor._wire.sockets import send

__all__ = ["Answer", "Channel"]

# More than any message of a worker: a log record is the longest.
_READ_SIZE = 128 * 1024
_ANCILLARY = socket.CMSG_SPACE(array.array("i").itemsize)
_FLAGS = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0)) | socket.MSG_DONTWAIT

# What a dump of stacks takes, at most.
_LONGEST_STACKS = 64 * 1024

# Where Unix sockets know no SOCK_SEQPACKET, datagrams are as reliable, and keep their order.
_KIND = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM


class Answer(NamedTuple):
    """A message of a worker."""

    task_id: int
    kind: int
    body: bytes
    descriptor: int | None


class Channel:
    """A pair of sockets: the pool's end, and a second handle of the worker's."""

    __slots__ = ("_ours", "_stacks", "_theirs")

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, _KIND)
        self._ours.setblocking(False)
        self._stacks: int | None = None

    def fileno(self) -> int:
        """The descriptor of the pool's end."""
        return self._ours.fileno()

    def workers_end(self) -> socket.socket:
        """The worker's end, for it to be born with."""
        return self._theirs

    def send(self, task_id: int, body: bytes, descriptor: int | None) -> bool:
        """Give the worker a task; says whether there was room for it."""
        message = PREFIX.pack(task_id) + body
        try:
            if descriptor is None:
                self._ours.send(message)
            else:
                send(self._ours, message, [descriptor])
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return False
        return True

    def answers(self, most: int) -> Iterator[Answer]:
        """What the worker has answered, as far as it is there, and no more than so much."""
        ours = self._ours
        for _ in range(most):
            try:
                data, ancillary, _, _ = ours.recvmsg(_READ_SIZE, _ANCILLARY, _FLAGS)
            except (BlockingIOError, ConnectionResetError):
                return
            if not data:
                return
            task_id, kind = WORKER_PREFIX.unpack_from(data)
            descriptor = _descriptor(ancillary) if ancillary else None
            if not task_id and descriptor is not None:
                self._stacks = descriptor
                continue
            yield Answer(task_id, kind, data[WORKER_PREFIX.size :], descriptor)

    def take_back(self) -> list[int]:
        """Take out what the worker has not: the ids of these tasks."""
        ids: list[int] = []
        while True:
            try:
                data, ancillary, _, _ = self._theirs.recvmsg(_READ_SIZE, _ANCILLARY, _FLAGS)
            except (BlockingIOError, ConnectionResetError):
                return ids
            if not data:
                return ids
            descriptor = _descriptor(ancillary) if ancillary else None
            if descriptor is not None:
                os.close(descriptor)
            ids.append(PREFIX.unpack_from(data)[0])

    def stacks(self) -> str | None:
        """The stacks that a fatal signal, or a question, made the worker leave."""
        if self._stacks is None:
            return None
        text = os.pread(self._stacks, _LONGEST_STACKS, 0).decode("utf-8", "replace")
        return _without_runtime(text) or None

    def close(self) -> None:
        """Close both ends."""
        self._ours.close()
        self._theirs.close()
        if self._stacks is not None:
            close_all([self._stacks])
            self._stacks = None


def _without_runtime(stacks: str) -> str:
    """The stacks without what called the task: that is always the same."""
    kept, is_in_task = [], True
    for line in stacks.splitlines():
        if not line.startswith(" "):
            is_in_task = True
        elif _RUNTIME in line:
            is_in_task = False
        if is_in_task:
            kept.append(line)
    return "\n".join(kept)


# In the line of a function of this package's, in a dump.
_RUNTIME = f'File "{os.path.dirname(__file__)}/'


def _descriptor(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            return int(array.array("i", payload)[0])
    return None
