"""The backends of a composite: in another process, or hosted in its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, Protocol

from ports import StorageError, StoreError, ValidationError
from supervisor import (
    BadCall,
    CallTimeout,
    Hosted,
    NoProcess,
    ProcessDown,
    Ref,
    Remote,
    StartError,
    SupervisorError,
    connect,
    whereis,
)
from supervisor._secrets import without_secrets
from supervisor._server.operations import Operation

__all__ = ["Backend", "backend_of"]

# Seconds in which a backend's supervisor says whether it runs.
_PATIENCE = 0.5


class Backend(Protocol):
    """A store behind a composite.

    Attributes:
        operations: the names of the operations of its ports, whether it has them or not.
    """

    operations: frozenset[str]

    def call(self, operation: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The result of an operation."""

    def route(self) -> Remote | Hosted:
        """Where the composite's process sends the operations."""

    def failure(self, operation: str, error: Exception) -> StoreError:
        """What a caller is told where it cannot answer."""

    def close(self) -> None:
        """Let go of it."""


def backend_of(option: str, value: Any, port: type, further: Sequence[type] = ()) -> Backend:
    """The backend that an option of the composite means.

    Args:
        option: the option's name, for messages.
        value: a registered name, a Ref, ``(SomeStore, {"argument": ...})`` or a store object.
        port: the port that it is to implement.
        further: the ports that it may implement besides.

    Raises:
        ValidationError: it is none of these.
        StartError: a name or Ref does not run.
    """
    ports = (port, *further)
    if isinstance(value, (str, Ref)):
        return _RemoteBackend(option, value, ports)
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], type):
        cls, kwargs = value
        if issubclass(cls, port) and isinstance(kwargs, Mapping):
            return _HostedBackend(option, lambda: cls(**kwargs), ports)
    elif isinstance(value, port):
        return _HostedBackend(option, value, ports)
    raise ValidationError(
        f"{option} must be a registered name, a Ref, (a {port.__name__} class, its arguments) or a "
        f"{port.__name__}, not {_shown(value)}"
    )


def _shown(value: Any) -> str:
    """An option without a store's arguments: there may be credentials among them."""
    if isinstance(value, tuple) and value and isinstance(value[0], type):
        return f"a {value[0].__name__} and {len(value) - 1} more"
    containers = (tuple, list, Mapping)
    return f"a {type(value).__name__}" if isinstance(value, containers) else f"{value!r:.200}"


def _operations(ports: Sequence[type]) -> frozenset[str]:
    return frozenset().union(*(port.__abstractmethods__ for port in ports))  # type: ignore[attr-defined]


def _unavailable(option: str, operation: str, error: Exception) -> StorageError:
    exit = getattr(error, "exit", None)
    return StorageError(
        f"{option} cannot answer {operation}: {error}",
        details={
            "backend": option,
            "operation": operation,
            "error": type(error).__name__,
            "reason": None if exit is None else exit.reason,
        },
    )


def _has_run(ref: Ref) -> bool:
    try:
        return ref.has_run(timeout=_PATIENCE)
    except CallTimeout:
        # Its supervisor is restarting, so it has run: waiting for it here could keep that
        # supervisor's own from starting it, which waits for this composite.
        return True


class _RemoteBackend:
    """A store that runs as a process of its own."""

    def __init__(self, option: str, store: str | Ref, ports: Sequence[type]) -> None:
        self.operations = _operations(ports)
        self._option = option
        self._required = _operations(ports[:1])
        self._interface = type("Ports", tuple(ports), {})
        self._ref = self._find(store)
        self._client: Any = connect(self._ref, self._interface)

    def _find(self, store: str | Ref) -> Ref:
        try:
            ref = whereis(store) if isinstance(store, str) else store
            if ref is not None and _has_run(ref):
                return ref
        except SupervisorError as error:
            raise self._not_running(store, f" ({error})") from None
        raise self._not_running(store, "")

    def _not_running(self, store: str | Ref, why: str) -> StartError:
        shown = without_secrets(repr(store) if isinstance(store, str) else str(store))
        return StartError(
            (), f"{self._option}={shown} is not running{why}: start it before the composite"
        )

    def call(self, operation: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        try:
            return getattr(self._client, operation)(*args, **kwargs)
        except (ProcessDown, NoProcess, CallTimeout) as error:
            raise self.failure(operation, error) from error
        except BadCall as error:
            if operation not in self._required:
                raise  # it may be that the store does not have it
            raise ValidationError(str(error)) from error

    def route(self) -> Remote:
        repeatable = frozenset(
            name
            for name in self.operations
            if getattr(getattr(self._interface, name), "__idempotent__", False)
        )
        return Remote(self._ref.target, repeatable)

    def failure(self, operation: str, error: Exception) -> StoreError:
        return _unavailable(self._option, operation, error)

    def close(self) -> None:
        self._client.close()


class _HostedBackend:
    """A store that lives in the composite's own process."""

    def __init__(self, option: str, store: Any, ports: Sequence[type]) -> None:
        self.operations = _operations(ports)
        self._option = option
        self._build: Callable[[], Any] | None = None
        if not isinstance(store, ports[0]):
            self._build = store
            store = store()
        self._store: Any = store
        self._lock = Lock()

    def call(self, operation: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        store = self._store
        method = getattr(store, operation, None)
        if method is None:
            raise BadCall(f"{type(store).__name__} has no operation {operation!r}")
        try:
            return method(*args, **kwargs)
        except StoreError:
            raise
        except Exception as error:
            if isinstance(error, TypeError):
                called = Operation(operation, method, method, blobs=False)
                if called.misfit(args, dict(kwargs), error) is not None:
                    raise  # the caller's fault, as with any other method
            self._replace(store)
            raise self.failure(operation, error) from error

    def _replace(self, crashed: Any) -> None:
        """As a supervisor would: a store that crashed is started anew."""
        with self._lock:
            if self._build is not None and self._store is crashed:
                self._store = self._build()

    def route(self) -> Hosted:
        return Hosted(self._store, self._build)

    def failure(self, operation: str, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        return _unavailable(self._option, operation, error)

    def close(self) -> None:
        close = getattr(self._store, "close", None)
        if callable(close):
            close()
