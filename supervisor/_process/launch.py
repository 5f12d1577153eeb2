"""How a process of a tree comes into the world: by fork, or by spawn where that is not safe.

A fork takes a millisecond or two: the supervisor has one thread, has imported the modules of its
children, and holds little else. The child must get rid of what is not its own before it does
anything else: signal handlers (with the wake-up descriptor, which is shared with the parent), every
descriptor but its own, the idea that the parent's loop is running. The parent's objects stay
referenced from the frames below, and are never finalised: their descriptors' numbers will be in use
again by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import multiprocess

from supervisor._context import Identity, enter
from supervisor._log.forward import finish_forwarding, forward_logs, log_levels
from supervisor._node import ROOT
from supervisor._process.control import ControlPipe
from supervisor._process.deathsig import die_with_parent, set_process_name
from supervisor._wire.blob import copy_to_descriptor
from supervisor._wire.codec import pack_spec

__all__ = [
    "Main",
    "Plan",
    "Process",
    "become",
    "begin",
    "block_signals",
    "close_others",
    "depend_on",
    "forget_signals",
    "fork",
    "launch",
    "let_go",
    "next_instance",
    "safe_method",
    "spawn",
    "unblock_signals",
]


@dataclass(slots=True)
class Plan:
    """What a new process is to be.

    Attributes:
        spec: of the child; anything, for ``main`` to understand.
        identity: who it is.
        parent: the pid of the process that starts it.
        listener: its listening socket, if it has one.
        control: its end of the control pipe.
        state: what else it is born with.
        log: its socket to the root, for what it logs.
        output: descriptors that become its standard output and standard error.
    """

    spec: Any
    identity: Identity
    parent: int
    listener: socket.socket | None
    control: ControlPipe
    state: Any = None
    log: socket.socket | None = None
    output: tuple[int, int] | None = None

    def sockets(self) -> list[socket.socket | None]:
        """Those that it is born with."""
        return [self.control.socket, self.listener, self.log]


Main = Callable[[Plan], int]


@dataclass(slots=True, eq=False)
class Process:
    """A process that was started, until it is reaped."""

    pid: int
    instance: int
    control: ControlPipe
    ready: bool = False
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def signal(self, number: int) -> None:
        """Send it a signal. Its pid is its own until it is reaped, and that only we do."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


_instances = 0


def next_instance() -> int:
    """A number for one run of a process, unlike any other's of this supervisor or its successor."""
    global _instances  # noqa: PLW0603  the last one that was given out
    _instances = max(time.time_ns(), _instances + 1)
    return _instances


def launch(plan: Plan, main: Main, control: ControlPipe, method: str | None) -> Process:
    """Start a process.

    Args:
        plan: what it is to be.
        main: what it does; in a spawned process it is found by its module and name.
        control: this process's end of the control pipe.
        method: ``fork`` or ``spawn``; None forks where that is safe.

    Raises:
        OSError: it cannot be started: there are too many processes, or there is no memory.
        CodecError: the plan cannot be carried to a spawned process.
    """
    if (method or safe_method()) == "spawn":
        pid = spawn(plan, main)
        with contextlib.suppress(OSError):
            # The child does the same: whoever comes first, it is done before either goes on.
            os.setpgid(pid, pid)
    else:
        pid = fork(title_of(plan.identity), _forked, plan, main)
    return Process(pid, plan.identity.instance, control)


def safe_method() -> str:
    """How processes are to be started: ``fork``, unless it is not safe here."""
    return "fork" if sys.platform == "linux" and threading.active_count() == 1 else "spawn"


# --- fork --------------------------------------------------------------------------------------

_ALL_SIGNALS = signal.valid_signals()
_fork_context = multiprocess.get_context("fork")


