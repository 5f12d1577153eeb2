"""What queries and maintenance answer with: it is checked, travels, and becomes JSON and back."""

import json
from dataclasses import FrozenInstanceError, fields
from typing import Any

import msgpack
import pytest

from ports import (
    ArtifactRecord,
    Cost,
    CostSummary,
    MaintenanceReport,
    Page,
    Problem,
    RetentionPolicy,
    SessionExport,
    SessionStats,
    Usage,
    UsageSummary,
    ValidationError,
)
from supervisor._wire.codec import Decoder, encode
from tests.contracts import samples
from tests.contracts.samples import at, event, run, session

# The json module, unlike everything of ours, refuses integers of over 4,300 digits.
AWKWARD_JSON = {name: value for name, value in samples.AWKWARD_JSON.items() if name != "huge"}

RECORDS: list[Any] = [
    ArtifactRecord(key="\0\ud800", size=2**70, metadata=AWKWARD_JSON, deleted_at=at(1)),
    Page(items=[]),
    Page(items=[session(metadata=AWKWARD_JSON), session()], cursor="abc", total=5),
    Page(items=[run(token_usage={"n": 2**70})]),
    Page(items=[event()]),
    Page(items=[ArtifactRecord(key="a")]),
    SessionStats(session_id="s"),
    SessionStats(
        session_id="s",
        event_count=1,
        latest_sequence=2,
        run_count=3,
        status_counts={"failed": 3},
        providers_used=["p"],
        token_totals={"n": 2**70, "x": 0.5},
        total_cost_usd=0.1,
        first_event_at=at(0),
        last_event_at=at(1),
    ),
    Usage(run_count=1, token_totals={"n": 1}),
    UsageSummary(
        run_count=2, token_totals={"n": 2}, by_provider={None: Usage(run_count=1), "": Usage()}
    ),
    Cost(run_count=1, total_cost_usd=10**400),
    CostSummary(run_count=2, by_provider={"p": Cost()}, by_model={None: Cost(run_count=2)}),
    SessionExport(session=session(), runs=[run()], events=[event(), event()]),
    RetentionPolicy(),
    RetentionPolicy(
        max_finished_session_age_days=0.5,
        hard_delete_after_days=None,
        max_events_per_session=2**70,
        exempt_statuses=["failed", "failed"],
        exempt_tags=["b", "a"],
        prune_event_types_first=(),
        batch_size=1,
    ),
    MaintenanceReport(sessions_soft_deleted=1, duration=0.5),
    Problem(kind="sequence_gap", session_id="s", message="gone", details={"count": 1}),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_becomes_json_and_back(record: Any):
    text = json.dumps(record.to_map(), allow_nan=False)
    assert type(record).from_map(json.loads(text)) == record


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_travels(record: Any):
    assert Decoder().decode(encode(record)) == record
    assert msgpack.packb(tuple(field.name for field in fields(record)))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_does_not_change_and_checks_what_comes_off_the_wire(record: Any):
    with pytest.raises(FrozenInstanceError):
        setattr(record, fields(record)[0].name, None)
    for values in ([], None, "text", [*record.__to_wire__(), 1]):
        with pytest.raises(ValidationError, match=type(record).__name__):
            type(record).__from_wire__(values)
    with pytest.raises(ValidationError):
        type(record).from_map(5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_finished_session_age_days", -1),
        ("max_finished_session_age_days", "90"),
        ("max_finished_session_age_days", float("nan")),
        ("hard_delete_after_days", True),
        ("hard_delete_after_days", float("inf")),
        ("max_events_per_session", -1),
        ("max_events_per_session", 1.5),
        ("exempt_statuses", "active"),
        ("exempt_statuses", ["running"]),
        ("exempt_tags", [5]),
        ("exempt_tags", None),
        ("prune_event_types_first", ["unknown"]),
        ("batch_size", 0),
        ("batch_size", None),
    ],
)
def test_a_policy_names_what_it_cannot_hold(name: str, value: Any):
    with pytest.raises(ValidationError) as caught:
        RetentionPolicy(**{name: value})
    assert caught.value.details["field"] == f"RetentionPolicy.{name}"
    assert caught.value.details["allowed"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", ""),
        ("key", b"x"),
        ("session_id", ""),
        ("run_id", 5),
        ("content_type", ["text"]),
        ("size", -1),
        ("sha256", "0" * 63),
        ("sha256", "g" * 64),
        ("backend", ""),
        ("metadata", []),
        ("created_at", None),
        ("deleted_at", "now"),
    ],
)
def test_an_artifact_record_names_what_it_cannot_hold(name: str, value: Any):
    with pytest.raises(ValidationError) as caught:
        ArtifactRecord(**{"key": "k", name: value})
    assert caught.value.details["field"] == f"ArtifactRecord.{name}"
