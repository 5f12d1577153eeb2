"""What queries answer with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, Self, TypeVar

from ._artifact_record import ArtifactRecord
from ._errors import ValidationError
from ._event import Event
from ._record import Record
from ._run import RUN_STATUSES, Run
from ._session import Session
from ._validation import (
    check_choice,
    check_count,
    check_id,
    check_map,
    check_moment,
    check_number,
    check_text,
    check_texts,
    refuse,
)

__all__ = [
    "Cost",
    "CostSummary",
    "Page",
    "SessionExport",
    "SessionStats",
    "Usage",
    "UsageSummary",
]

_Item = TypeVar("_Item")
_Part = TypeVar("_Part", bound=Record)

_KINDS: dict[str, Any] = {
    "session": Session,
    "run": Run,
    "event": Event,
    "artifact": ArtifactRecord,
}


@dataclass(frozen=True, kw_only=True)
class Page(Record, Generic[_Item]):
    """A part of a listing.

    Args:
        items: What is on this page, in the order of the listing: sessions, runs, events or artifact
            records.
        cursor: What the same search has to be given for the page after this one; None if this is
            the last.
        total: How many items all pages had when this one was made, if that was asked for.

    """

    items: list[_Item]
    cursor: str | None = None
    total: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.items, (list, tuple)):
            refuse("Page.items", self.items, "a list")
        self._set("items", list(self.items))
        if self.cursor is not None:
            check_id(self.cursor, "Page.cursor")
        if self.total is not None:
            check_count(self.total, "Page.total")

    def to_map(self) -> dict[str, Any]:
        """Return every field by name, as JSON data, and under `kind` what the items are."""
        first = self.items[0] if self.items else None
        kind = next((name for name, cls in _KINDS.items() if isinstance(first, cls)), None)
        return {"kind": kind, **super().to_map()}

    @classmethod
    def from_map(cls, data: Mapping[str, Any]) -> Self:
        """Make a page of what `to_map` returned.

        Raises:
            ValidationError: `data` is not a dict, or holds a value that its field cannot have.

        """
        items = data.get("items") if isinstance(data, Mapping) else None
        if not isinstance(items, list):
            refuse("the map of a Page", data, "a dict with a list of items")
        if items:
            kind = check_choice(data.get("kind"), "Page.kind", frozenset(_KINDS), ValidationError)
            items = [_KINDS[kind].from_map(item) for item in items]
        return super().from_map({**data, "items": items})


@dataclass(frozen=True, kw_only=True)
class SessionStats(Record):
    """What there is of one session, in numbers.

    Args:
        session_id: The session.
        event_count: How many events it has.
        latest_sequence: The number of its last event; more than `event_count` if events were
            pruned.
        run_count: How many runs it has.
        status_counts: How many of them have a status, by status; those that none has are absent.
        providers_used: The providers of its runs, sorted, each once.
        token_totals: The counts of their `token_usage`, added up by name; see `Usage`.
        total_cost_usd: What those whose cost is known have cost together; see `Cost`.
        first_event_at: The earliest timestamp of an event, or None.
        last_event_at: The latest timestamp of an event, or None.

    """

    _moments: ClassVar = ("first_event_at", "last_event_at")
    _required: ClassVar = ("session_id",)

    session_id: str
    event_count: int = 0
    latest_sequence: int = 0
    run_count: int = 0
    status_counts: dict[str, int] = field(default_factory=dict)
    providers_used: list[str] = field(default_factory=list)
    token_totals: dict[str, int | float] = field(default_factory=dict)
    total_cost_usd: int | float = 0
    first_event_at: datetime | None = None
    last_event_at: datetime | None = None

    def __post_init__(self) -> None:
        check_id(self.session_id, "SessionStats.session_id")
        for name in ("event_count", "latest_sequence", "run_count"):
            check_count(getattr(self, name), f"SessionStats.{name}")
        self._set("status_counts", check_map(self.status_counts, "SessionStats.status_counts"))
        for status, count in self.status_counts.items():
            check_choice(status, "SessionStats.status_counts", RUN_STATUSES, ValidationError)
            check_count(count, "SessionStats.status_counts")
        texts = check_texts(self.providers_used, "SessionStats.providers_used")
        self._set("providers_used", texts)
        self._set("token_totals", _checked_totals(self.token_totals))
        check_number(self.total_cost_usd, "SessionStats.total_cost_usd")
        for name in self._moments:
            if getattr(self, name) is not None:
                self._set(name, check_moment(getattr(self, name), f"SessionStats.{name}"))


@dataclass(frozen=True, kw_only=True)
class Usage(Record):
    """What some runs have used.

    Args:
        run_count: How many they are.
        token_totals: Every number at the top level of their `token_usage`, added up by name:
            exactly, and integers of any size. Where there are floats among them, these are taken as
            the decimal fractions that they are written as, and the total is the float closest to
            the sum.

    """

    run_count: int = 0
    token_totals: dict[str, int | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_count(self.run_count, f"{type(self).__name__}.run_count")
        self._set("token_totals", _checked_totals(self.token_totals))


@dataclass(frozen=True, kw_only=True)
class UsageSummary(Usage):
    """What runs have used, altogether and by provider.

    Args:
        run_count: How many they are.
        token_totals: As for `Usage`.
        by_provider: The same for the runs of each provider; under None for those without one. In a
            map it is a list whose members have the `provider` besides.

    """

    by_provider: dict[str | None, Usage] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("by_provider", _checked_parts(self.by_provider, "by_provider", Usage))

    def to_map(self) -> dict[str, Any]:
        """Return every field by name, as JSON data."""
        return {**super().to_map(), "by_provider": _listed(self.by_provider, "provider")}

    @classmethod
    def from_map(cls, data: Mapping[str, Any]) -> Self:
        """Make a summary of what `to_map` returned.

        Raises:
            ValidationError: `data` is not a dict, or holds a value that its field cannot have.

        """
        return super().from_map(_keyed(data, {"by_provider": "provider"}, Usage))


@dataclass(frozen=True, kw_only=True)
class Cost(Record):
    """What some runs have cost.

    Args:
        run_count: How many they are.
        runs_without_cost: How many of them have no `cost_usd`; they do not count in the total.
        total_cost_usd: What the others have cost together, in US dollars. Costs are taken as the
            decimal fractions that they are written as, and added up exactly: ten times 0.1 is 1.
            The total is an integer if all of them are, else the float closest to the sum.

    """

    run_count: int = 0
    runs_without_cost: int = 0
    total_cost_usd: int | float = 0

    def __post_init__(self) -> None:
        kind = type(self).__name__
        check_count(self.run_count, f"{kind}.run_count")
        check_count(self.runs_without_cost, f"{kind}.runs_without_cost")
        check_number(self.total_cost_usd, f"{kind}.total_cost_usd")


@dataclass(frozen=True, kw_only=True)
class CostSummary(Cost):
    """What runs have cost, altogether, by provider and by model.

    Args:
        run_count: As for `Cost`.
        runs_without_cost: As for `Cost`.
        total_cost_usd: As for `Cost`.
        by_provider: The same for the runs of each provider; under None for those without one. In a
            map it is a list whose members have the `provider` besides.
        by_model: The same for the runs of each model, which is the text that `provider_metadata`
            holds under `model`; under None for those without. In a map like `by_provider`.

    """

    by_provider: dict[str | None, Cost] = field(default_factory=dict)
    by_model: dict[str | None, Cost] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("by_provider", _checked_parts(self.by_provider, "by_provider", Cost))
        self._set("by_model", _checked_parts(self.by_model, "by_model", Cost))

    def to_map(self) -> dict[str, Any]:
        """Return every field by name, as JSON data."""
        return {
            **super().to_map(),
            "by_provider": _listed(self.by_provider, "provider"),
            "by_model": _listed(self.by_model, "model"),
        }

    @classmethod
    def from_map(cls, data: Mapping[str, Any]) -> Self:
        """Make a summary of what `to_map` returned.

        Raises:
            ValidationError: `data` is not a dict, or holds a value that its field cannot have.

        """
        keys = {"by_provider": "provider", "by_model": "model"}
        return super().from_map(_keyed(data, keys, Cost))


@dataclass(frozen=True, kw_only=True)
class SessionExport(Record):
    """Everything that a store has of one session, as it was at one moment.

    Args:
        session: The session.
        runs: Its runs, in the order of `started_at`.
        events: Its events, in the order of their numbers.

    """

    _required: ClassVar = ("session",)

    session: Session
    runs: list[Run] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not isinstance(self.session, Session):
            refuse("SessionExport.session", self.session, "a Session")
        for name, kind in (("runs", Run), ("events", Event)):
            items = getattr(self, name)
            if not isinstance(items, (list, tuple)) or not all(isinstance(x, kind) for x in items):
                refuse(f"SessionExport.{name}", items, f"a list of {kind.__name__}s")
            self._set(name, list(items))

    @classmethod
    def from_map(cls, data: Mapping[str, Any]) -> Self:
        """Make an export of what `to_map` returned.

        Raises:
            ValidationError: `data` is not a dict, has no `session`, or holds a value that its field
                cannot have.

        """
        if not isinstance(data, Mapping) or not isinstance(data.get("session"), Mapping):
            refuse("the map of a SessionExport", data, "a dict with a session, runs and events")
        return cls(
            session=Session.from_map(data["session"]),
            runs=[Run.from_map(run) for run in data.get("runs", ())],
            events=[Event.from_map(event) for event in data.get("events", ())],
        )


def _checked_totals(totals: object) -> dict[str, Any]:
    checked = check_map(totals, "token_totals")
    for number in checked.values():
        check_number(number, "token_totals")
    return checked


def _checked_parts(parts: object, name: str, of: type[_Part]) -> dict[str | None, _Part]:
    if not isinstance(parts, dict):
        refuse(name, parts, f"a dict of {of.__name__}s")
    for key, part in parts.items():
        if key is not None:
            check_text(key, name)
        if not isinstance(part, of):
            refuse(name, part, f"a {of.__name__}")
    return dict(parts)


def _listed(parts: Mapping[str | None, Record], key: str) -> list[dict[str, Any]]:
    return [{key: name, **part.to_map()} for name, part in parts.items()]


def _keyed(data: object, keys: Mapping[str, str], of: type[Record]) -> Mapping[str, Any]:
    """Return a map in which the lists of parts are dicts again."""
    if not isinstance(data, Mapping):
        refuse("the map of a summary", data, "a dict with text as keys")
    made = dict(data)
    for name, key in keys.items():
        parts = made.get(name, [])
        if not isinstance(parts, list) or not all(isinstance(part, Mapping) for part in parts):
            refuse(name, parts, "a list of dicts")
        made[name] = {part.get(key): of.from_map(part) for part in parts}
    return made
