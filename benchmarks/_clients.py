"""Client processes that load a tree at the same time, all for the same span of time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from multiprocess import get_context

__all__ = ["Load", "clients", "rate"]

# Is given the moment to begin and the one to end, on the monotonic clock; returns how many calls it
# has made between them.
Load = Callable[[float, float], int]

# By so much later than they are told, all clients begin.
_LEAD = 0.05

# Instead of a span of time: there is no end of file, for those forked later hold this end as well.
_STOP = "stop"

_context = get_context("fork")


class _Client:
    """One process, which carries out what it is told on its pipe."""

    def __init__(self, prepare: Callable[[], Load]) -> None:
        self.pipe, theirs = _context.Pipe()
        self.process = _context.Process(target=_serve, args=(theirs, prepare), daemon=True)
        self.process.start()
        theirs.close()

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self.pipe.send(_STOP)
        self.pipe.close()
        self.process.join(5.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


def _serve(pipe: Any, prepare: Callable[[], Load]) -> None:
    load = prepare()
    pipe.send("ready")
    while (span := pipe.recv()) != _STOP:
        pipe.send(load(*span))


@contextlib.contextmanager
def clients(prepare: Sequence[Callable[[], Load]]) -> Iterator[Callable[[float], int]]:
    """A process for each of these, until the block is left.

    Yields:
        What has all of them work for so many seconds, and says how many calls they have made.
    """
    with contextlib.ExitStack() as stack:
        started: list[_Client] = []
        for one in prepare:
            client = _Client(one)
            stack.callback(client.end)
            started.append(client)
        for client in started:
            client.pipe.recv()

        def work(seconds: float) -> int:
            begin = time.monotonic() + _LEAD
            for client in started:
                client.pipe.send((begin, begin + seconds))
            return sum(client.pipe.recv() for client in started)

        yield work


def rate(work: Callable[[float], int], seconds: float) -> Callable[[], list[float]]:
    """What measures the calls per second of these clients once."""
    return lambda: [work(seconds) / seconds]
