"""How a call is delivered: where it goes, how long it waits, when it is sent again.

This is the one description of it. The sockets are behind ``Transport``: a blocking one, whose
coroutines never suspend (``run_blocking`` drives them), and one on an event loop.

The rules:

- A name is looked up in the registry whenever a connection is made.
- A process that restarts is waited for: its supervisor holds its listening socket, so a connection
  succeeds and the request waits in the queue. Where the supervisor itself was killed, its own
  supervisor is asked, and so on up to the root, until the socket is there again.
- A process that is stopped, or gone for good, is NoProcess, at once.
- A connection that breaks means that the process died; its supervisor knows why. If the kernel says
  that our bytes were not read (ECONNRESET instead of an end of file, see unix(7)), the request was
  not taken up.
- A request that is lost unread within moments of being sent went to a process that was dying
  already. Its caller sees what others see who call during a restart: it waits, and is sent anew.
- The same holds for one that has waited for a restart which failed for good, or whose supervisor
  was killed with the sockets that it held: so the next attempt finds out what has become of it.
- An idempotent operation is sent again, unless the process died of that call itself, as far as can
  be known.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from supervisor._errors import CallTimeout, NoProcess, ProcessDown
from supervisor._exit import Exit
from supervisor._node import REGISTRY, ROOT, Node, ProcessPath
from supervisor._wire.blob import Blob
from supervisor._wire.frames import Frame

__all__ = [
    "Link",
    "LinkLost",
    "Loss",
    "Request",
    "Target",
    "Transport",
    "Unreachable",
    "deadline_after",
    "deliver",
    "died_of_call",
    "down_of",
    "exit_since",
    "is_of_nobody",
    "locate",
    "reach",
    "run_blocking",
    "was_sent_too_late",
]

T = TypeVar("T")
L = TypeVar("L", bound="Link")

# How often a call is sent again, at most.
_RESENDS = 8

# The end of a process takes the kernel a few milliseconds, in which its sockets still take bytes.
_DYING_SECONDS = 0.05

# How long a supervisor is given to say why its child died.
_EXIT_PATIENCE = 1.0

# Ten years.
_FOREVER = 10 * 365 * 86400.0

# Pauses while a supervisor that was killed is coming back.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05


@dataclass(frozen=True, slots=True)
class Target:
    """Which process is meant.

    Attributes:
        node: where it is.
        name: its name, if it is meant by that; looked up whenever a connection is made.
        path: its path, if it is meant by that.
        instance: the one run of it that is meant; None follows it across restarts.
    """

    node: Node
    name: str | None = None
    path: ProcessPath | None = None
    instance: int | None = None

    def __str__(self) -> str:
        if self.name is not None:
            return f"process {self.name!r}"
        if self.path == REGISTRY:
            return "the registry"
        return f"process {'/'.join(self.path)!r}" if self.path else "the root supervisor"


@dataclass(slots=True)
class Request:
    """A call, ready to be sent as often as it takes.

    Attributes:
        operation: its name.
        body: the frame from the operation on: what is the same each time it is sent.
        deadline: on the monotonic clock; None waits without limit.
        idempotent: whether it may be sent again when the process died during it.
        blobs: large binaries; their descriptors go beside the frame.
    """

    operation: str
    body: bytes
    deadline: float | None
    idempotent: bool = False
    blobs: list[Blob] = field(default_factory=list)

    def remaining(self) -> float | None:
        """Seconds until the deadline.

        Raises:
            CallTimeout: it is past.
        """
        if self.deadline is None:
            return None
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise CallTimeout(f"{self.operation} got no answer in time")
        return remaining


class Unreachable(Exception):
    """Nobody listens there: not now, or never again."""


class LinkLost(Exception):
    """The connection broke before the answer came.

    Attributes:
        taken: False if the request was certainly not taken up.
        sent: False if it was not even sent whole: then it was no call yet.
        suspect: whether it may be what the process died of: on one connection, answers come in the
            order of their requests, so it is the oldest without one.
        exit: why the process is ending, where it said so itself.
    """

    def __init__(
        self,
        *,
        taken: bool,
        sent: bool = True,
        suspect: bool = True,
        exit: Exit | None = None,
    ) -> None:
        super().__init__(taken)
        self.taken = taken
        self.suspect = suspect
        self.sent = sent
        self.exit = exit


class Link(Protocol):
    """A connection to a process.

    Attributes:
        path: the process's path.
        since: when it was made, on the monotonic clock, or had its first answer: the process at its
            other end has ended after that.
    """

    path: ProcessPath
    since: float


@dataclass(frozen=True, slots=True)
class Loss(Generic[L]):
    """An attempt that failed.

    Attributes:
        link: the connection that broke.
        lost: how.
        sent_at: when the request was sent, on the monotonic clock.
    """

    link: L
    lost: LinkLost
    sent_at: float


class Transport(Protocol[L]):
    """The sockets that calls go through."""

    async def open(self, node: Node, path: ProcessPath, deadline: float | None) -> L:
        """A connection to that process, new or in use.

        Raises:
            Unreachable: nobody listens there.
            CallTimeout: it could not be made in time.
        """

    async def exchange(self, link: L, request: Request) -> Frame:
        """Send the request, and wait for its response.

        Raises:
            LinkLost: the connection broke.
            CallTimeout: there was no answer by the deadline.
        """

    async def ask(self, link: L, operation: str, args: tuple[Any, ...], deadline: float) -> Any:
        """The result of a small call of the runtime's own.

        Raises:
            LinkLost: the connection broke.
            CallTimeout: there was no answer by the deadline.
        """

    async def pause(self, seconds: float) -> None:
        """Wait."""


async def deliver(
    transport: Transport[L],
    target: Target,
    request: Request,
    *,
    retry: bool,
    loss: Loss[L] | None = None,
) -> Frame:
    """Deliver a call, and return its response.

    Args:
        transport: the sockets.
        target: who is called.
        request: the call.
        retry: whether idempotent operations are sent again.
        loss: how a first attempt ended, where there was one.

    Raises:
        NoProcess: nobody is there, and nobody will be.
        ProcessDown: the process died during the call.
        CallTimeout: no answer by the deadline.
    """
    down: ProcessDown | None = None
    resends = 0
    while resends <= _RESENDS:
        if loss is None:
            try:
                link = await reach(transport, target, request.deadline)
            except NoProcess as error:
                raise down or error from None
            sent_at = time.monotonic()
            try:
                return await transport.exchange(link, request)
            except LinkLost as lost:
                loss = Loss(link, lost, sent_at)
        if not was_sent_too_late(loss.lost, loss.sent_at):
            ended = await exit_since(transport, target.node, loss.link, request.deadline)
            lost_down = down_of(target, loss.lost, ended)
            if not is_of_nobody(lost_down):
                down = lost_down
                again = retry and request.idempotent and resends < _RESENDS
                if not again or (loss.lost.suspect and died_of_call(down)):
                    raise down from None
        if down is None or down.exit is None or down.exit.reason != "shutdown":
            # An orderly stop, for the sake of a sibling perhaps, is nothing that a call could have
            # caused, however often it comes.
            resends += 1
        loss = None
    raise down or ProcessDown(str(target), None, taken=False)


def down_of(target: Target, lost: LinkLost, ended: Exit | None) -> ProcessDown:
    """What a caller is told whose connection broke.

    Args:
        target: who was called.
        lost: how the connection broke.
        ended: what the supervisor says of the end. It knows more than the process of an end that it
            has brought about; but a process that has met a bug has told its caller so itself, and
            what the supervisor says may be of the run before.
    """
    told = lost.exit
    exit = told if told is not None and told.reason == "error" else ended or told
    return ProcessDown(str(target), exit, lost.taken)


def was_sent_too_late(lost: LinkLost, sent_at: float) -> bool:
    """Whether the process was dead, or dying, when the request was sent."""
    dying = not lost.taken and time.monotonic() - sent_at < _DYING_SECONDS
    return dying or not lost.sent


def is_of_nobody(down: ProcessDown) -> bool:
    """Whether the request has waited for a process that has never come.

    Nobody who could have been called has ended since, and nobody has taken it up: it waited in the
    queue of a socket that was closed because a restart failed for good, or with its supervisor.
    """
    return not down.taken and down.exit is None


def died_of_call(down: ProcessDown) -> bool:
    """Whether the process may have died of the call that it was carrying out."""
    return down.taken and down.exit is not None and down.exit.is_fault_of_call


async def reach(transport: Transport[L], target: Target, deadline: float | None) -> L:
    """A connection to the target, waited for through restarts.

    Raises:
        NoProcess: nobody is there, and nobody will be.
        CallTimeout: it could not be made in time.
    """
    pause = _FIRST_PAUSE
    while True:
        path = await locate(transport, target, deadline)
        try:
            return await transport.open(target.node, path, deadline)
        except Unreachable:
            await _expect(transport, target, path, deadline)
        await transport.pause(_within(pause, deadline, target))
        pause = min(2 * pause, _LONGEST_PAUSE)


async def locate(transport: Transport[L], target: Target, deadline: float | None) -> ProcessPath:
    """Where the target is.

    Raises:
        NoProcess: there is no such name, or the one run that is meant has ended.
        CallTimeout: the registry did not answer in time.
    """
    if target.instance is not None:
        await _expect(transport, target, target.path or ROOT, deadline)
    if target.path is not None:
        return target.path
    registry = Target(target.node, path=REGISTRY)
    found = await _ask(transport, registry, "lookup", (target.name,), deadline)
    if found is None:
        raise NoProcess(f"{target} does not exist in node {target.node.name!r}")
    path, _ = found
    return tuple(path)


async def _expect(
    transport: Transport[L], target: Target, path: ProcessPath, deadline: float | None
) -> None:
    """That somebody is, or will be, at this path: its supervisor says so.

    Raises:
        NoProcess: nobody will.
    """
    if path in (ROOT, REGISTRY):
        if path == REGISTRY:
            # The root holds the registry's socket: where that is not, the root is not either.
            await _expect(transport, target, ROOT, deadline)
        raise NoProcess(f"node {target.node.name!r} is not running (asked for {target})")
    parent = Target(target.node, path=path[:-1])
    status, instance = await _ask(transport, parent, "child_status", (path[-1],), deadline)
    if status not in ("running", "restarting"):
        raise NoProcess(f"{target} is {status}")
    if target.instance is not None and instance != target.instance:
        raise NoProcess(f"{target}: that run of it has ended")


async def _ask(
    transport: Transport[L],
    target: Target,
    operation: str,
    args: tuple[Any, ...],
    deadline: float | None,
) -> Any:
    """A small call of the runtime's own; they are all idempotent, so it is sent until answered."""
    patience = _FIRST_PAUSE
    while True:
        link = await reach(transport, target, deadline)
        try:
            limit = time.monotonic() + 3600.0 if deadline is None else deadline
            return await transport.ask(link, operation, args, limit)
        except LinkLost:
            await transport.pause(_within(patience, deadline, target))
            patience = min(2 * patience, _LONGEST_PAUSE)