def fork(name: str, run: Callable[..., object], *args: Any) -> int:
    """Fork a process that leads a group of its own, and in which signals are blocked.

    Args:
        name: what it is called.
        run: what it does; it begins with ``let_go``.
        *args: for that.

    Returns:
        Its pid.

    Raises:
        OSError: there are too many processes, or there is no memory.
    """
    # A signal that reached the child before it has let go of the handlers would be handled as if
    # by the parent, whose wake-up descriptor it shares.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ALL_SIGNALS)
    try:
        process = _fork_context.Process(target=run, args=args, name=name)
        process.start()
        # We reap by ourselves; the list would be polled, pid by pid, at each further start.
        multiprocess.process._children.discard(process)  # noqa: SLF001
        pid = int(process.pid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with contextlib.suppress(OSError):
        # The child does the same: whoever comes first, it is done before either goes on.
        os.setpgid(pid, pid)
    return pid


def _forked(plan: Plan, main: Main) -> None:
    for number, descriptor in enumerate(plan.output or (), 1):
        os.dup2(descriptor, number)
    let_go([sock for sock in plan.sockets() if sock is not None])
    sys.exit(begin(plan, main))


def let_go(kept: list[socket.socket]) -> None:
    """Get rid of what a forked process has from its parent, but for these and the output."""
    asyncio._set_running_loop(None)  # noqa: SLF001  what its own loops do when they end
    forget_signals()
    close_others([sock.fileno() for sock in kept])
    _close_standard_input()


def forget_signals() -> None:
    """Handle no signal, as a fresh interpreter."""
    signal.set_wakeup_fd(-1)
    for number in _HANDLED:
        signal.signal(number, signal.SIG_DFL)


# Those that a supervisor handles, and that its children are not to inherit.
_HANDLED = (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1)


def close_others(kept: list[int]) -> None:
    """Close every descriptor but the standard ones and these."""
    before = 2
    for descriptor in (*sorted(kept), resource.getrlimit(resource.RLIMIT_NOFILE)[0]):
        os.closerange(before + 1, descriptor)
        before = descriptor


def _close_standard_input() -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    if null != 0:
        os.dup2(null, 0)
        os.close(null)


def begin(plan: Plan, main: Main, levels: Mapping[str, int] | None = None) -> int:
    """Become the process of the plan, forked or spawned, and do what it is for.

    Args:
        plan: what it is to be.
        main: what it does.
        levels: of its loggers; None leaves them as they are.
    """
    # The root may outlive the thread that started it, and stops in order after its process.
    depend_on(None if plan.identity.path == ROOT else plan.parent)
    return become(plan, main, levels)


def depend_on(parent: int | None) -> None:
    """Belong to a tree: Ctrl-C is not for this process, and it dies with its parent.

    Args:
        parent: its pid; None does not die with it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if parent is not None:
        die_with_parent(parent)
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)


def become(plan: Plan, main: Main, levels: Mapping[str, int] | None = None) -> int:
    """Be the process of the plan, in one that belongs to the tree; see ``begin``."""
    set_process_name(title_of(plan.identity))
    enter(plan.identity)
    if plan.identity.path != ROOT:
        forward_logs(plan.log, levels)
    try:
        return main(plan)
    finally:
        finish_forwarding()


def title_of(identity: Identity) -> str:
    """What a process is called, for those who look at it from outside."""
    return identity.path[-1] if identity.path else f"regrow {identity.node.name}"


def block_signals() -> None:
    """Let no signal in, until the process has said what it does with them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ALL_SIGNALS)


def unblock_signals() -> None:
    """Let signals in: the process has said what it does with them."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ALL_SIGNALS)


# --- spawn -------------------------------------------------------------------------------------


def spawn(plan: Plan, main: Main) -> int:
    """Start a fresh interpreter with the plan.

    Raises:
        OSError: it cannot be started.
        CodecError: the plan cannot be carried there.
    """
    payload = _payload(plan, main)
    numbers = [payload, *(-1 if sock is None else sock.fileno() for sock in plan.sockets())]
    descriptors = [number for number in numbers if number >= 0]
    streams = enumerate(plan.output or (), 1)
    try:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        command = _command(numbers)
        return os.posix_spawn(
            command[0],
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                *((os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in streams),
            ],
            setpgroup=0,
            setsigmask=(),
            setsigdef=[*_HANDLED, signal.SIGINT, signal.SIGPIPE],
        )
    finally:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        os.close(payload)


def _payload(plan: Plan, main: Main) -> int:
    """A file that holds what a fresh interpreter needs to know."""
    content = pack_spec(
        {
            "path": sys.path,
            "argv": sys.argv,
            "main": main,
            "identity": plan.identity,
            "parent": plan.parent,
            "state": plan.state,
            "levels": log_levels(),
            "spec": pack_spec(plan.spec),
        }
    )
    descriptor = os.memfd_create("regrow-plan") if hasattr(os, "memfd_create") else _file()
    copy_to_descriptor(content, descriptor)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _file() -> int:
    import tempfile  # noqa: PLC0415  only where there is no memfd

    descriptor, path = tempfile.mkstemp(prefix="regrow-plan-")
    os.unlink(path)
    return descriptor


def _command(descriptors: list[int]) -> list[str]:
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = (
        f"import sys; sys.path.insert(0, {here!r}); "
        f"from supervisor._process.spawned import main; main(*{descriptors!r})"
    )
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    return [sys.executable, *flags, "-c", code]
