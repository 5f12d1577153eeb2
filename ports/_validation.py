"""Checks of single values: what they allow is what every backend can hold.

Each check returns the value to keep, and raises a `ValidationError` that names the field, the
value and what is allowed. Constructors and `__from_wire__` run them for every field of every
object, so each begins with the one test that a correct value of the usual type passes, and leaves
the rest (subclasses, other time zones, text that is not ASCII, errors) to a slower function.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any, NoReturn

from ._errors import ValidationError

__all__ = [
    "MAX_DEPTH",
    "check_choice",
    "check_count",
    "check_flag",
    "check_id",
    "check_json",
    "check_map",
    "check_moment",
    "check_number",
    "check_text",
    "check_texts",
    "known_fields",
    "now",
    "refuse",
    "show",
]

# How deep lists and dicts may be nested. It keeps clear of the recursion limits of msgpack (511),
# the json module (about 1,000) and the databases, with room for what is wrapped around the data.
MAX_DEPTH = 256

_TEXT = "text without NUL characters and lone surrogates"
_JSON = (
    "what JSON can carry: dicts with text as keys, lists, text without NUL characters and lone "
    f"surrogates, finite numbers, booleans and None, at most {MAX_DEPTH} levels deep"
)
_MOMENT = "a datetime with a time zone"


def now() -> datetime:
    """Return this moment as an aware UTC datetime."""
    return datetime.now(UTC)


def show(value: object) -> str:
    """Return a short text for `value` that can be printed and sent, whatever the value is."""
    try:
        return reprlib.repr(value)
    except (ValueError, RecursionError):  # an integer of over 4,300 digits, for one
        return f"<{type(value).__name__}>"


def refuse(
    field: str, value: object, allowed: str, error: type[ValidationError] = ValidationError
) -> NoReturn:
    """Raise `error`, saying that `field` cannot be `value`, and what it can be."""
    shown = show(value)
    raise error(
        f"{field} cannot be {shown}; allowed is {allowed}",
        details={"field": field, "value": shown, "allowed": allowed},
    )


# -- text ------------------------------------------------------------------------------------


def _is_clean(text: str) -> bool:
    """Tell whether every backend can hold this text."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def check_text(value: object, field: str) -> str:
    """Return `value`, a text of any length."""
    if type(value) is str and value.isascii() and "\0" not in value:
        return value
    if isinstance(value, str) and _is_clean(value):
        return str.__str__(value)  # members of a string enumeration become plain strings
    refuse(field, value, _TEXT)


def check_id(value: object, field: str) -> str:
    """Return `value`, a text that is not empty."""
    if type(value) is str and value and value.isascii() and "\0" not in value:
        return value
    if isinstance(value, str) and value and _is_clean(value):
        return str.__str__(value)
    refuse(field, value, f"{_TEXT}, not empty")


def check_choice(
    value: object, field: str, choices: frozenset[str], error: type[ValidationError]
) -> str:
    """Return `value`, one of `choices`; anything else raises `error`."""
    if type(value) is str and value in choices:
        return value
    if isinstance(value, str) and value in choices:
        return str.__str__(value)
    refuse(field, value, "one of " + ", ".join(sorted(choices)), error)


def check_texts(value: object, field: str) -> list[str]:
    """Return the texts of a list or tuple as a new list."""
    if type(value) is list and not value:
        return []
    if not isinstance(value, (list, tuple)):
        refuse(field, value, "a list of texts")
    return [check_text(text, field) for text in value]


# -- numbers ---------------------------------------------------------------------------------


def check_count(value: object, field: str, least: int = 0) -> int:
    """Return `value`, an integer (True and False are none) that is at least `least`."""
    if type(value) is int and value >= least:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return int.__int__(value)
    refuse(field, value, f"an integer, {least} or more")


def check_number(value: object, field: str) -> float:
    """Return `value`, an integer or a finite float, as it is."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)
    if isinstance(value, float) and isfinite(value):
        return float.__float__(value)
    refuse(field, value, "a finite number")


def check_flag(value: object, field: str) -> bool:
    """Return `value`, True or False."""
    if not isinstance(value, bool):
        refuse(field, value, "True or False")
    return value


# -- time ------------------------------------------------------------------------------------


def check_moment(value: object, field: str) -> datetime:
    """Return `value`, a datetime with a time zone, in UTC."""
    if type(value) is datetime and value.tzinfo is UTC:
        return value
    if not isinstance(value, datetime) or value.utcoffset() is None:
        refuse(field, value, _MOMENT)
    try:
        utc = value.astimezone(UTC)
    except OverflowError:
        refuse(field, value, f"{_MOMENT}, between the years 1 and 9999 in UTC")
    # Built anew, because a subclass of datetime converts to itself.
    return datetime(
        utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, UTC
    )


# -- JSON ------------------------------------------------------------------------------------


class _Unfit(Exception):
    """A value inside JSON data that cannot be held, and the way to it."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value
        self.path = ""