async def exit_since(
    transport: Transport[L], node: Node, link: L, deadline: float | None
) -> Exit | None:
    """Why the process at the other end of a broken connection ended; None if nobody can say."""
    if link.path == ROOT:
        return None
    parent = ROOT if link.path == REGISTRY else link.path[:-1]
    now = time.monotonic()
    limit = now + _EXIT_PATIENCE
    if deadline is not None:
        limit = max(min(limit, deadline), now + 0.05)
    try:
        asked = await transport.open(node, parent, limit)
        died: Exit | None = await transport.ask(
            asked, "child_exit", (link.path[-1], link.since, limit), limit + 0.05
        )
    except (Unreachable, LinkLost, CallTimeout, NoProcess):
        return None
    return died


def deadline_after(timeout: float | None) -> float | None:
    """The deadline, on the monotonic clock, of one who waits for so many seconds.

    None, which waits without limit, is also for a time that nobody lives to see: beyond it the
    system calls that wait take no number any more.
    """
    return None if timeout is None or timeout > _FOREVER else time.monotonic() + timeout


def _within(pause: float, deadline: float | None, target: Target) -> float:
    if deadline is None:
        return pause
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise CallTimeout(f"{target} did not come back in time")
    return min(pause, remaining)


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine whose transport blocks, and which so never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a blocking transport suspended")
