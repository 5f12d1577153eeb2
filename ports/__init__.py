"""The domain types, the ports of the stores, and the errors that stores answer with.

This package does no input or output, and imports the standard library only. Whoever calls a store
needs nothing else; whoever writes one derives from `SessionStore` or `ArtifactStore`, and from
`SessionQuery`, `Maintenance` and `ArtifactRegistry` as far as it offers these.
"""

from ._artifact_record import ArtifactRecord
from ._artifact_registry import ArtifactRegistry
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
from ._maintenance import Maintenance
from ._results import (
    Cost,
    CostSummary,
    Page,
    SessionExport,
    SessionStats,
    Usage,
    UsageSummary,
)
from ._retention import MaintenanceReport, Problem, RetentionPolicy
from ._run import RUN_STATUSES, Run
from ._session import SESSION_STATUSES, Session
from ._session_query import SessionQuery
from ._session_store import SessionStore

__all__ = [
    "EVENT_TYPES",
    "RUN_STATUSES",
    "SESSION_STATUSES",
    "ArtifactRecord",
    "ArtifactRegistry",
    "ArtifactStore",
    "BytesLike",
    "Cost",
    "CostSummary",
    "Event",
    "InvalidCursor",
    "InvalidEventType",
    "InvalidStatus",
    "Maintenance",
    "MaintenanceReport",
    "MigrationRequired",
    "NotFound",
    "Page",
    "Problem",
    "RetentionPolicy",
    "Run",
    "RunNotFound",
    "Session",
    "SessionExport",
    "SessionNotFound",
    "SessionQuery",
    "SessionStats",
    "SessionStore",
    "StorageError",
    "StorageUnavailable",
    "StoreError",
    "Usage",
    "UsageSummary",
    "ValidationError",
    "idempotent",
]
