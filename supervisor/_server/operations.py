"""The operations of a server: found once, when it starts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from supervisor._errors import BadCall
from supervisor._server.server import HOOKS, Server

__all__ = ["Operation", "declared_errors", "find_operations", "has_async_operations", "unknown"]

# What a plain class may have for its orderly end; not for callers, of whom there are several.
_CLOSE = frozenset({"close"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        name: what callers call it.
        method: the bound method.
        public: the public method of that name, whose signature is the operation's.
        blobs: whether it takes large binaries in their files.
    """

    name: str
    method: Callable[..., Any]
    public: Callable[..., Any]
    blobs: bool

    def takes(self, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
        """Whether these arguments fit its signature; asked only after a TypeError."""
        try:
            inspect.signature(self.public).bind(*args, **kwargs)
        except TypeError:
            return False
        except ValueError:
            # A method without a signature, in C: it checked them itself, before it did anything.
            return False
        return True


def find_operations(server: object, *, on_threads: bool = False) -> dict[str, Operation]:
    """The public methods of a server, less its hooks, and those declared with ``operation``.

    Args:
        server: the object.
        on_threads: whether they will be called on threads, as a Forwarder's hosted objects are.
    """
    hooks = HOOKS | _CLOSE if isinstance(server, Server) else _CLOSE
    found: dict[str, Operation] = {}
    declared: dict[str, Operation] = {}
    for attribute in dir(type(server)):
        if isinstance(inspect.getattr_static(type(server), attribute), property):
            continue
        member = getattr(server, attribute, None)
        if not callable(member) or isinstance(member, type):
            continue
        name = getattr(member, "__operation__", None)
        if name is None and not attribute.startswith("_") and attribute not in hooks:
            found[attribute] = Operation(attribute, member, member, blobs=False)
        elif name is not None and (not on_threads or getattr(member, "__threads__", True)):
            public = getattr(server, name, member)
            declared[name] = Operation(name, member, public, getattr(member, "__blobs__", False))
    return found | declared


def has_async_operations(cls: type) -> bool:
    """Whether a class has operations that want asyncio's loop."""
    return any(
        inspect.iscoroutinefunction(member)
        for name, member in inspect.getmembers_static(cls)
        if not name.startswith("_") or hasattr(member, "__operation__")
    )


def declared_errors(server: object) -> tuple[type[BaseException], ...]:
    """The errors that a server's class, or a class that it inherits from, declares as replies."""
    found: dict[type[BaseException], None] = {}
    for cls in type(server).__mro__:
        declared = vars(cls).get("replies_with", ())
        for error in declared if isinstance(declared, (tuple, list)) else (declared,):
            found[error] = None
    return tuple(found)


def unknown(server: object, name: object, operations: dict[str, Operation]) -> BadCall:
    """What a caller of an operation that there is not is told."""
    kind = type(server).__name__
    if isinstance(name, str) and name.startswith("_"):
        return BadCall(f"{kind} has no operation {name!r}: what begins with '_' is private")
    if isinstance(name, str) and (name in _CLOSE or name in HOOKS):
        return BadCall(f"{kind} has no operation {name!r}: that is for its own process")
    known = ", ".join(sorted(operations)) or "none"
    return BadCall(f"{kind} has no operation {name!r}; it has: {known}")
