"""Two stores behind one name: a session store and an artifact store.

As a process it forwards: a call goes to its backend as the bytes it came in, and the answer comes
back likewise. As a plain object it calls its backends.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from ports import ArtifactRegistry, ArtifactStore, Maintenance, SessionQuery, SessionStore
from stores._backend import Backend, backend_of
from supervisor import Forwarder
from supervisor import Hosted as HostedRoute
from supervisor import Remote as RemoteRoute

__all__ = ["CompositeSessionStore"]

C = TypeVar("C", bound=type)


# What a session store may offer besides.
_FURTHER = (SessionQuery, Maintenance, ArtifactRegistry)


def _delegating(attribute: str, *ports: type) -> Callable[[C], C]:
    """Give a class the methods of ports, each of which calls the backend of that name."""

    def delegate(cls: C) -> C:
        for port in ports:
            for name in sorted(port.__abstractmethods__):  # type: ignore[attr-defined]
                setattr(cls, name, _delegated(getattr(port, name), name, attribute))
            cls.__abstractmethods__ = frozenset(cls.__abstractmethods__ - port.__abstractmethods__)  # type: ignore[attr-defined]
        return cls

    return delegate


def _delegated(declared: Any, name: str, attribute: str) -> Callable[..., Any]:
    @functools.wraps(declared)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, attribute).call(name, args, kwargs)

    call.__isabstractmethod__ = False  # type: ignore[attr-defined]
    return call


@_delegating("_session_store", SessionStore, *_FURTHER)
@_delegating("_artifact_store", ArtifactStore)
class CompositeSessionStore(
    SessionStore, ArtifactStore, SessionQuery, Maintenance, ArtifactRegistry, Forwarder
):
    """A session store and an artifact store in one.

    It answers queries, does maintenance and keeps an index of artifacts as far as its session store
    does: one that has no such operation answers BadCall, which says so.

    A backend is a registered name; a ``Ref``; ``(SomeStore, {"argument": ...})``, or an object with
    the port's methods, hosted in the composite's own process on threads. No transaction spans both.
    A backend that crashed on a call, is gone for good, or does not answer in time gives
    StorageError; the operations of the other one go on untouched.

    Args:
        session_store: the backend for sessions, runs and events.
        artifact_store: the backend for artifacts.

    Raises:
        ValidationError: an option is none of these.
        StartError: a name does not run: start that store first.
    """

    def __init__(self, session_store: Any, artifact_store: Any) -> None:
        self._session_store: Backend = backend_of(
            "session_store", session_store, SessionStore, _FURTHER
        )
        try:
            self._artifact_store: Backend = backend_of(
                "artifact_store", artifact_store, ArtifactStore
            )
        except BaseException:
            self._session_store.close()
            raise

    def routes(self) -> Mapping[str, RemoteRoute | HostedRoute]:
        """Where each operation goes, by the port that it belongs to."""
        found: dict[str, RemoteRoute | HostedRoute] = {}
        for backend in (self._session_store, self._artifact_store):
            route = backend.route()
            found.update(dict.fromkeys(backend.operations, route))
        return found

    def failure(self, operation: str, error: Exception) -> Exception:
        """A StorageError that says which backend cannot answer, and why."""
        for backend in (self._session_store, self._artifact_store):
            if operation in backend.operations:
                return backend.failure(operation, error)
        return error

    def close(self) -> None:
        """Close the connections, and the stores that it hosts; not those that it calls."""
        self._session_store.close()
        self._artifact_store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
