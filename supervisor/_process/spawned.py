"""The other side of a spawn: a fresh interpreter becomes the process of the plan."""

from __future__ import annotations

import faulthandler
import os
import socket
import sys

from supervisor._process.control import ControlPipe
from supervisor._process.launch import Plan, begin, close_others
from supervisor._wire.codec import CodecError, unpack_spec

__all__ = ["main"]


def main(payload: int, control: int, listener: int, log: int) -> None:
    """Read the plan, and begin.

    Args:
        payload: the descriptor of a file that holds it.
        control: the descriptor of the control pipe.
        listener: the descriptor of the listening socket; -1 where there is none.
        log: the descriptor of the socket for what it logs; -1 where there is none.
    """
    # A fork has that of its supervisor.
    faulthandler.enable(file=2)
    kept = [descriptor for descriptor in (control, listener, log) if descriptor >= 0]
    for descriptor in kept:
        os.set_inheritable(descriptor, False)
    # Whoever started the tree may itself have been born with descriptors that it knows nothing of.
    close_others([payload, *kept])
    with os.fdopen(payload, "rb") as file:
        content = file.read()
    pipe = ControlPipe(socket.socket(fileno=control))
    # The path first: what the rest refers to is found by it.
    try:
        known = unpack_spec(content)
        sys.path[:] = known["path"]
        sys.argv[:] = known["argv"]
        spec = unpack_spec(known["spec"])
    except CodecError as error:
        pipe.send("failed", [], f"the spec {error}", None)
        sys.exit(1)
    plan = Plan(
        spec,
        known["identity"],
        known["parent"],
        _socket(listener),
        pipe,
        known["state"],
        _socket(log),
    )
    sys.exit(begin(plan, known["main"], known["levels"]))


def _socket(descriptor: int) -> socket.socket | None:
    return None if descriptor < 0 else socket.socket(fileno=descriptor)
