"""The base class that a server may have: hooks, and what its process can do for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from supervisor._client.delivery import Target
from supervisor._context import current
from supervisor._errors import SupervisorError
from supervisor._exit import Exit
from supervisor._loop import Reactor
from supervisor._refs import Ref

__all__ = ["HOOKS", "Server", "ServerRuntime", "runtime", "serve_with"]

# The names of Server that are not operations.
HOOKS = frozenset(
    {
        "on_start",
        "terminate",
        "name",
        "ref",
        "call_later",
        "stop",
        "replies_with",
        "mailbox_size",
    }
)


class ServerRuntime(Protocol):
    """What a server's process can do for it."""

    @property
    def loop(self) -> Reactor:
        """The process's loop: for servers of the runtime's own."""

    def call_later(
        self, seconds: float, method: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        """Call the method, in turn with the operations."""

    def stop(self) -> None:
        """End, once the reply to the operation that runs is sent."""


_runtime: ServerRuntime | None = None


def serve_with(runtime: ServerRuntime | None) -> None:
    """Say who does for this process's server what a process can do for it."""
    global _runtime  # noqa: PLW0603  a process serves one server
    _runtime = runtime


def runtime() -> ServerRuntime | None:
    """Who does; None outside of a server's process."""
    return _runtime


class Server:
    """An optional base class of a server. Its ``__init__`` need not be called.

    Attributes:
        replies_with: the errors that are replies: raised by an operation, they are raised again at
            the caller. Any other exception ends the process.
        mailbox_size: how many requests may wait, or (of operations that are ``async def`` or return
            a future) be in flight; one more is refused with Overloaded, and nothing is done. While
            one operation keeps the server busy, what comes waits in its sockets, and is read, and
            accepted or refused, when that is over. A cast beyond the bound is dropped, and the log
            says so. Calls that the server makes itself get their answers all the same. A Forwarder
            counts what each of its backends has not answered yet, for each backend by itself.
    """

    replies_with: ClassVar[tuple[type[BaseException], ...]] = ()
    mailbox_size: ClassVar[int] = 10_000

    def on_start(self) -> None:
        """Is called once, before the first operation; the supervisor waits for its end."""

    def terminate(self, exit: Exit) -> None:
        """Is called before the process ends, in order or after a bug, but not by a signal.

        Args:
            exit: why it ends.
        """

    @property
    def name(self) -> str | None:
        """The name that this process is registered under; None outside of a tree."""
        identity = current()
        return None if identity is None else identity.name

    @property
    def ref(self) -> Ref:
        """A ref of this process, for others: by name where it has one.

        Raises:
            SupervisorError: the object is not served by a process of a tree.
        """
        identity = current()
        if identity is None:
            raise SupervisorError(f"{type(self).__name__} does not run in a tree")
        path = None if identity.name is not None else identity.path
        return Ref(Target(identity.node, name=identity.name, path=path))

    def call_later(self, seconds: float, method: Callable[..., object], *args: Any) -> None:
        """Call a method of this server after so many seconds, in turn with its operations.

        Args:
            seconds: how long to wait, at least.
            method: a bound method.
            *args: its arguments.

        Raises:
            SupervisorError: the object is not served by a process of a tree.
        """
        self.__runtime().call_later(seconds, method, args)

    def stop(self) -> None:
        """End this process, reason ``normal``, once the reply to the running operation is sent.

        Raises:
            SupervisorError: the object is not served by a process of a tree.
        """
        self.__runtime().stop()

    def __runtime(self) -> ServerRuntime:
        if _runtime is None:
            raise SupervisorError(f"{type(self).__name__} is not served by a process of a tree")
        return _runtime
