"""Client processes: what they tell, and how they end."""

from __future__ import annotations

import functools
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from supervisor._measure import ClientFailed, Load, client_processes


def counting(first: int) -> Load:
    def load(begin: float, end: float, tell: Callable[[Any], object]) -> None:
        tell(first)
        tell((first, begin < end, os.getpid()))

    return load


def test_each_tells_as_often_as_it_likes_and_works_again() -> None:
    with client_processes([functools.partial(counting, number) for number in (0, 1)]) as work:
        for _ in range(2):
            found = list(work(0.01, 0.0))
            assert sorted(what for _, what in found if isinstance(what, int)) == [0, 1]
            longer = {number: what for number, what in found if not isinstance(what, int)}
            assert [longer[number][:2] for number in (0, 1)] == [(0, True), (1, True)]
            assert len({what[2] for what in longer.values()} | {os.getpid()}) == 3


def broken() -> Load:
    raise LookupError("no seeds")


def test_one_that_cannot_begin_says_why() -> None:
    with pytest.raises(ClientFailed, match="no seeds"), client_processes([broken]):
        raise AssertionError("it has begun")


def failing() -> Load:
    def load(begin: float, end: float, tell: Callable[[Any], object]) -> None:
        raise LookupError("no leaves")

    return load


def dying() -> Load:
    def load(begin: float, end: float, tell: Callable[[Any], object]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    return load


@pytest.mark.parametrize(("client", "why"), [(failing, "no leaves"), (dying, "status -9")])
def test_one_that_cannot_go_on_says_why(client: Callable[[], Load], why: str) -> None:
    prepare = [client, functools.partial(counting, 1)]
    with client_processes(prepare) as work, pytest.raises(ClientFailed, match=why):
        list(work(0.01, 0.0))


def endless() -> Load:
    def load(begin: float, end: float, tell: Callable[[Any], object]) -> None:
        tell("working")
        while True:
            time.sleep(60)

    return load


def test_one_that_does_not_end_is_killed_in_the_end() -> None:
    with client_processes([endless]) as work:
        assert next(iter(work(0.01, 0.0))) == (0, "working")
