"""Who is at the other end."""

from __future__ import annotations

import os
import socket

import pytest

from supervisor._wire.sockets import peer_is_allowed

_NOBODY = 65534


def _connect_as(user: int, address: str) -> int:
    """Connect in a process of that user, which waits for the end of the connection."""
    if pid := os.fork():
        return pid
    try:
        os.setuid(user)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(address)
            sock.recv(1)
    finally:
        os._exit(0)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize(("user", "allowed"), [(0, True), (_NOBODY, False)])
def test_another_user_is_no_peer(user: int, allowed: bool) -> None:
    # An abstract address (unix(7)) has no folder that would keep the other user away.
    address = f"\0regrow-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        pid = _connect_as(user, address)
        with listener.accept()[0] as sock:
            assert peer_is_allowed(sock) is allowed
        os.waitpid(pid, 0)


def test_oneself_is_a_peer() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert peer_is_allowed(one)
