"""The tree that garbage is sent to: every kind of socket and pipe, and one who garbles his own."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from stores import CompositeSessionStore, FileArtifactStore, InMemorySessionStore
from supervisor import Child, Pool, Server, Supervisor, SupervisorRef
from supervisor._log import forward
from supervisor._node import REGISTRY, ROOT, ProcessPath
from supervisor._server.server import runtime
from supervisor._wire.sockets import send

__all__ = ["SOCKETS", "Vandal", "make_tree", "pids"]

_NO_LIMIT = 1_000_000


class Echo(Server):
    """Answers."""

    def echo(self, value: Any = None, **_: Any) -> Any:
        return value

    def pid(self) -> int:
        return os.getpid()


class AsyncEcho(Server):
    """Answers, on asyncio's loop."""

    async def echo(self, value: Any = None, **_: Any) -> Any:
        return value


class Vandal(Server):
    """Writes garbage to its own control pipe, and to its own log socket."""

    def garble_control(self, data: bytes, descriptors: int) -> None:
        process: Any = runtime()
        _write(process._control.socket, data, descriptors)

    def garble_log(self, data: bytes, descriptors: int) -> None:
        forwarder = forward._forwarder
        if forwarder is None:
            raise RuntimeError("this process has no log socket")
        _write(forwarder.socket, data[:60_000], descriptors)


def _write(sock: socket.socket, data: bytes, descriptors: int) -> None:
    """Write it, as far as it goes: nobody may read any more."""
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        sock.setblocking(False)
        send(sock, data, [null] * descriptors)
    except OSError:
        return
    finally:
        os.close(null)


def make_tree(folder: Path) -> Supervisor:
    """Every kind of process that has a socket."""
    inner = Supervisor([Child(Echo, name="deep")], id="inner", max_restarts=_NO_LIMIT)
    return Supervisor(
        [
            Child(Echo, name="server"),
            Child(AsyncEcho, name="async"),
            Child(InMemorySessionStore, name="sessions"),
            Child(FileArtifactStore, {"root": str(folder / "artifacts")}, name="artifacts"),
            Child(
                CompositeSessionStore,
                {"session_store": "sessions", "artifact_store": "artifacts"},
                name="store",
            ),
            Child(Vandal, name="vandal"),
            Pool(size=1, name="functions", max_restarts=_NO_LIMIT),
            inner,
        ],
        max_restarts=_NO_LIMIT,
    )


SOCKETS: dict[str, ProcessPath] = {
    "server": ("server",),
    "async": ("async",),
    "sessions": ("sessions",),
    "artifacts": ("artifacts",),
    "store": ("store",),
    "functions": ("functions",),
    "inner": ("inner",),
    "deep": ("inner", "deep"),
    "root": ROOT,
    "registry": REGISTRY,
}


def pids(tree: SupervisorRef) -> dict[str, int | None]:
    """Each process that nothing may happen to."""
    found = {"root": tree.pid, "registry": tree.registry().pid}
    for supervisor in (tree, tree.supervisor("inner")):
        found |= {child.id: child.pid for child in supervisor.which_children()}
    del found["vandal"]
    return found
