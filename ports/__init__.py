"""The domain types, the ports of the stores, and the errors that stores answer with.

This package does no input or output, and imports the standard library only. Whoever calls a store
needs nothing else; whoever writes one derives from `SessionStore` or `ArtifactStore`.
"""

from ._artifact_store import ArtifactStore, BytesLike
from ._errors import (
    InvalidCursor,
    InvalidEventType,
    InvalidStatus,
    MigrationRequired,
    NotFound,
    RunNotFound,
    SessionNotFound,
    StorageError,
    StorageUnavailable,
    StoreError,
    ValidationError,
)
from ._event import EVENT_TYPES, Event
from ._idempotent import idempotent
from ._run import RUN_STATUSES, Run
from ._session import SESSION_STATUSES, Session
from ._session_store import SessionStore

__all__ = [
    "EVENT_TYPES",
    "RUN_STATUSES",
    "SESSION_STATUSES",
    "ArtifactStore",
    "BytesLike",
    "Event",
    "InvalidCursor",
    "InvalidEventType",
    "InvalidStatus",
    "MigrationRequired",
    "NotFound",
    "Run",
    "RunNotFound",
    "Session",
    "SessionNotFound",
    "SessionStore",
    "StorageError",
    "StorageUnavailable",
    "StoreError",
    "ValidationError",
    "idempotent",
]
