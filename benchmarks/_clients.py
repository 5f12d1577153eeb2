"""Client processes that load a tree at the same time, all for the same span of time."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from supervisor._measure import Load as _Telling
from supervisor._measure import client_processes

__all__ = ["Load", "clients", "rate"]

# Is given the moment to begin and the one to end, on the monotonic clock; returns how many calls it
# has made between them.
Load = Callable[[float, float], int]

# By so much later than they are told, all clients begin.
_LEAD = 0.05


@contextlib.contextmanager
def clients(prepare: Sequence[Callable[[], Load]]) -> Iterator[Callable[[float], list[int]]]:
    """A process for each of these, until the block is left.

    Yields:
        What has all of them work for so many seconds, and says how many calls each has made.
    """
    with client_processes([functools.partial(_telling, one) for one in prepare]) as work:

        def calls(seconds: float) -> list[int]:
            return [count for _, count in sorted(work(seconds, _LEAD))]

        yield calls


def _telling(prepare: Callable[[], Load]) -> _Telling:
    load = prepare()

    def tell_calls(begin: float, end: float, tell: Callable[[Any], object]) -> None:
        tell(load(begin, end))

    return tell_calls


def rate(work: Callable[[float], list[int]], seconds: float) -> Callable[[], list[float]]:
    """What measures the calls per second of these clients once."""
    return lambda: [sum(work(seconds)) / seconds]
