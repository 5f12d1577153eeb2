"""Pools, each behind the same few methods: ours, and those that people have today.

As a program it lets one of them meet with one fate, and says what becomes of it::

    python -m benchmarks._pool_peers regrow die
"""

from __future__ import annotations

import concurrent.futures
import importlib.util
import json
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, ClassVar

from benchmarks import _pool_tasks as tasks

__all__ = ["FATES", "PEERS", "Contender"]

# Seconds until a task that hangs is given up, and until a pool that does not answer is.
_TASK_TIMEOUT, _PATIENCE = 1.0, 5.0


class Contender:
    """A pool of two workers."""

    requires: ClassVar[str] = ""
    title: ClassVar[str]
    has_timeout: ClassVar[bool] = False

    pool: Any

    @classmethod
    def is_installed(cls) -> bool:
        """Whether it can be measured here."""
        return not cls.requires or importlib.util.find_spec(cls.requires.lower()) is not None

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.pool.submit(function, *args)

    def submit_with_timeout(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.submit(function, *args)

    def result(self, future: Any, timeout: float | None = None) -> Any:
        return future.result(timeout)

    def many(self, count: int) -> None:
        """Submit so many tasks, one by one, and take their results."""
        futures = [self.submit(tasks.add_one, number) for number in range(count)]
        for number, future in enumerate(futures):
            if self.result(future) != number + 1:
                raise RuntimeError("a wrong result")

    def close(self) -> None:
        self.pool.shutdown()


class Regrow(Contender):
    title = "regrow PoolExecutor"
    has_timeout = True

    def __init__(self) -> None:
        from supervisor import PoolExecutor

        self.pool = PoolExecutor(2)

    def submit_with_timeout(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.pool.options(timeout=_TASK_TIMEOUT).submit(function, *args)


class ProcessPool(Contender):
    title = "ProcessPoolExecutor"

    def __init__(self) -> None:
        self.pool = concurrent.futures.ProcessPoolExecutor(2)


class MultiprocessingPool(Contender):
    title = "multiprocessing.Pool"

    def __init__(self) -> None:
        self.pool = multiprocessing.Pool(2)

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.pool.apply_async(function, args)

    def result(self, future: Any, timeout: float | None = None) -> Any:
        return future.get(timeout)

    def close(self) -> None:
        self.pool.terminate()
        self.pool.join()


class Loky(Contender):
    title = "loky"
    requires = "loky"

    def __init__(self) -> None:
        from loky import ProcessPoolExecutor

        self.pool = ProcessPoolExecutor(2)

    def close(self) -> None:
        self.pool.shutdown(kill_workers=True)


class Pebble(Contender):
    title = "Pebble"
    requires = "Pebble"
    has_timeout = True

    def __init__(self) -> None:
        from pebble import ProcessPool as PebblePool

        self.pool = PebblePool(2)

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.pool.schedule(function, args)

    def submit_with_timeout(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.pool.schedule(function, args, timeout=_TASK_TIMEOUT)

    def close(self) -> None:
        self.pool.stop()
        self.pool.join()


PEERS: Sequence[type[Contender]] = (Regrow, ProcessPool, MultiprocessingPool, Loky, Pebble)

FATES = {
    "die": "a worker is killed",
    "hang": "a task hangs",
    "raise_unpicklable": "an exception that cannot be rebuilt",
    "gib": "a result of 1 GiB",
    "take_memory": "a task runs out of memory",
}


def name_of(contender: type[Contender]) -> str:
    """Its title, with its version where that is another's."""
    if not contender.requires:
        return contender.title
    return f"{contender.title} {version(contender.requires)}"


def meet(contender: Contender, fate: str) -> dict[str, Any]:
    """Let one task meet its fate among others; what became of it, of them, and of the pool."""
    warm = [contender.submit(tasks.add_one, number) for number in range(10)]
    for future in warm:
        contender.result(future, _PATIENCE)
    submit = contender.submit_with_timeout if fate == "hang" else contender.submit
    doomed = submit(getattr(tasks, fate))
    others = [contender.submit(tasks.add_one, number) for number in range(100)]
    began = time.monotonic()
    outcome = _outcome(contender, doomed, 30.0 if fate == "gib" else _PATIENCE)
    seconds = time.monotonic() - began
    patience = 0.1 + _PATIENCE / 50
    done = sum(_outcome(contender, other, patience) == "int" for other in others)
    try:
        after = _outcome(contender, contender.submit(tasks.add_one, 1), _PATIENCE)
    except Exception as error:  # noqa: BLE001  whatever a broken pool says
        after = type(error).__name__
    return {
        "task": outcome,
        "seconds": round(seconds, 2),
        "others": done,
        "pool": "works" if after == "int" else after,
    }


def _outcome(contender: Contender, future: Any, patience: float) -> str:
    """The type of the result, or of the exception."""
    try:
        return type(contender.result(future, patience)).__name__
    except BaseException as error:  # noqa: BLE001  that is what is asked
        is_timeout = isinstance(error, (TimeoutError, multiprocessing.TimeoutError))
        done = getattr(future, "done", None)
        if is_timeout and not (done is not None and done()):
            return "no answer"
        return type(error).__name__


def main(title: str, fate: str) -> None:
    """Say what becomes of it."""
    (kind,) = [peer for peer in PEERS if peer.title == title]
    print(json.dumps(meet(kind(), fate)), flush=True)
    # Some of them would never end by themselves now; how they end is not what is asked.
    signal.raise_signal(signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
