"""Sessions, runs and events as rows of the database, and back.

A row is a tuple of the columns of the schema, in their order there, without `position`; the fields
of the domain types have the same order.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeVar

from ports import ArtifactRecord, Event, Run, Session, StorageError, ValidationError
from ports._moments import microseconds

from ._json import dumps, loads

Row = tuple[Any, ...]

_Item = TypeVar("_Item", Session, Run, Event, ArtifactRecord)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Where the number of an event stands in its row.
_NUMBER = 5

LARGEST = 2**63 - 1
"""The largest integer of a column; nothing is counted that far."""


def session_row(session: Session) -> Row:
    """Return a session as a row."""
    return (
        session.id,
        session.agent_id,
        session.status,
        session.parent_session_id,
        dumps(session.metadata),
        dumps(session.context),
        dumps(session.tags),
        microseconds(session.created_at),
        microseconds(session.updated_at),
        _optional(microseconds, session.deleted_at),
    )


def run_row(run: Run) -> Row:
    """Return a run as a row."""
    return (
        run.id,
        run.session_id,
        run.status,
        _optional(dumps, run.input),
        _optional(dumps, run.output),
        _optional(dumps, run.error),
        dumps(run.metadata),
        dumps(run.turn_count),
        dumps(run.token_usage),
        microseconds(run.started_at),
        _optional(microseconds, run.ended_at),
        run.provider,
        dumps(run.provider_metadata),
        _optional(dumps, run.cost_usd),
    )


def event_row(event: Event) -> Row:
    """Return an event as a row, whose number is not right yet; see `numbered_row`."""
    return (
        event.id,
        event.type,
        microseconds(event.timestamp),
        event.session_id,
        event.run_id,
        0,
        dumps(event.data),
        dumps(event.metadata),
        "1" if event.schema_version == 1 else dumps(event.schema_version),
        event.provider,
        event.correlation_id,
    )


def numbered_row(row: Row, number: int) -> Row:
    """Return the row of an event with its place in its session."""
    return (*row[:_NUMBER], number, *row[_NUMBER + 1 :])


def artifact_row(record: ArtifactRecord) -> Row:
    """Return the entry of an artifact as a row."""
    return (
        artifact_digest(record.key),
        json.dumps(record.key),  # in ASCII
        record.session_id,
        record.run_id,
        record.content_type,
        _optional(dumps, record.size),
        record.sha256,
        record.backend,
        dumps(record.metadata),
        microseconds(record.created_at),
        _optional(microseconds, record.deleted_at),
    )


def artifact_digest(key: str) -> str:
    """Return what an artifact is found by in the database."""
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def session_of(row: Row) -> Session:
    """Return the session of a row."""
    return _item(Session, row, _SESSION)


def run_of(row: Row) -> Run:
    """Return the run of a row."""
    return _item(Run, row, _RUN)


def event_of(row: Row) -> Event:
    """Return the event of a row."""
    return _item(Event, row, _EVENT)


def artifact_of(row: Row) -> ArtifactRecord:
    """Return the entry of an artifact of a row."""
    return _item(ArtifactRecord, row[1:], _ARTIFACT)


def moment_of(value: int) -> datetime:
    """Return the moment that the database keeps as this."""
    return _EPOCH + timedelta(microseconds=value)


def _item(of: type[_Item], row: Row, convert: tuple[Callable[[Any], Any] | None, ...]) -> _Item:
    """Make an object of a row, or say that the row is not one of ours."""
    try:
        return of.__from_wire__(
            [
                value if to is None or value is None else to(value)
                for to, value in zip(convert, row, strict=True)
            ]
        )
    # What other programs can have written into the database: anything.
    except (ValidationError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise StorageError(
            f"what the database holds of the {of.__name__} {row[0]!r} is damaged: {error}",
            details={"id": str(row[0])},
        ) from error


def _optional(convert: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else convert(value)


# How each column becomes a field; None where it is one already.
_SESSION = (None, None, None, None, loads, loads, loads, moment_of, moment_of, moment_of)
_RUN = (
    *(None, None, None, loads, loads, loads, loads, loads, loads),
    *(moment_of, moment_of, None, loads, loads),
)
_ARTIFACT = (
    *(loads, None, None, None, loads, None, None, loads),
    *(moment_of, moment_of),
)
_EVENT = (None, None, moment_of, None, None, None, loads, loads, loads, None, None)
