"""The errors of the stores."""

import copy
import pickle

import pytest

import ports
from ports import StoreError

CODES = [
    ("ValidationError", "StoreError", "validation_error"),
    ("InvalidStatus", "ValidationError", "invalid_status"),
    ("InvalidEventType", "ValidationError", "invalid_event_type"),
    ("NotFound", "StoreError", "not_found"),
    ("SessionNotFound", "NotFound", "session_not_found"),
    ("RunNotFound", "NotFound", "run_not_found"),
    ("StorageError", "StoreError", "storage_error"),
    ("StorageUnavailable", "StorageError", "storage_connection_failed"),
    ("MigrationRequired", "StoreError", "migration_required"),
    ("InvalidCursor", "StoreError", "invalid_cursor"),
]


@pytest.mark.parametrize(("name", "base", "code"), CODES)
def test_every_error_has_its_code_and_its_place(name: str, base: str, code: str):
    kind = getattr(ports, name)
    error = kind("what happened", details={"a": 1})
    assert (error.message, error.code, error.details) == ("what happened", code, {"a": 1})
    assert str(error) == "what happened"
    assert issubclass(kind, getattr(ports, base))
    with pytest.raises(TypeError):
        kind("what happened", code="another")


def test_a_store_error_has_the_code_that_it_is_given():
    error = StoreError("what happened", code="some_code")
    assert (error.message, error.code, error.details) == ("what happened", "some_code", {})
    with pytest.raises(TypeError):
        StoreError("what happened")


def test_an_error_keeps_its_own_details():
    details = {"a": 1}
    error = StoreError("what happened", code="c", details=details)
    details["b"] = 2
    assert error.details == {"a": 1}


@pytest.mark.parametrize(
    "error",
    [
        StoreError("what happened", code="some_code", details={"a": 1}),
        ports.InvalidStatus("what happened", details={"a": 1}),
        ports.SessionNotFound("what happened"),
    ],
)
def test_errors_can_be_pickled_copied_and_sent(error: StoreError):
    for other in (
        pickle.loads(pickle.dumps(error)),
        copy.copy(error),
        copy.deepcopy(error),
        type(error).__from_wire__(error.__to_wire__()),
    ):
        assert type(other) is type(error)
        assert other.__to_wire__() == error.__to_wire__()
        assert str(other) == str(error)
        assert other.args == error.args
