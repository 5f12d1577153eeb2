"""A load of calls: one client process calls an operation again and again until its time is over."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supervisor._client.caller import Caller
from supervisor._client.client import connect_async
from supervisor._client.delivery import Target
from supervisor._measure.clients import Load
from supervisor._measure.tally import Tally
from supervisor._refs import Ref

__all__ = ["Calls", "calls_of"]

# So many seconds apart, a client tells what it has counted: often enough to be watched.
_TELLS_EVERY = 0.25

_clock = time.monotonic


@dataclass(frozen=True, slots=True)
class Calls:
    """What to call, and how.

    Attributes:
        target: the process.
        operation: of it.
        args: positional arguments of the operation.
        kwargs: its keyword arguments.
        timeout: seconds that each call may take; None for no limit.
        in_flight: how many calls one client has under way at a time.
        round_length: seconds of which the answers are counted together.
    """

    target: Target
    operation: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    timeout: float | None
    in_flight: int = 1
    round_length: float = 1.0


def calls_of(calls: Calls) -> Load:
    """A client of its own that makes these calls, and tells a Tally of them now and then."""
    return _blocking(calls) if calls.in_flight == 1 else _pipelined(calls)


def _blocking(calls: Calls) -> Load:
    """Waits for each answer before it calls again."""
    caller = Caller(calls.target)
    args, kwargs = tuple(calls.args), dict(calls.kwargs)

    def load(begin: float, end: float, tell: Callable[[Tally], object]) -> None:
        record = _Record(begin, calls.round_length, tell)
        while (began := _clock()) < end:
            try:
                caller.call(calls.operation, args, kwargs, calls.timeout)
            except Exception as error:  # noqa: BLE001  each is counted and shown
                record.failed(began, error)
            else:
                record.answered(began)
        record.tell()

    return load


def _pipelined(calls: Calls) -> Load:
    """Has several calls under way on one connection, on asyncio."""
    runner = asyncio.Runner()
    client = runner.run(connect_async(Ref(calls.target), timeout=calls.timeout))
    call = functools.partial(getattr(client, calls.operation), *calls.args, **calls.kwargs)

    async def caller(record: _Record, end: float) -> None:
        while (began := _clock()) < end:
            try:
                await call()
            except Exception as error:  # noqa: BLE001  each is counted and shown
                record.failed(began, error)
            else:
                record.answered(began)

    async def work(record: _Record, end: float) -> None:
        await asyncio.gather(*(caller(record, end) for _ in range(calls.in_flight)))

    def load(begin: float, end: float, tell: Callable[[Tally], object]) -> None:
        record = _Record(begin, calls.round_length, tell)
        runner.run(work(record, end))
        record.tell()

    return load


class _Record:
    """Counts the calls of one client; those that came before the beginning only warm up."""

    def __init__(self, begin: float, round_length: float, tell: Callable[[Tally], object]) -> None:
        self._begin = begin
        self._round_length = round_length
        self._tell = tell
        self._tells_at = begin
        self._tally = Tally()

    def answered(self, began: float) -> None:
        if began >= self._begin:
            now = _clock()
            self._tally.answered(now - began, int((now - self._begin) / self._round_length))
            self._tell_at(now)

    def failed(self, began: float, error: Exception) -> None:
        if began >= self._begin:
            self._tally.failed(error)
            self._tell_at(_clock())

    def _tell_at(self, now: float) -> None:
        if now >= self._tells_at:
            self._tells_at = now + _TELLS_EVERY
            self.tell()

    def tell(self) -> None:
        """Tell what has been counted since it was told last."""
        self._tell(self._tally)
        self._tally = Tally()
