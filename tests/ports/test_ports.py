"""The ports themselves, and what the package exports."""

import ast
import inspect
import sys
from pathlib import Path

import pytest

import ports
from ports import ArtifactStore, SessionStore, StoreError, idempotent

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


def test_idempotent_marks_the_function_itself():
    def operation() -> None:
        pass

    assert idempotent(operation) is operation
    assert operation.__idempotent__ is True


def test_exported_names():
    assert sorted(ports.__all__) == [
        "ArtifactStore",
        "BytesLike",
        "EVENT_TYPES",
        "Event",
        "InvalidCursor",
        "InvalidEventType",
        "InvalidStatus",
        "MigrationRequired",
        "NotFound",
        "RUN_STATUSES",
        "Run",
        "RunNotFound",
        "SESSION_STATUSES",
        "Session",
        "SessionNotFound",
        "SessionStore",
        "StorageError",
        "StorageUnavailable",
        "StoreError",
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
