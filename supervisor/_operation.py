"""Which methods of a server are its operations, and what is said about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["idempotent", "interface_operations", "is_idempotent", "operation"]

F = TypeVar("F", bound=Callable[..., Any])


def idempotent(method: F) -> F:
    """Mark a method of an interface: carried out twice, it does what it does once.

    ``connect(..., retry=True)`` sends such an operation again when the process died during it.
    """
    method.__idempotent__ = True  # type: ignore[attr-defined]
    return method


def is_idempotent(method: object) -> bool:
    """Whether a method is marked so."""
    return getattr(method, "__idempotent__", False) is True


def operation(name: str, *, blobs: bool = False, threads: bool = True) -> Callable[[F], F]:
    """Make a method an operation of that name, in the place of the public method of that name.

    For what a process can do better than an object: hand over an open file instead of its bytes,
    or return a ``concurrent.futures.Future`` and answer later, while others are served.

    Args:
        name: the operation's name.
        blobs: whether it is given large binaries as ``Blob``, still in their files, instead of as
            bytes. It then owns them.
        threads: whether it may be called on a thread too, by a Forwarder that hosts the object;
            else the public method of that name is.
    """

    def mark(method: F) -> F:
        method.__operation__ = name  # type: ignore[attr-defined]
        method.__blobs__ = blobs  # type: ignore[attr-defined]
        method.__threads__ = threads  # type: ignore[attr-defined]
        return method

    return mark


def interface_operations(interface: type) -> dict[str, Callable[..., Any]]:
    """The public methods of an interface, by name."""
    found: dict[str, Callable[..., Any]] = {}
    for name in dir(interface):
        member = getattr(interface, name, None)
        if not name.startswith("_") and callable(member) and not isinstance(member, type):
            found[name] = member
    return found
