"""The same work with less: what there is to compare with.

Each baseline is one process that answers, and one function that asks it, which is the caller's.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import time
from collections.abc import Callable, Iterator
from multiprocessing.managers import BaseManager
from typing import Any

from multiprocess import get_context

from benchmarks._harness import Samples, repeat
from stores import InMemorySessionStore
from supervisor._wire.codec import Decoder, encode

__all__ = [
    "managed_store",
    "msgpack_pipe",
    "pickle_pipe",
    "ping_pong",
    "pinned_ping_pong",
    "relayed_ping_pong",
]

_context = get_context("fork")

# More than any answer here takes: so a message is read at once. Buffers from 128 KiB on may cost
# malloc(3) an mmap(2) each.
_ENOUGH = 64 * 1024


@contextlib.contextmanager
def _process(target: Callable[..., None], *args: Any) -> Iterator[None]:
    """A process, until the block is left."""
    process = _context.Process(target=target, args=args, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()
        process.close()


# --- the bare pipe ------------------------------------------------------------------------------


@contextlib.contextmanager
def ping_pong(
    request: bytes, response: bytes, core: int | None = None
) -> Iterator[Callable[[], object]]:
    """A socketpair between two processes that do nothing but send these bytes to and fro.

    Where a core is given, the one that answers stays on it.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs, _process(_pong, theirs, response, core):
        yield lambda: (ours.send(request), ours.recv(_ENOUGH))


@contextlib.contextmanager
def pinned_ping_pong(
    request: bytes, response: bytes, cores: tuple[int, int]
) -> Iterator[Callable[[int], Samples]]:
    """The same on these cores: the caller's, and that of who answers.

    Yields:
        What makes so many calls, and says how many seconds each took.
    """
    free = os.sched_getaffinity(0)
    with ping_pong(request, response, core=cores[1]) as ask:

        def measure(calls: int) -> Samples:
            os.sched_setaffinity(0, {cores[0]})
            try:
                return repeat(ask, calls, time.perf_counter)
            finally:
                os.sched_setaffinity(0, free)

        yield measure


@contextlib.contextmanager
def relayed_ping_pong(request: bytes, response: bytes) -> Iterator[Callable[[], object]]:
    """The same with a third process between the two, which only passes the bytes on."""
    ours, front = socket.socketpair()
    back, theirs = socket.socketpair()
    with (
        ours,
        front,
        back,
        theirs,
        _process(_pong, theirs, response),
        _process(_relay, front, back),
    ):
        yield lambda: (ours.send(request), ours.recv(_ENOUGH))


def _pong(sock: socket.socket, response: bytes, core: int | None = None) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})
    while sock.recv(_ENOUGH):
        sock.send(response)


def _relay(front: socket.socket, back: socket.socket) -> None:
    while data := front.recv(_ENOUGH):
        back.send(data)
        front.send(back.recv(_ENOUGH))


# --- multiprocess.Pipe --------------------------------------------------------------------------


@contextlib.contextmanager
def pickle_pipe(store: Any) -> Iterator[Callable[..., Any]]:
    """A store behind a multiprocess Pipe: call it with an operation and arguments.

    No timeouts, no errors, no second caller; and pickle, as in multiprocessing, where multiprocess
    itself would use dill, which takes several times as long.
    """
    ours, theirs = _context.Pipe()
    with ours, theirs, _process(_serve_pickled, theirs, store):

        def call(operation: str, *args: Any) -> Any:
            ours.send_bytes(pickle.dumps((operation, args)))
            return pickle.loads(ours.recv_bytes())

        yield call


def _serve_pickled(pipe: Any, store: Any) -> None:
    while True:
        operation, args = pickle.loads(pipe.recv_bytes())
        pipe.send_bytes(pickle.dumps(getattr(store, operation)(*args)))


@contextlib.contextmanager
def msgpack_pipe(store: Any) -> Iterator[Callable[..., Any]]:
    """The same with the runtime's own MessagePack codec in the place of pickle."""
    ours, theirs = _context.Pipe()
    with ours, theirs, _process(_serve_packed, theirs, store):
        decoder = Decoder()

        def call(operation: str, *args: Any) -> Any:
            ours.send_bytes(encode((operation, args)))
            return decoder.decode(ours.recv_bytes())

        yield call


def _serve_packed(pipe: Any, store: Any) -> None:
    decoder = Decoder()
    while True:
        operation, args = decoder.decode(pipe.recv_bytes())
        pipe.send_bytes(encode(getattr(store, operation)(*args)))


# --- multiprocessing.Manager --------------------------------------------------------------------


class _StoreManager(BaseManager):
    """Serves a session store in memory: a thread per caller, pickle, a Unix socket."""


_OPERATIONS = ("save_session", "get_session")
_StoreManager.register("store", InMemorySessionStore, exposed=_OPERATIONS)


@contextlib.contextmanager
def managed_store() -> Iterator[Callable[..., Any]]:
    """A session store in the process of a multiprocessing.Manager; called like the pipes."""
    manager = _StoreManager()
    manager.start()
    try:
        proxy: Any = manager.store()  # type: ignore[attr-defined]
        yield lambda operation, *args: proxy._callmethod(operation, args)  # noqa: SLF001
    finally:
        manager.shutdown()
