"""A session: one conversation or piece of work of one agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

from ._errors import InvalidStatus
from ._identifiers import new_id
from ._validation import (
    check_choice,
    check_id,
    check_map,
    check_moment,
    check_texts,
    known_fields,
    now,
    refuse,
)

__all__ = ["SESSION_STATUSES", "Session"]

SESSION_STATUSES = frozenset({"pending", "active", "paused", "completed", "failed", "cancelled"})
"""Every status that a session can have."""

_FIELDS = (
    "id",
    "agent_id",
    "status",
    "parent_session_id",
    "metadata",
    "context",
    "tags",
    "created_at",
    "updated_at",
    "deleted_at",
)
_MOMENTS = ("created_at", "updated_at", "deleted_at")

# Stands for an `updated_at` that was not given; told apart by identity, not by value.
_WHEN_CREATED = datetime.min.replace(tzinfo=UTC)


def _new_id() -> str:
    return new_id("ses_")


@dataclass(frozen=True, kw_only=True)
class Session:
    """One conversation or piece of work of one agent, as it was at one moment.

    A session never changes: `update_status` returns another one. It keeps deep copies of the dicts
    and lists that it is given. Two sessions are equal if all their fields are; the hash is that of
    the id.

    Args:
        id: Not empty; made if absent (`ses_` and 32 hexadecimal digits).
        agent_id: Whose session it is; not empty.
        status: One of `SESSION_STATUSES`.
        parent_session_id: The session that this one came out of, or None.
        metadata: JSON data about the session.
        context: JSON data that the agent works with.
        tags: A list of texts.
        created_at: Now, if absent. Like every moment: aware, and kept in UTC.
        updated_at: The same as `created_at`, if absent.
        deleted_at: Set on a session that is to be left out of listings, else None.

    Raises:
        InvalidStatus: The status is unknown.
        ValidationError: Another field has a value that it cannot have, a datetime without a time
            zone or bytes in `metadata`, for example.

    """

    id: str = field(default_factory=_new_id)
    agent_id: str
    status: str = "pending"
    parent_session_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = _WHEN_CREATED
    deleted_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.updated_at is _WHEN_CREATED:
            object.__setattr__(self, "updated_at", self.created_at)
        _set_fields(self, _checked(*self.__to_wire__()))

    def __hash__(self) -> int:
        return hash(self.id)

    def update_status(self, status: str) -> Self:
        """Return this session with another status, updated now.

        Raises:
            InvalidStatus: The status is unknown.

        """
        return replace(self, status=status, updated_at=now())

    def copy(self) -> Self:
        """Return an equal session that shares no dict and no list with this one.

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
            "agent_id": self.agent_id,
            "status": self.status,
            "parent_session_id": self.parent_session_id,
            "metadata": check_map(self.metadata, "Session.metadata"),
            "context": check_map(self.context, "Session.context"),
            "tags": list(self.tags),
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
            "deleted_at": self.deleted_at and self.deleted_at.isoformat(),
        }

    @classmethod
    def from_map(cls, data: Mapping[str, Any]) -> Self:
        """Make a session of what `to_map` returned.

        Keys that are absent get their defaults, keys that are no fields are left aside (a later
        version may have written them), and moments may be datetimes, too.

        Raises:
            InvalidStatus: The status is unknown.
            ValidationError: `data` is not a dict, has no `agent_id`, or holds a value that its
                field cannot have.

        """
        return cls(**known_fields(data, "Session", _FIELDS, ("agent_id",), _MOMENTS))

    def __to_wire__(self) -> tuple[Any, ...]:
        """Return the values of all fields, in their order."""
        return (
            self.id,
            self.agent_id,
            self.status,
            self.parent_session_id,
            self.metadata,
            self.context,
            self.tags,
            self.created_at,
            self.updated_at,
            self.deleted_at,
        )

    @classmethod
    def __from_wire__(cls, values: Sequence[Any]) -> Self:
        """Make a session of the values of all fields, in their order.

        Raises:
            ValidationError: As by the constructor; also if there are too few or too many values.

        """
        if not isinstance(values, (list, tuple)) or len(values) != len(_FIELDS):
            refuse("the values of a Session", values, f"a list of {len(_FIELDS)}")
        session = object.__new__(cls)
        _set_fields(session, _checked(*values))
        return session


# The fields are the whole `__dict__` of an object, and so are set at once. This is the quickest way
# past the `__setattr__` that makes the class immutable.
_set_fields = Session.__dict__["__dict__"].__set__


def _checked(  # noqa: PLR0917 (one a field, in their order)
    id: object,
    agent_id: object,
    status: object,
    parent_session_id: object,
    metadata: object,
    context: object,
    tags: object,
    created_at: object,
    updated_at: object,
    deleted_at: object,
) -> dict[str, object]:
    """Return the fields of a session as it keeps them."""
    return {
        "id": check_id(id, "Session.id"),
        "agent_id": check_id(agent_id, "Session.agent_id"),
        "status": check_choice(status, "Session.status", SESSION_STATUSES, InvalidStatus),
        "parent_session_id": None
        if parent_session_id is None
        else check_id(parent_session_id, "Session.parent_session_id"),
        "metadata": check_map(metadata, "Session.metadata"),
        "context": check_map(context, "Session.context"),
        "tags": check_texts(tags, "Session.tags"),
        "created_at": check_moment(created_at, "Session.created_at"),
        "updated_at": check_moment(updated_at, "Session.updated_at"),
        "deleted_at": None
        if deleted_at is None
        else check_moment(deleted_at, "Session.deleted_at"),
    }
