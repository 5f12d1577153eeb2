"""What a client process of a peer does: call as often as it is told, and tell how long it took."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable, Callable

from benchmarks._example import example
from ports import Session

__all__ = ["check", "serve", "serve_async"]


def check(answer: object, session: Session) -> None:
    """Make sure that a peer does the work."""
    if answer != session:
        raise AssertionError(f"{session!r} was asked for, and {answer!r} came")


def serve(call: Callable[[], object]) -> None:
    """Measure calls until the input ends."""
    check(call(), SESSION)
    _tell("ready")
    for line in sys.stdin:
        samples = []
        for _ in range(int(line)):
            began = time.perf_counter()
            call()
            samples.append(time.perf_counter() - began)
        _tell(json.dumps(samples))


async def serve_async(call: Callable[[], Awaitable[object]]) -> None:
    """The same, of calls that are awaited."""
    check(await call(), SESSION)
    _tell("ready")
    for line in sys.stdin:
        samples = []
        for _ in range(int(line)):
            began = time.perf_counter()
            await call()
            samples.append(time.perf_counter() - began)
        _tell(json.dumps(samples))


def _tell(line: str) -> None:
    print(line, flush=True)


# What is asked for: the same in every process.
SESSION = example()
