"""Waiting for what must happen, without sleeping blindly."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["PATIENCE", "eventually"]

T = TypeVar("T")

# Far beyond what anything takes; only what is broken waits for it.
PATIENCE = 20.0

_PAUSE = 0.005


def eventually(predicate: Callable[[], T], *, within: float = PATIENCE, what: str = "") -> T:
    """The first true value of the predicate.

    Args:
        predicate: is asked again and again.
        within: seconds.
        what: is waited for, for the message.

    Raises:
        AssertionError: there was none in time.
    """
    deadline = time.monotonic() + within
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or predicate}; last: {value!r}")
        time.sleep(_PAUSE)
    return value
