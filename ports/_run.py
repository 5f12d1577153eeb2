"""A run: one execution within a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from ._errors import InvalidStatus
from ._identifiers import new_id
from ._validation import (
    check_choice,
    check_count,
    check_id,
    check_json,
    check_map,
    check_moment,
    check_number,
    check_text,
    known_fields,
    now,
    refuse,
)

__all__ = ["RUN_STATUSES", "Run"]

_TERMINAL = frozenset({"completed", "failed", "cancelled", "timeout"})

RUN_STATUSES = frozenset({"pending", "running"}) | _TERMINAL
"""Every status that a run can have."""

_FIELDS = (
    "id",
    "session_id",
    "status",
    "input",
    "output",
    "error",
    "metadata",
    "turn_count",
    "token_usage",
    "started_at",
    "ended_at",
    "provider",
    "provider_metadata",
    "cost_usd",
)
_MOMENTS = ("started_at", "ended_at")


def _new_id() -> str:
    return new_id("run_")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution within a session, as it was at one moment.

    A run never changes: its methods return another one. It keeps deep copies of the dicts and lists
    that it is given. Two runs are equal if all their fields are; the hash is that of the id.

    Args:
        id: Not empty; made if absent (`run_` and 32 hexadecimal digits).
        session_id: The session that it belongs to; not empty.
        status: One of `RUN_STATUSES`.
        input: What it was started with: any JSON data.
        output: What came of it: any JSON data.
        error: Why it failed: any JSON data.
        metadata: JSON data about the run.
        turn_count: How many turns it took so far.
        token_usage: Counts by name, `{"input_tokens": 10}` for example.
        started_at: Now, if absent. Like every moment: aware, and kept in UTC.
        ended_at: None, or now, if absent while the status is a terminal one (completed, failed,
            cancelled, timeout).
        provider: Who carries the run out, or None.
        provider_metadata: JSON data of the provider.
        cost_usd: US dollars, a finite number, or None.

    Raises:
        InvalidStatus: The status is unknown.
        ValidationError: Another field has a value that it cannot have, a datetime without a time
            zone or bytes in `output`, for example.

    """

    id: str = field(default_factory=_new_id)
    session_id: str
    status: str = "pending"
    input: Any = None
    output: Any = None
    error: Any = None
    metadata: dict[str, Any] = field(default_factory=dict)
    turn_count: int = 0
    token_usage: dict[str, Any] = field(default_factory=dict)
    started_at: datetime = field(default_factory=now)
    ended_at: datetime | None = None
    provider: str | None = None
    provider_metadata: dict[str, Any] = field(default_factory=dict)
    cost_usd: float | None = None

    def __post_init__(self) -> None:
        _set_fields(self, _checked(*self.__to_wire__()))

    def __hash__(self) -> int:
        return hash(self.id)

    def update_status(self, status: str) -> Self:
        """Return this run with another status.

        A terminal status (completed, failed, cancelled, timeout) sets `ended_at` to now, another
        one sets it to None.

        Raises:
            InvalidStatus: The status is unknown.

        """
        return replace(self, status=status, ended_at=None)

    def set_output(self, output: Any) -> Self:
        """Return this run, completed now with this output (any JSON data).

        Raises:
            ValidationError: The output is not JSON data.

        """
        return replace(self, status="completed", output=output, ended_at=None)

    def set_error(self, error: Any) -> Self:
        """Return this run, failed now with this error (any JSON data).

        Raises:
            ValidationError: The error is not JSON data.

        """
        return replace(self, status="failed", error=error, ended_at=None)

    def increment_turn(self) -> Self:
        """Return this run with one more turn."""
        return replace(self, turn_count=self.turn_count + 1)

    def update_token_usage(self, usage: dict[str, Any]) -> Self:
        """Return this run with `usage` taken into its token usage.

        Numbers are added to those of the same name, dicts likewise one level down; anything else
        takes the place of what was there.

        Raises:
            ValidationError: `usage` is not a dict of JSON data, or a sum is beyond a float.

        """
        added = check_map(usage, "Run.token_usage")
        try:
            return replace(self, token_usage=_add_up(self.token_usage, added))
        except OverflowError:
            refuse("Run.token_usage", usage, "numbers whose sums are finite")

    def copy(self) -> Self:
        """Return an equal run that shares no dict and no list with this one.

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
            "session_id": self.session_id,
            "status": self.status,
            "input": check_json(self.input, "Run.input"),
            "output": check_json(self.output, "Run.output"),
            "error": check_json(self.error, "Run.error"),
            "metadata": check_map(self.metadata, "Run.metadata"),
            "turn_count": self.turn_count,
            "token_usage": check_map(self.token_usage, "Run.token_usage"),
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at and self.ended_at.isoformat(),
            "provider": self.provider,
            "provider_metadata": check_map(self.provider_metadata, "Run.provider_metadata"),
            "cost_usd": self.cost_usd,
        }

    @classmethod
    def from_map(cls, data: Mapping[str, Any]) -> Self:
        """Make a run of what `to_map` returned.

        Keys that are absent get their defaults, keys that are no fields are left aside (a later
        version may have written them), and moments may be datetimes, too.

        Raises:
            InvalidStatus: The status is unknown.
            ValidationError: `data` is not a dict, has no `session_id`, or holds a value that its
                field cannot have.

        """
        return cls(**known_fields(data, "Run", _FIELDS, ("session_id",), _MOMENTS))

    def __to_wire__(self) -> tuple[Any, ...]:
        """Return the values of all fields, in their order."""
        return (
            self.id,
            self.session_id,
            self.status,
            self.input,
            self.output,
            self.error,
            self.metadata,
            self.turn_count,
            self.token_usage,
            self.started_at,
            self.ended_at,
            self.provider,
            self.provider_metadata,
            self.cost_usd,
        )

    @classmethod
    def __from_wire__(cls, values: Sequence[Any]) -> Self:
        """Make a run of the values of all fields, in their order.

        Raises:
            ValidationError: As by the constructor; also if there are too few or too many values.

        """
        if not isinstance(values, (list, tuple)) or len(values) != len(_FIELDS):
            refuse("the values of a Run", values, f"a list of {len(_FIELDS)}")
        run = object.__new__(cls)
        _set_fields(run, _checked(*values))
        return run


# The fields are the whole `__dict__` of an object, and so are set at once. This is the quickest way
# past the `__setattr__` that makes the class immutable.
_set_fields = Run.__dict__["__dict__"].__set__


def _checked(  # noqa: PLR0917 (one a field, in their order)
    id: object,
    session_id: object,
    status: object,
    input: object,
    output: object,
    error: object,
    metadata: object,
    turn_count: object,
    token_usage: object,
    started_at: object,
    ended_at: object,
    provider: object,
    provider_metadata: object,
    cost_usd: object,
) -> dict[str, object]:
    """Return the fields of a run as it keeps them."""
    if ended_at is None and isinstance(status, str) and status in _TERMINAL:
        ended_at = now()
    return {
        "id": check_id(id, "Run.id"),
        "session_id": check_id(session_id, "Run.session_id"),
        "status": check_choice(status, "Run.status", RUN_STATUSES, InvalidStatus),
        "input": check_json(input, "Run.input"),
        "output": check_json(output, "Run.output"),
        "error": check_json(error, "Run.error"),
        "metadata": check_map(metadata, "Run.metadata"),
        "turn_count": check_count(turn_count, "Run.turn_count"),
        "token_usage": check_map(token_usage, "Run.token_usage"),
        "started_at": check_moment(started_at, "Run.started_at"),
        "ended_at": None if ended_at is None else check_moment(ended_at, "Run.ended_at"),
        "provider": None if provider is None else check_text(provider, "Run.provider"),
        "provider_metadata": check_map(provider_metadata, "Run.provider_metadata"),
        "cost_usd": None if cost_usd is None else check_number(cost_usd, "Run.cost_usd"),
    }


def _add_up(usage: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    total = dict(usage)
    for name, value in added.items():
        before = total.get(name)
        if _is_number(before) and _is_number(value):
            total[name] = before + value
        elif isinstance(before, dict) and isinstance(value, dict):
            total[name] = _add_up(before, value)
        else:
            total[name] = value
    return total


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
