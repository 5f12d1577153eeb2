"""An event: something that happened in a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from ._errors import InvalidEventType
from ._identifiers import new_id
from ._validation import (
    check_choice,
    check_count,
    check_id,
    check_map,
    check_moment,
    check_text,
    known_fields,
    now,
    refuse,
)

__all__ = ["EVENT_TYPES", "Event"]

EVENT_TYPES = frozenset(
    {
        "session_created",
        "session_started",
        "session_paused",
        "session_resumed",
        "session_completed",
        "session_failed",
        "session_cancelled",
        "run_started",
        "run_completed",
        "run_failed",
        "run_cancelled",
        "run_timeout",
        "message_sent",
        "message_received",
        "message_streamed",
        "tool_call_started",
        "tool_call_completed",
        "tool_call_failed",
        "error_occurred",
        "error_recovered",
        "token_usage_updated",
        "turn_completed",
        "workspace_snapshot_taken",
        "workspace_diff_computed",
        "policy_violation",
        "tool_approval_requested",
        "tool_approval_granted",
        "tool_approval_denied",
    }
)
"""Every type that an event can have."""

_FIELDS = (
    "id",
    "type",
    "timestamp",
    "session_id",
    "run_id",
    "sequence_number",
    "data",
    "metadata",
    "schema_version",
    "provider",
    "correlation_id",
)


def _new_id() -> str:
    return new_id("evt_")


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened in a session.

    An event never changes. It keeps deep copies of the dicts that it is given. Two events are equal
    if all their fields are; the hash is that of the id.

    Args:
        id: Not empty; made if absent (`evt_` and 32 hexadecimal digits).
        type: One of `EVENT_TYPES`.
        timestamp: When it happened; now, if absent. Aware, and kept in UTC.
        session_id: The session that it belongs to; not empty.
        run_id: The run that it belongs to, or None.
        sequence_number: Its place in its session, from 1. The store decides it: None until the
            event is stored, and one that is given is not heeded.
        data: JSON data.
        metadata: JSON data.
        schema_version: The version of what `data` holds, from 1.
        provider: Who it came from, or None.
        correlation_id: What ties it to other events, or None.

    Raises:
        InvalidEventType: The type is unknown.
        ValidationError: Another field has a value that it cannot have, a datetime without a time
            zone or bytes in `data`, for example.

    """

    id: str = field(default_factory=_new_id)
    type: str
    timestamp: datetime = field(default_factory=now)
    session_id: str
    run_id: str | None = None
    sequence_number: int | None = None
    data: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    schema_version: int = 1
    provider: str | None = None
    correlation_id: str | None = None

    def __post_init__(self) -> None:
        _set_fields(self, _checked(*self.__to_wire__()))

    def __hash__(self) -> int:
        return hash(self.id)

    def with_sequence_number(self, sequence_number: int) -> Self:
        """Return a copy of this event, which shares nothing with it, at this place in its session.

        Raises:
            ValidationError: `sequence_number` is not an integer of at least 1.

        """
        numbered = self.copy()
        numbered.__dict__["sequence_number"] = check_count(
            sequence_number, "Event.sequence_number", 1
        )
        return numbered

    def copy(self) -> Self:
        """Return an equal event that shares no dict with this one.

        Raises:
            ValidationError: Someone has put into one of the dicts what it cannot hold.

        """
        return self.__from_wire__(self.__to_wire__())

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.copy()

    def to_map(self) -> dict[str, Any]:
        """Return every field by name, as JSON data: moments are text in ISO 8601."""
        return {
            "id": self.id,
            "type": self.type,
            "timestamp": self.timestamp.isoformat(),
            "session_id": self.session_id,
            "run_id": self.run_id,
            "sequence_number": self.sequence_number,
            "data": check_map(self.data, "Event.data"),
            "metadata": check_map(self.metadata, "Event.metadata"),
            "schema_version": self.schema_version,
            "provider": self.provider,
            "correlation_id": self.correlation_id,
        }

    @classmethod
    def from_map(cls, data: Mapping[str, Any]) -> Self:
        """Make an event of what `to_map` returned.

        Keys that are absent get their defaults, keys that are no fields are left aside (a later
        version may have written them), and the timestamp may be a datetime, too.

        Raises:
            InvalidEventType: The type is unknown.
            ValidationError: `data` is not a dict, has no `type` or no `session_id`, or holds a
                value that its field cannot have.

        """
        return cls(**known_fields(data, "Event", _FIELDS, ("type", "session_id"), ("timestamp",)))

    def __to_wire__(self) -> tuple[Any, ...]:
        """Return the values of all fields, in their order."""
        return (
            self.id,
            self.type,
            self.timestamp,
            self.session_id,
            self.run_id,
            self.sequence_number,
            self.data,
            self.metadata,
            self.schema_version,
            self.provider,
            self.correlation_id,
        )

    @classmethod
    def __from_wire__(cls, values: Sequence[Any]) -> Self:
        """Make an event of the values of all fields, in their order.

        Raises:
            ValidationError: As by the constructor; also if there are too few or too many values.

        """
        if not isinstance(values, (list, tuple)) or len(values) != len(_FIELDS):
            refuse("the values of an Event", values, f"a list of {len(_FIELDS)}")
        event = object.__new__(cls)
        _set_fields(event, _checked(*values))
        return event


# The fields are the whole `__dict__` of an object, and so are set at once. This is the quickest way
# past the `__setattr__` that makes the class immutable.
_set_fields = Event.__dict__["__dict__"].__set__


def _checked(  # noqa: PLR0917 (one a field, in their order)
    id: object,
    type: object,
    timestamp: object,
    session_id: object,
    run_id: object,
    sequence_number: object,
    data: object,
    metadata: object,
    schema_version: object,
    provider: object,
    correlation_id: object,
) -> dict[str, object]:
    """Return the fields of an event as it keeps them."""
    return {
        "id": check_id(id, "Event.id"),
        "type": check_choice(type, "Event.type", EVENT_TYPES, InvalidEventType),
        "timestamp": check_moment(timestamp, "Event.timestamp"),
        "session_id": check_id(session_id, "Event.session_id"),
        "run_id": None if run_id is None else check_id(run_id, "Event.run_id"),
        "sequence_number": None
        if sequence_number is None
        else check_count(sequence_number, "Event.sequence_number", 1),
        "data": check_map(data, "Event.data"),
        "metadata": check_map(metadata, "Event.metadata"),
        "schema_version": check_count(schema_version, "Event.schema_version", 1),
        "provider": None if provider is None else check_text(provider, "Event.provider"),
        "correlation_id": None
        if correlation_id is None
        else check_text(correlation_id, "Event.correlation_id"),
    }
