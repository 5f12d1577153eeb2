"""The base class of servers that pass their operations on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from supervisor._client.delivery import Target
from supervisor._server.server import Server

__all__ = ["Forwarder", "Hosted", "Remote", "Route"]


@dataclass(frozen=True, slots=True)
class Remote:
    """Operations go to another process.

    Attributes:
        target: which one; a name is looked up whenever a connection is made.
        idempotent: the operations that may be sent again when that process died during them.
    """

    target: Target
    idempotent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Hosted:
    """Operations are methods of an object in the forwarder's own process, called on threads.

    Attributes:
        server: the object.
        rebuild: makes another in its place, after it raised what it does not declare; None keeps
            it.
    """

    server: Any
    rebuild: Callable[[], Any] | None = None


Route = Remote | Hosted


class Forwarder(Server):
    """A server that passes operations on.

    Of a call it reads the operation and the id, never the arguments or the result; it never waits
    for one call before it takes the next; and a backend that hangs, or is gone, holds up no other.
    A backend that is restarting is waited for within the caller's time. Errors pass unchanged.
    """

    def routes(self) -> Mapping[str, Route]:
        """Where each operation goes; asked for once, when the process starts.

        Operations that share one route object share its connection.
        """
        raise NotImplementedError

    def failure(self, operation: str, error: Exception) -> Exception:
        """What a caller is told where a backend cannot answer.

        Args:
            operation: what was called.
            error: NoProcess, ProcessDown or CallTimeout, or what a hosted object raised without
                declaring it.

        Returns:
            The error to raise at the caller; by default this one.
        """
        del operation
        return error
