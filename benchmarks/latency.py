"""One call at a time: what a hop costs, and two, beside a bare pipe that carries the same bytes."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping

from benchmarks._baselines import (
    managed_store,
    msgpack_pipe,
    pickle_pipe,
    ping_pong,
    pinned_ping_pong,
    relayed_ping_pong,
)
from benchmarks._example import example
from benchmarks._harness import Samples, interleave, repeat
from benchmarks._report import Bar, Chart, Line, Report, Settings, latency_line
from benchmarks._trees import client_of, composite_of, in_files, in_memory, running
from ports import Session, SessionStore
from stores import InMemorySessionStore
from supervisor._client.requests import make_request
from supervisor._server.responses import result_response
from supervisor._wire.frames import request_prefix

__all__ = ["TITLE", "measure"]

TITLE = "get_session, one call at a time"

_BARE = "bare pipe, same bytes"
_BARS = {
    "one hop": Bar("<=", 1.5, "ratio"),
    "through the composite": Bar("<=", 2.5, "ratio"),
}


def measure(settings: Settings) -> Report:
    """Measure it."""
    calls = settings.pick(1000, 200)
    session = example()
    with contextlib.ExitStack() as stack:
        asked = _candidates(stack, settings, session)
        measured = interleave(
            {name: _timed(ask, calls) for name, ask in asked.items()}
            | _pinned(stack, session, calls),
            rounds=settings.pick(31, 9),
            warmups=3,
            progress=lambda done, of: settings.progress("latency", done, of),
        )
    bare = measured[_BARE]
    lines = [_line(name, rounds, bare) for name, rounds in measured.items()]
    request, response = frames_of(session)
    notes = (
        f"{len(bare)} rounds of {calls} calls each, in turn",
        f"{len(request)} bytes there, {len(response)} bytes back",
    )
    chart = Chart(
        TITLE,
        "p50, times that of the bare pipe",
        bars={line.what: line.ratio.median for line in lines if line.ratio is not None},
    )
    return Report("latency", TITLE, lines, notes, charts=[chart])


def frames_of(session: Session) -> tuple[bytes, bytes]:
    """The frames of the call: its request and its response."""
    request = make_request("get_session", (session.id,), {}, timeout=5.0, idempotent=True)
    return request_prefix(1) + request.body, result_response(1, session).data


def _candidates(
    stack: contextlib.ExitStack, settings: Settings, session: Session
) -> Mapping[str, Callable[[], object]]:
    """By name, what makes the call once."""
    enter = stack.enter_context
    request, response = frames_of(session)
    store = InMemorySessionStore()
    store.save_session(session)
    bare = enter(ping_pong(request, response))
    relayed = enter(relayed_ping_pong(request, response))
    pickled, packed = enter(pickle_pipe(store)), enter(msgpack_pipe(store))
    managed = enter(managed_store())
    managed("save_session", session)
    children = [
        in_memory(),
        in_files(settings.scratch),
        composite_of("sessions", "artifacts"),
    ]
    enter(running(children, settings.scratch))
    near = enter(client_of("sessions", SessionStore))
    far = enter(client_of("store", SessionStore))
    near.save_session(session)
    return {
        _BARE: bare,
        "one hop": lambda: near.get_session(session.id),
        "through the composite": lambda: far.get_session(session.id),
        "bare pipe through a relay": relayed,
        "multiprocess Pipe, pickle": lambda: pickled("get_session", session.id),
        "multiprocess Pipe, msgpack": lambda: packed("get_session", session.id),
        "multiprocessing.Manager": lambda: managed("get_session", session.id),
    }


def _pinned(
    stack: contextlib.ExitStack, session: Session, calls: int
) -> Mapping[str, Callable[[], Samples]]:
    """The bare pipe where the kernel has no choice: it is twice as fast where both share a core.

    Everything else runs where the kernel puts it, as programs do.
    """
    if not hasattr(os, "sched_setaffinity"):
        return {}
    cores = sorted(os.sched_getaffinity(0))
    frames = frames_of(session)

    def on(first: int, second: int) -> Callable[[], Samples]:
        ask = stack.enter_context(pinned_ping_pong(*frames, (first, second)))
        return lambda: [1e6 * seconds for seconds in ask(calls)]

    pinned = {"bare pipe, both on one core": on(cores[0], cores[0])}
    if len(cores) > 1:
        pinned["bare pipe, on two cores"] = on(cores[0], cores[1])
    return pinned


def _timed(ask: Callable[[], object], calls: int) -> Callable[[], Samples]:
    return lambda: [1e6 * seconds for seconds in repeat(ask, calls, time.perf_counter)]


def _line(name: str, rounds: list[Samples], bare: list[Samples]) -> Line:
    if name == _BARE:
        return latency_line(name, "µs", rounds)
    bars = [_BARS[name]] if name in _BARS else []
    return latency_line(name, "µs", rounds, baseline=(_BARE, bare), bars=bars)
