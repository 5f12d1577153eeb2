"""The names that each package hands out. A change here is a change of the contract."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

import ports
import stores
import supervisor

SUPERVISOR = [
    "AsyncClient",
    "Backoff",
    "BadCall",
    "Blob",
    "CallTimeout",
    "Child",
    "ChildCount",
    "ChildExists",
    "ChildInfo",
    "ChildNotFound",
    "ChildRestarting",
    "ChildRunning",
    "Client",
    "Command",
    "DynamicSupervisor",
    "Exit",
    "Forwarder",
    "Hosted",
    "Monitor",
    "NameTaken",
    "NoProcess",
    "NodeRunning",
    "Overloaded",
    "Pool",
    "PoolExecutor",
    "ProcessDown",
    "Ref",
    "Registry",
    "Remote",
    "RemoteError",
    "Server",
    "SpecError",
    "StartError",
    "Supervisor",
    "SupervisorError",
    "SupervisorRef",
    "TaskTimeout",
    "WorkerCrashed",
    "checkout",
    "connect",
    "connect_async",
    "idempotent",
    "operation",
    "whereis",
]

STORES = [
    "CompositeSessionStore",
    "FileArtifactStore",
    "InMemorySessionStore",
    "S3ArtifactStore",
    "SQLAlchemySessionStore",
]

PORTS = [
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


PACKAGES = [(supervisor, SUPERVISOR), (stores, STORES), (ports, PORTS)]


@pytest.mark.parametrize(("package", "names"), PACKAGES)
def test_the_public_names(package: ModuleType, names: list[str]) -> None:
    assert package.__all__ == names
    assert names == sorted(
        set(names), key=lambda name: (not name.isupper(), name[0].islower(), name)
    )


@pytest.mark.parametrize(("package", "names"), PACKAGES)
def test_each_is_there_and_says_what_it_is(package: ModuleType, names: list[str]) -> None:
    for name in names:
        value = getattr(package, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, name


@pytest.mark.parametrize(("package", "names"), PACKAGES)
def test_everything_else_is_private(package: ModuleType, names: list[str]) -> None:
    public = {name for name in vars(package) if not name.startswith("_")}
    # A module of a package's own shows once somebody has imported it, as these tests do.
    assert public - {"annotations", "testing"} <= set(names)
