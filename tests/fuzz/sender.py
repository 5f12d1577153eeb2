"""Sends garbage to sockets and pipes, and counts."""

from __future__ import annotations

import array
import os
import socket
from collections import Counter
from typing import Any

from supervisor import SupervisorError, SupervisorRef, connect
from supervisor.testing import eventually
from tests.fuzz.tree import SOCKETS

__all__ = ["Sender"]

_PATIENCE = 30.0

# The composite connects to the registry and to its backends when it is first called; and what was
# refused closes a moment later.
_SLACK = 4


class Sender:
    """Sends pieces of garbage.

    Attributes:
        sent: how many pieces, by kind.
        by_target: how many, by where they went.
        closed: how many connections their other side has closed.
        answered: how many bytes came back.
        problems: what did not go as it has to, in words.
    """

    def __init__(self, tree: SupervisorRef) -> None:
        self.sent: Counter[str] = Counter()
        self.by_target: Counter[str] = Counter()
        self.closed = 0
        self.answered = 0
        self.problems: list[str] = []
        self._node = tree.target.node
        self._vandal: Any = connect("vandal", timeout=_PATIENCE)
        file = os.memfd_create("short")
        os.write(file, b"short")
        self._descriptors = [
            file,
            os.open("/dev/zero", os.O_RDONLY),
            os.open("/", os.O_RDONLY),
            *os.pipe(),
        ]

    def send(self, kind: str, target: str, data: bytes, descriptors: int) -> None:
        """Send a piece, and wait until the other side has done with it."""
        self.sent[kind] += 1
        self.by_target[target] += 1
        if target in SOCKETS:
            self._to_socket(target, data, descriptors)
            return
        operation = "garble_control" if target == "control pipe" else "garble_log"
        try:
            getattr(self._vandal, operation)(data, descriptors)
        except SupervisorError as error:
            self.problems.append(f"{target}: {type(error).__name__}: {error}")

    def _to_socket(self, target: str, data: bytes, descriptors: int) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(_PATIENCE)
            try:
                sock.connect(self._node.socket_path(SOCKETS[target]))
                self._send_all(sock, data, self._descriptors[:descriptors])
                sock.shutdown(socket.SHUT_WR)
                while piece := sock.recv(65536):
                    self.answered += len(piece)
            except (BrokenPipeError, ConnectionResetError):
                self.closed += 1
            except OSError as error:
                self.problems.append(f"{target}: {error!r} after {data[:60]!r}")
            else:
                self.closed += 1

    def _send_all(self, sock: socket.socket, data: bytes, descriptors: list[int]) -> None:
        if descriptors:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
            data = data[sock.sendmsg([data], [rights]) :]
        sock.setblocking(True)
        sock.settimeout(_PATIENCE)
        sock.sendall(data)

    def descriptors(self, pids: dict[str, int | None]) -> dict[str, int]:
        """How many descriptors each process has."""
        return {name: len(os.listdir(f"/proc/{pid}/fd")) for name, pid in pids.items()}

    def grown(self, before: dict[str, int], pids: dict[str, int | None]) -> list[str]:
        """Which processes have kept descriptors, in words."""
        found: dict[str, int] = {}

        def is_settled() -> bool:
            found.update(self.descriptors(pids))
            return all(found[name] <= before[name] + _SLACK for name in before)

        try:
            eventually(is_settled, within=5.0)
        except AssertionError:
            return [
                f"{name}: {before[name]} -> {found[name]} descriptors"
                for name in before
                if found[name] > before[name] + _SLACK
            ]
        return []

    def close(self) -> None:
        """Let go of everything."""
        self._vandal.close()
        for descriptor in self._descriptors:
            os.close(descriptor)
