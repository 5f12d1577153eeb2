"""Client processes that work at the same time, for the same span, and tell what they find."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from multiprocess import get_context
from multiprocess.connection import wait

__all__ = ["ClientFailed", "Load", "client_processes"]

# Is given the moment to begin and the one to end, on the monotonic clock, and what it tells of its
# findings with, as often as it likes.
Load = Callable[[float, float, Callable[[Any], object]], None]

# What ``client_processes`` yields: has all of them work for so many seconds, which begin so many
# seconds later; yields what they tell, with the number of the client.
Work = Callable[[float, float], Iterator[tuple[int, Any]]]

_context = get_context("fork" if sys.platform == "linux" else "spawn")


class ClientFailed(Exception):
    """A client process has ended before it was done, or could not begin: the message says why."""


class _Client:
    """One process, which carries out what it is told on its pipe, until it is killed."""

    def __init__(self, prepare: Callable[[], Load]) -> None:
        self.pipe, theirs = _context.Pipe()
        self._process = _context.Process(target=_serve, args=(theirs, prepare), daemon=True)
        self._process.start()
        theirs.close()

    def receive(self) -> tuple[str, Any]:
        """The next that it says.

        Raises:
            ClientFailed: it cannot go on.
        """
        try:
            kind, what = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            status = self._process.exitcode
            raise ClientFailed(f"a client process has ended with status {status}") from None
        if kind == "failed":
            raise ClientFailed(what)
        return kind, what

    def end(self) -> None:
        """Kill it: nobody but us has anything of it."""
        self.pipe.close()
        self._process.kill()
        self._process.join()
        self._process.close()


def _serve(pipe: Any, prepare: Callable[[], Load]) -> None:
    # Ctrl-C is said to all processes of a terminal; what is to be done then is not for us to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Where nobody listens, whoever has started us has ended.
    with contextlib.suppress(EOFError, ConnectionError):
        try:
            load = prepare()
            pipe.send(("ready", None))
            while True:
                begin, end = pipe.recv()
                load(begin, end, lambda found: pipe.send(("found", found)))
                pipe.send(("done", None))
        except (EOFError, ConnectionError):
            raise
        except Exception:  # noqa: BLE001  it is raised again where they are waited for
            pipe.send(("failed", traceback.format_exc()))


@contextlib.contextmanager
def client_processes(prepare: Sequence[Callable[[], Load]]) -> Iterator[Work]:
    """A process for each of these, until the block is left.

    Args:
        prepare: what each of them does before it is ready, in its own process.

    Yields:
        What has all of them work for so many seconds, from so many seconds later on; it yields
        what they tell meanwhile, each with the client's number.

    Raises:
        ClientFailed: one of them could not begin.
    """
    with contextlib.ExitStack() as stack:
        clients: list[_Client] = []
        for one in prepare:
            client = _Client(one)
            stack.callback(client.end)
            clients.append(client)
        for client in clients:
            client.receive()
        yield lambda seconds, lead: _work(clients, seconds, lead)


def _work(clients: Sequence[_Client], seconds: float, lead: float) -> Iterator[tuple[int, Any]]:
    begin = time.monotonic() + lead
    for client in clients:
        client.pipe.send((begin, begin + seconds))
    working = {client.pipe: number for number, client in enumerate(clients)}
    while working:
        for pipe in wait(list(working)):
            number = working[pipe]
            kind, what = clients[number].receive()
            if kind == "done":
                del working[pipe]
            else:
                yield number, what
