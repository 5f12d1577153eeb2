"""Checks of the values that people write into specs: each names the field, the value, what may be.

The checks raise SpecError, so that a mistake shows where it is written, not where it bites.
"""

from __future__ import annotations

import math
from typing import Any

from supervisor._errors import SpecError
from supervisor._secrets import without_secrets

__all__ = ["boolean", "choice", "identifier", "integer", "refuse", "seconds"]


def refuse(owner: str, field: str, value: object, allowed: str) -> SpecError:
    """The SpecError that says which field of which spec is wrong, and what it may be."""
    return SpecError(without_secrets(f"{owner}: {field} must be {allowed}, not {value!r}"))


def identifier(owner: str, field: str, value: Any) -> str:
    """An id or a name: a string of 1 to 255 characters."""
    if not isinstance(value, str) or not 1 <= len(value) <= 255:
        raise refuse(owner, field, value, "a string of 1 to 255 characters")
    return value


def choice(owner: str, field: str, value: Any, allowed: tuple[str, ...]) -> Any:
    """One of some words."""
    if not isinstance(value, str) or value not in allowed:
        raise refuse(owner, field, value, "one of " + ", ".join(map(repr, allowed)))
    return value


def boolean(owner: str, field: str, value: Any) -> bool:
    """True or False, and nothing that only looks like it."""
    if not isinstance(value, bool):
        raise refuse(owner, field, value, "True or False")
    return value


def integer(owner: str, field: str, value: Any, *, least: int) -> int:
    """A whole number of at least so much."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise refuse(owner, field, value, f"a whole number of at least {least}")
    return value


def seconds(owner: str, field: str, value: Any, *, zero: bool = False) -> float:
    """A finite number of seconds, more than 0 (or, with ``zero``, at least 0)."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise refuse(owner, field, value, f"seconds, {'at least' if zero else 'more than'} 0")
    return float(value)
