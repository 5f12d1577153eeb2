"""What a standby does before it waits: it goes once through the life of a server.

The first steps of a forked process are slow: each page of memory that they touch has yet to be
copied or mapped. A standby that has served a call to itself has that behind it.
"""

from __future__ import annotations

import contextlib
import socket

from supervisor._context import Identity
from supervisor._log.forward import forward_logs
from supervisor._node import Node, ProcessPath
from supervisor._process.control import ControlPipe
from supervisor._server.process import ServerProcess
from supervisor._server.server import Server, serve_with
from supervisor._spec import Child
from supervisor._wire.codec import encode
from supervisor._wire.frames import REQUEST

__all__ = ["rehearse"]


class _Rehearsal(Server):
    """A server that is called once."""

    def play(self, _: object) -> None:
        """Be called, answer, and end."""
        self.stop()


_CALL = encode([REQUEST, 1, "play", [["something"], {}]])


def rehearse(node: Node, path: ProcessPath) -> None:
    """Serve one call to oneself, as a process of the node below that path."""
    forward_logs(None)
    with contextlib.ExitStack() as stack:
        control, theirs = ControlPipe.pair()
        stack.callback(control.close)
        stack.callback(theirs.close)
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        caller = stack.enter_context(socket.socket(socket.AF_UNIX))
        # An address that the kernel chooses, and that is in no file system; see unix(7).
        listener.bind("")
        listener.listen()
        caller.connect(listener.getsockname())
        caller.sendall(_CALL)
        identity = Identity(node, (*path, "rehearsal"), None, 0, serves=True)
        ServerProcess(Child(_Rehearsal), identity, listener, theirs).run()
        serve_with(None)
