"""What the dataclasses of answers have in common: they travel, and become JSON and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, ClassVar, Self

from ._validation import known_fields, refuse

__all__ = ["Record"]


class Record:
    """Base of frozen dataclasses whose constructor takes keywords, and checks them."""

    _moments: ClassVar[tuple[str, ...]] = ()
    """The names of the fields that hold a datetime."""

    _required: ClassVar[tuple[str, ...]] = ()
    """The names of the fields that a map has to have."""

    def to_map(self) -> dict[str, Any]:
        """Return every field by name, as JSON data: moments are text in ISO 8601."""
        return {name: _json(getattr(self, name)) for name in self._names()}

    @classmethod
    def from_map(cls, data: Mapping[str, Any]) -> Self:
        """Make an object of what `to_map` returned.

        Keys that are absent get their defaults, keys that are no fields are left aside (a later
        version may have written them), and moments may be datetimes, too.

        Raises:
            ValidationError: `data` is not a dict, lacks a field that is required, or holds a value
                that its field cannot have.

        """
        return cls(**known_fields(data, cls.__name__, cls._names(), cls._required, cls._moments))

    def __to_wire__(self) -> tuple[Any, ...]:
        """Return the values of all fields, in their order."""
        return tuple(getattr(self, name) for name in self._names())

    @classmethod
    def __from_wire__(cls, values: Sequence[Any]) -> Self:
        """Make an object of the values of all fields, in their order.

        Raises:
            ValidationError: As by the constructor; also if there are too few or too many values.

        """
        names = cls._names()
        if not isinstance(values, (list, tuple)) or len(values) != len(names):
            refuse(f"the values of a {cls.__name__}", values, f"a list of {len(names)}")
        return cls(**dict(zip(names, values, strict=True)))

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return tuple(field.name for field in fields(cls))  # type: ignore[arg-type]

    def _set(self, name: str, value: object) -> None:
        """Set a field of this object, which is being made."""
        object.__setattr__(self, name, value)


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _json(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(each) for each in value]
    to_map = getattr(value, "to_map", None)
    return value if to_map is None else to_map()
