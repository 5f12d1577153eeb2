"""Bytes and descriptors through a Unix socket."""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Sequence

__all__ = ["READ_SIZE", "peer_is_allowed", "receive", "send"]

# More at once would make malloc(3) ask the kernel for the buffer, and give it back, each time.
READ_SIZE = 64 * 1024

_ANCILLARY = socket.CMSG_SPACE(253 * array.array("i").itemsize)
_CLOEXEC = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))


def send(sock: socket.socket, data: bytes | memoryview, descriptors: Sequence[int]) -> int:
    """Send some of the bytes, and all of the descriptors with the first of them.

    Returns:
        How many bytes were sent; at least one.

    Raises:
        OSError: as of sendmsg(2).
    """
    if not descriptors:
        return sock.send(data)
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
    return sock.sendmsg([data], [rights])


def receive(sock: socket.socket, flags: int = 0) -> tuple[bytes, list[int]]:
    """Receive what is there: bytes, none of them at the end, and descriptors.

    Args:
        sock: a connected socket.
        flags: further ones of recvmsg(2).

    Raises:
        OSError: as of recvmsg(2).
    """
    data, ancillary, _, _ = sock.recvmsg(READ_SIZE, _ANCILLARY, _CLOEXEC | flags)
    return data, _descriptors(ancillary) if ancillary else []


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(payload[: len(payload) - len(payload) % found.itemsize])
    if not _CLOEXEC:
        for descriptor in found:
            os.set_inheritable(descriptor, False)
    return found.tolist()


def peer_is_allowed(sock: socket.socket) -> bool:
    """Whether the process at the other end runs as this user, or as root."""
    if not hasattr(socket, "SO_PEERCRED"):
        # Elsewhere the mode of the node's folder alone keeps others away.
        return True
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return user in (os.getuid(), 0)
