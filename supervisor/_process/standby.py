"""A standby: a process that is forked ahead of time, and becomes the next child that is started.

To fork takes milliseconds, more of them the more a supervisor has imported, and so do the first
steps of the new process, at which the kernel copies each page that it touches. A restart that finds
this done needs a message instead.

A standby is a copy of its supervisor at the time it was forked. It can become those children whose
specs it was born with, and no others; what changes from run to run comes with the message: the
instance, the listening socket, the socket for logs. It holds no descriptor but its control pipe,
and in all that matters to others it is like any child: it dies with its supervisor, Ctrl-C is not
for it, it leads a group of its own.

It says ``taken`` before it does anything else. One that does not say so, because it was killed, is
no child that has failed: another process is started in its place, and nobody need know.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from supervisor._context import Identity
from supervisor._node import Node, ProcessPath
from supervisor._process.control import ControlPipe
from supervisor._process.deathsig import set_process_name
from supervisor._process.launch import (
    Main,
    Plan,
    Process,
    become,
    block_signals,
    depend_on,
    forget_signals,
    fork,
    let_go,
    unblock_signals,
)
from supervisor._supervisor import ChildSpec

__all__ = ["Standby"]

# How long one may take to say that it has taken its message up. It waits for nothing else, so that
# is the time that a busy machine takes to wake it.
_PATIENCE = 0.1


class Standby:
    """A process that waits to become one of these children.

    Args:
        node: the node.
        path: of the supervisor.
        specs: of the children, by id.
        main: what a child's process does.
        rehearse: what it does before it waits.

    Raises:
        OSError: it cannot be forked.
    """

    def __init__(
        self,
        node: Node,
        path: ProcessPath,
        specs: Mapping[str, ChildSpec],
        main: Main,
        rehearse: Callable[[Node, ProcessPath], None],
    ) -> None:
        self._specs = specs
        self._control, theirs = ControlPipe.pair()
        born = _Born(theirs, os.getpid(), node, path, specs)
        try:
            self.pid = fork("standby", _stand_by, born, main, rehearse)
        except BaseException:
            self._control.close()
            raise
        finally:
            theirs.close()

    def can_become(self, spec: ChildSpec) -> bool:
        """Whether it knows this very spec."""
        return self._specs.get(spec.id) is spec

    def become(self, plan: Plan) -> Process | None:
        """Have it be the child of the plan, but for the control pipe, which it has already.

        Returns:
            The process; None where it is not there any more, or does not answer.
        """
        sockets = (plan.listener, plan.log)
        which = [sock is not None for sock in sockets]
        told = self._control.send_descriptors(
            "become",
            (plan.spec.id, plan.identity.instance, plan.state, *which),
            [sock.fileno() for sock in sockets if sock is not None],
        )
        if told and self._control.wait(_PATIENCE):
            return Process(self.pid, plan.identity.instance, self._control)
        self.end()
        return None

    def end(self) -> None:
        """Kill it; it remains to be reaped."""
        os.kill(self.pid, signal.SIGKILL)
        self.forget()

    def forget(self) -> None:
        """Let go of its control pipe."""
        self._control.close()


# --- in the new process ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Born:
    """What a standby is born with."""

    control: ControlPipe
    parent: int
    node: Node
    path: ProcessPath
    specs: Mapping[str, ChildSpec]


def _stand_by(born: _Born, main: Main, rehearse: Callable[[Node, ProcessPath], None]) -> NoReturn:
    set_process_name("standby")
    let_go([born.control.socket])
    depend_on(born.parent)
    with contextlib.suppress(OSError):
        # Too many descriptors, for example: then it is as slow as it would be anyway.
        rehearse(born.node, born.path)
    forget_signals()
    # Who ends it meanwhile ends no child.
    unblock_signals()
    is_told = born.control.wait()
    block_signals()
    message = born.control.receive() if is_told else None
    if not message:
        # The supervisor has no use for it any more, or is gone.
        sys.exit(1)
    born.control.send("taken")
    ((_, arguments),) = message
    sys.exit(become(_plan(born, *arguments), main))


def _plan(
    born: _Born,
    id: str,
    instance: int,
    state: object,
    *sockets: Any,
) -> Plan:
    has_listener, has_log, *descriptors = sockets
    received = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    listener = received.pop(0) if has_listener else None
    log = received.pop(0) if has_log else None
    spec = born.specs[id]
    identity = Identity(born.node, (*born.path, id), spec.name, instance, spec.kind == "server")
    return Plan(spec, identity, born.parent, listener, born.control, state, log)