def check_map(value: object, field: str) -> dict[str, Any]:
    """Return a deep copy of `value`, a dict of JSON data; tuples in it become lists."""
    if type(value) is dict:
        if not value:
            return {}
    elif not isinstance(value, dict):
        refuse(field, value, "a dict of " + _JSON)
    try:
        return _copy_dict(value, MAX_DEPTH)
    except _Unfit as unfit:
        _refuse_within(field, unfit)


def check_json(value: object, field: str) -> Any:
    """Return a deep copy of `value`, any JSON data; tuples in it become lists."""
    try:
        return _copy(value, MAX_DEPTH)
    except _Unfit as unfit:
        _refuse_within(field, unfit)


def _refuse_within(field: str, unfit: _Unfit) -> NoReturn:
    path = unfit.path if len(unfit.path) <= 120 else unfit.path[:120] + "..."
    refuse(field + path, unfit.value, _JSON)


def _copy_dict(value: dict[Any, Any], room: int) -> dict[str, Any]:
    """Copy a dict that may be nested `room` levels deep, itself included."""
    if room == 0:  # a cycle ends here, too
        raise _Unfit(value)
    copied: dict[str, Any] = {}
    key: Any = None
    try:
        for key, item in value.items():
            if type(key) is str and key.isascii() and "\0" not in key:
                name = key
            else:
                name = _copy_key(key)
            # The commonest value is looked at here, to save a call.
            if type(item) is str and item.isascii() and "\0" not in item:
                copied[name] = item
            else:
                copied[name] = _copy(item, room - 1)
    except _Unfit as unfit:
        unfit.path = f"[{show(key)}]{unfit.path}"
        raise
    return copied


def _copy_list(value: list[Any] | tuple[Any, ...], room: int) -> list[Any]:
    """Copy a list or tuple that may be nested `room` levels deep, itself included."""
    if room == 0:
        raise _Unfit(value)
    copied: list[Any] = []
    try:
        for item in value:
            if type(item) is str and item.isascii() and "\0" not in item:
                copied.append(item)
            else:
                copied.append(_copy(item, room - 1))
    except _Unfit as unfit:
        unfit.path = f"[{len(copied)}]{unfit.path}"
        raise
    return copied


def _copy_key(key: object) -> str:
    if isinstance(key, str) and _is_clean(key):
        return str.__str__(key)
    raise _Unfit(key)


def _copy(value: Any, room: int) -> Any:
    """Copy a JSON value in which lists and dicts may be nested `room` levels deep."""
    kind = type(value)
    if kind is str:
        if value.isascii() and "\0" not in value:
            return value
    elif kind is int or kind is bool or value is None:
        return value
    elif kind is dict:
        return _copy_dict(value, room)
    elif kind is list:
        return _copy_list(value, room)
    return _copy_unusual(value, room)


def _copy_unusual(value: object, room: int) -> Any:
    """Copy floats, tuples, text beyond ASCII, and subclasses of the JSON types as their bases."""
    if isinstance(value, str) and _is_clean(value):
        return str.__str__(value)
    if isinstance(value, float) and isfinite(value):
        return float.__float__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, dict):
        return _copy_dict(value, room)
    if isinstance(value, (list, tuple)):
        return _copy_list(value, room)
    raise _Unfit(value)


# -- maps ------------------------------------------------------------------------------------


def known_fields(
    data: object,
    of: str,
    known: tuple[str, ...],
    required: tuple[str, ...],
    moments: tuple[str, ...],
) -> dict[str, Any]:
    """Return those entries of a map that are fields, with `moments` as datetimes.

    Args:
        data: What was given to `from_map`.
        of: The name of the type, for errors.
        known: The names of all fields; other keys are left aside.
        required: The names that have to be there.
        moments: The names of the fields that hold a datetime, written in ISO 8601.

    """
    if not isinstance(data, Mapping):
        refuse(f"the map of a {of}", data, "a dict with text as keys")
    for name in required:
        if name not in data:
            raise ValidationError(
                f"{of}.{name} is missing from the map",
                details={"field": f"{of}.{name}", "value": None, "allowed": "any; it is required"},
            )
    fields = {name: data[name] for name in known if name in data}
    for name in moments:
        if isinstance(fields.get(name), str):
            fields[name] = _parse_moment(fields[name], f"{of}.{name}")
    return fields


def _parse_moment(text: str, field: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        refuse(field, text, "a moment in ISO 8601, with a time zone")
