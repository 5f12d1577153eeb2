"""What a store answers when it cannot do what it was asked.

::

    StoreError                      code given by whoever raises it
    |-- ValidationError             validation_error
    |   |-- InvalidStatus           invalid_status
    |   `-- InvalidEventType        invalid_event_type
    |-- NotFound                    not_found
    |   |-- SessionNotFound         session_not_found
    |   `-- RunNotFound             run_not_found
    |-- StorageError                storage_error
    |   `-- StorageUnavailable      storage_connection_failed
    |-- MigrationRequired           migration_required
    `-- InvalidCursor               invalid_cursor

The caller is at fault for a `ValidationError` and an `InvalidCursor`, asked for what is not there
in a `NotFound`, and can do nothing but try later or call an operator about the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

__all__ = [
    "InvalidCursor",
    "InvalidEventType",
    "InvalidStatus",
    "MigrationRequired",
    "NotFound",
    "RunNotFound",
    "SessionNotFound",
    "StorageError",
    "StorageUnavailable",
    "StoreError",
    "ValidationError",
]


class StoreError(Exception):
    """Base of every error that a store answers with.

    Args:
        message: What went wrong, for people.
        code: What went wrong, for programs; it stays the same when the message is reworded.
        details: Further facts, by name. The error keeps a copy.

    Attributes:
        message: As given; also `str(error)`.
        code: As given, or fixed by the subclass.
        details: A dict, empty if none were given.

    """

    message: str
    code: str
    details: dict[str, Any]

    def __init__(
        self, message: str, *, code: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = dict(details or {})

    def __reduce__(self) -> tuple[Callable[..., StoreError], tuple[Any, ...], dict[str, Any]]:
        # The usual way would call the class with the message alone, and `code` is required.
        return _rebuild, (type(self), self.message), self.__dict__.copy()

    def __to_wire__(self) -> tuple[str, str, dict[str, Any]]:
        """Return message, code and details: what `__from_wire__` makes the same error of."""
        return self.message, self.code, self.details

    @classmethod
    def __from_wire__(cls, values: Sequence[Any]) -> Self:
        """Make the error again that `__to_wire__` was called on."""
        message, code, details = values
        error = cls.__new__(cls, message)
        error.__dict__.update(message=message, code=code, details=dict(details))
        return error


def _rebuild(cls: type[StoreError], message: str) -> StoreError:
    """Make an error without calling its `__init__`; unpickling then fills in the rest."""
    return cls.__new__(cls, message)


class _FixedCode(StoreError):
    """A `StoreError` whose class decides the code."""

    fixed_code: ClassVar[str]

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, code=self.fixed_code, details=details)


class ValidationError(_FixedCode):
    """A value that is not allowed where it was given; nothing was stored.

    `details` name the `field`, the `value` (as text) and what is `allowed`.
    """

    fixed_code = "validation_error"


class InvalidStatus(ValidationError):
    """A status that a session, or a run, cannot have."""

    fixed_code = "invalid_status"


class InvalidEventType(ValidationError):
    """An event type that is not one of `EVENT_TYPES`."""

    fixed_code = "invalid_event_type"


class NotFound(_FixedCode):
    """What was asked for is not in the store."""

    fixed_code = "not_found"


class SessionNotFound(NotFound):
    """No session has this id."""

    fixed_code = "session_not_found"


class RunNotFound(NotFound):
    """No run has this id."""

    fixed_code = "run_not_found"


class StorageError(_FixedCode):
    """The store, or what is behind it, failed; the request itself may be all right."""

    fixed_code = "storage_error"


class StorageUnavailable(StorageError):
    """What is behind the store could not be reached."""

    fixed_code = "storage_connection_failed"


class MigrationRequired(_FixedCode):
    """The database was made by an older version, and has to be brought up to date first."""

    fixed_code = "migration_required"


class InvalidCursor(_FixedCode):
    """A position in a listing that this store did not hand out."""

    fixed_code = "invalid_cursor"
