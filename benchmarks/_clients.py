"""Client processes that load a tree at the same time, all for the same span of time."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from supervisor._measure import Load as _Telling
from supervisor._measure import client_processes

__all__ = ["Load", "clients", "rate"]

# Is given the moment to begin and the one to end, on the monotonic clock; returns what it has
# found: how many calls it has made between them, or how long each took.
Load = Callable[[float, float], Any]

# By so much later than they are told, all clients begin.
_LEAD = 0.05


@contextlib.contextmanager
def clients(prepare: Sequence[Callable[[], Load]]) -> Iterator[Callable[[float], list[Any]]]:
    """A process for each of these, until the block is left.

    Yields:
        What has all of them work for so many seconds, and says what each has found.
    """
    with client_processes([functools.partial(_telling, one) for one in prepare]) as work:

        def found(seconds: float) -> list[Any]:
            by_number = dict(work(seconds, _LEAD))
            return [by_number[number] for number in sorted(by_number)]

        yield found


def _telling(prepare: Callable[[], Load]) -> _Telling:
    load = prepare()

    def load_and_tell(begin: float, end: float, tell: Callable[[Any], object]) -> None:
        tell(load(begin, end))

    return load_and_tell


def rate(work: Callable[[float], list[int]], seconds: float) -> Callable[[], list[float]]:
    """What measures the calls per second of these clients once."""
    return lambda: [sum(work(seconds)) / seconds]
