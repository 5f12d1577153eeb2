"""The ports themselves, and what the package exports."""

import ast
import inspect
import sys
from pathlib import Path

import pytest

import ports
from ports import (
    ArtifactRegistry,
    ArtifactStore,
    Maintenance,
    SessionQuery,
    SessionStore,
    StoreError,
    idempotent,
)

RUN_FILTERS = (
    "self, *, session_id=None, agent_id=None, status=None, provider=None, since=None, until=None"
)
EVENT_FILTERS = (
    "self, *, session_id=None, agent_id=None, run_id=None, type=None, provider=None, "
    "correlation_id=None, since=None, until=None"
)
OPERATIONS = {
    SessionStore: {
        "save_session": "(self, session)",
        "get_session": "(self, session_id)",
        "list_sessions": "(self, *, status=None, agent_id=None, limit=None, offset=0, "
        "include_deleted=False)",
        "delete_session": "(self, session_id)",
        "save_run": "(self, run)",
        "get_run": "(self, run_id)",
        "list_runs": "(self, session_id, *, status=None, limit=None)",
        "get_active_run": "(self, session_id)",
        "append_event": "(self, event)",
        "append_event_with_sequence": "(self, event)",
        "append_events": "(self, events)",
        "flush": "(self, session, run, events)",
        "get_events": "(self, session_id, *, run_id=None, type=None, since=None, after=None, "
        "before=None, limit=None, wait_timeout=None)",
        "get_latest_sequence": "(self, session_id)",
    },
    ArtifactStore: {
        "put": "(self, key, data)",
        "get": "(self, key)",
        "delete": "(self, key)",
        "view": "(self, key)",
    },
    SessionQuery: {
        "search_sessions": "(self, *, agent_id=None, status=None, provider=None, tags=None, "
        "since=None, until=None, include_deleted=False, order_by='updated_at_desc', limit=50, "
        "cursor=None, with_total=False)",
        "get_session_stats": "(self, session_id)",
        "export_session": "(self, session_id)",
        "search_runs": f"({RUN_FILTERS}, order_by='started_at_desc', limit=50, cursor=None, "
        "with_total=False)",
        "get_usage_summary": f"({RUN_FILTERS})",
        "get_cost_summary": f"({RUN_FILTERS})",
        "search_events": f"({EVENT_FILTERS}, order_by='timestamp_asc', limit=100, cursor=None, "
        "with_total=False)",
        "count_events": f"({EVENT_FILTERS})",
    },
    Maintenance: {
        "execute": "(self, policy)",
        "prune_session_events": "(self, session_id, policy)",
        "health_check": "(self)",
    },
    ArtifactRegistry: {
        "register_artifact": "(self, record)",
        "get_artifact": "(self, key)",
        "list_artifacts": "(self, *, session_id=None, run_id=None, backend=None, "
        "include_deleted=False, order_by='created_at_asc', limit=50, cursor=None, "
        "with_total=False)",
        "mark_artifact_deleted": "(self, key)",
        "forget_artifact": "(self, key)",
    },
}


def _bare(signature: inspect.Signature) -> str:
    parameters = [
        each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()
    ]
    return str(inspect.Signature(parameters))


@pytest.mark.parametrize("port", OPERATIONS)
def test_operations_and_their_signatures(port: type):
    public = {name: each for name, each in vars(port).items() if inspect.isfunction(each)}
    found = {name: _bare(inspect.signature(each)) for name, each in public.items()}
    assert found == OPERATIONS[port]


@pytest.mark.parametrize("port", OPERATIONS)
def test_every_operation_is_idempotent_abstract_and_described(port: type):
    for name in OPERATIONS[port]:
        operation = getattr(port, name)
        assert operation.__idempotent__ is True
        assert operation.__isabstractmethod__
        assert operation.__doc__
    assert port.replies_with == (StoreError,)
    with pytest.raises(TypeError, match="abstract"):
        port()


def test_no_operation_belongs_to_two_ports():
    names = [name for operations in OPERATIONS.values() for name in operations]
    assert len(names) == len(set(names))


def test_idempotent_marks_the_function_itself():
    def operation() -> None:
        pass

    assert idempotent(operation) is operation
    assert operation.__idempotent__ is True


def test_exported_names():
    assert sorted(ports.__all__) == [
        "ArtifactRecord",
        "ArtifactRegistry",
        "ArtifactStore",
        "BytesLike",
        "Cost",
        "CostSummary",
        "EVENT_TYPES",
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
        "RUN_STATUSES",
        "RetentionPolicy",
        "Run",
        "RunNotFound",
        "SESSION_STATUSES",
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
    for name in ports.__all__:
        assert hasattr(ports, name)


def test_the_package_imports_the_standard_library_only():
    allowed = {*sys.stdlib_module_names, "typing_extensions"}  # the latter for type checkers only
    for path in Path(ports.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert {each.name.split(".")[0] for each in node.names} <= allowed
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert (node.module or "").split(".")[0] in allowed


def test_the_types_and_statuses_are_those_of_the_contract():
    assert len(ports.EVENT_TYPES) == 28
    assert sorted(ports.SESSION_STATUSES) == [
        "active",
        "cancelled",
        "completed",
        "failed",
        "paused",
        "pending",
    ]
    assert sorted(ports.RUN_STATUSES) == [
        "cancelled",
        "completed",
        "failed",
        "pending",
        "running",
        "timeout",
    ]
