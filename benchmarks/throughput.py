"""Calls per second: many in flight, many callers, and callers that wait for the disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

from benchmarks._baselines import managed_store
from benchmarks._clients import Load, clients, rate
from benchmarks._harness import Samples, interleave
from benchmarks._report import Bar, Line, Report, Settings, rate_line
from benchmarks._trees import composite_of, in_files, in_memory, in_sqlite, running
from benchmarks.latency import example
from ports import Event, Session, SessionStore
from stores import InMemorySessionStore
from supervisor import connect, connect_async

__all__ = ["TITLE", "measure"]

TITLE = "calls per second"

# What waits for its reply at the same time: callers where each waits, calls where they are many.
_CALLERS = 16
_PIPELINES, _IN_FLIGHT = 2, 128

_Prepare = Callable[[], Load]


def measure(settings: Settings) -> Report:
    """Measure it."""
    lines = [
        *_in_memory(settings),
        *_durable(settings),
    ]
    notes = (
        f"pipelined: {_PIPELINES} processes with {_IN_FLIGHT} calls in flight each, on asyncio",
        f"blocking: {_CALLERS} processes, each of which waits for its reply",
        f"durable: synchronous=FULL, {_CALLERS} callers in one process, each of which waits",
        f"so no more than {_CALLERS} events share a transaction, which waits for one fdatasync",
    )
    return Report("throughput", TITLE, lines, notes)


# --- in memory ----------------------------------------------------------------------------------


def _in_memory(settings: Settings) -> list[Line]:
    seconds = settings.pick(20, 5) / 10
    run_dir = str(settings.scratch / "run")
    children = [in_memory(), in_files(settings.scratch), composite_of("sessions", "artifacts")]
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        managed = enter(managed_store())
        tree = enter(running(children, settings.scratch))
        node = tree.target.node.name

        def pipelined() -> Load:
            return _pipelined_saves(node, run_dir)

        def blocking() -> Load:
            client = connect("store", SessionStore, node=node, run_dir=run_dir)
            return _alternating(client.save_session, client.get_session)

        def through_manager() -> Load:
            return _alternating(
                lambda session: managed("save_session", session),
                lambda session_id: managed("get_session", session_id),
            )

        many = enter(clients([pipelined] * _PIPELINES))
        waiting = enter(clients([blocking] * _CALLERS))
        through = enter(clients([through_manager] * _CALLERS))
        plain = _plain_saves(InMemorySessionStore())
        measured = interleave(
            {
                "plain object, save_session": lambda: [plain(seconds) / seconds],
                "composite, pipelined save_session": rate(many, seconds),
                "Manager, 16 blocking processes": rate(through, seconds),
                "composite, 16 blocking processes": rate(waiting, seconds),
            },
            rounds=settings.pick(9, 3),
            progress=lambda done, of: settings.progress("throughput, in memory", done, of),
        )
    return _compared(
        measured,
        {
            "composite, pipelined save_session": (
                "plain object, save_session",
                Bar(">=", 100_000),
            ),
            "composite, 16 blocking processes": (
                "Manager, 16 blocking processes",
                Bar(">=", 45_000),
            ),
        },
    )


def _plain_saves(store: InMemorySessionStore) -> Callable[[float], int]:
    session = example()

    def work(seconds: float) -> int:
        end, done = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            store.save_session(session)
            done += 1
        return done

    return work


def _alternating(save: Callable[[Session], object], get: Callable[[str], object]) -> Load:
    """One call after the other: a session is saved, and read again."""
    session = example()

    def load(begin: float, end: float) -> int:
        _sleep_until(begin)
        done = 0
        while time.monotonic() < end:
            save(session)
            get(session.id)
            done += 2
        return done

    return load


def _pipelined_saves(node: str, run_dir: str) -> Load:
    """So many calls in flight on one connection: each of them is sent when another is answered."""
    runner = asyncio.Runner()

    client = runner.run(connect_async("store", SessionStore, node=node, run_dir=run_dir))

    async def work(begin: float, end: float) -> int:
        session = example()
        return await _keep_in_flight(_IN_FLIGHT, begin, end, lambda: client.save_session(session))

    return lambda begin, end: runner.run(work(begin, end))


async def _keep_in_flight(
    count: int, begin: float, end: float, call: Callable[[], Awaitable[object]]
) -> int:
    """Have so many tasks call until the end; return how many calls that were."""

    async def caller() -> int:
        done = 0
        while time.monotonic() < end:
            await call()
            done += 1
        return done

    _sleep_until(begin)
    return sum(await asyncio.gather(*(caller() for _ in range(count))))


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


# --- on disk ------------------------------------------------------------------------------------


def _durable(settings: Settings) -> list[Line]:
    seconds = settings.pick(20, 5) / 10
    run_dir = str(settings.scratch / "run")
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        tree = enter(running([in_sqlite(settings.scratch)], settings.scratch))
        node = tree.target.node.name
        threads = enter(clients([lambda: _appending_threads(node, run_dir)]))
        tasks = enter(clients([lambda: _appending_tasks(node, run_dir)]))
        alone = enter(_one_by_one(settings.scratch / "plain.db"))
        synced = enter(_synced(settings.scratch / "plain"))
        measured = interleave(
            {
                "write + fdatasync of 4 KiB": lambda: [synced(seconds) / seconds],
                "sqlite3, one commit per event": lambda: [alone(seconds) / seconds],
                "append_event, 16 threads": rate(threads, seconds),
                "append_event, 16 tasks": rate(tasks, seconds),
            },
            rounds=settings.pick(9, 3),
            progress=lambda done, of: settings.progress("throughput, on disk", done, of),
        )
    bar = Bar(">=", 25_000)
    baseline = "sqlite3, one commit per event"
    return _compared(
        measured,
        {
            "append_event, 16 threads": (baseline, bar),
            "append_event, 16 tasks": (baseline, bar),
        },
    )


def _event(session_id: str) -> Event:
    return Event(type="message_received", session_id=session_id, data={"content": "Hello!"})


def _appending_threads(node: str, run_dir: str) -> Load:
    client = connect("sqlite", SessionStore, node=node, run_dir=run_dir)

    def load(begin: float, end: float) -> int:
        done: list[int] = []

        def caller() -> None:
            session_id, count = f"ses_{threading.get_ident()}", 0
            while time.monotonic() < end:
                client.append_event(_event(session_id))
                count += 1
            done.append(count)

        _sleep_until(begin)
        threads = [threading.Thread(target=caller) for _ in range(_CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(done)

    return load


def _appending_tasks(node: str, run_dir: str) -> Load:
    runner = asyncio.Runner()

    client = runner.run(connect_async("sqlite", SessionStore, node=node, run_dir=run_dir))

    async def work(begin: float, end: float) -> int:
        return await _keep_in_flight(
            _CALLERS, begin, end, lambda: client.append_event(_event("ses_tasks"))
        )

    return lambda begin, end: runner.run(work(begin, end))


@contextlib.contextmanager
def _one_by_one(path: Path) -> Iterator[Callable[[float], int]]:
    """What a program does that has no group to share a commit with."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE events (id TEXT PRIMARY KEY, data TEXT)")

    def work(seconds: float) -> int:
        end, done = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            event = _event("ses_plain")
            database.execute("INSERT INTO events VALUES (?, ?)", (event.id, str(event.data)))
            done += 1
        return done

    with contextlib.closing(database):
        yield work


@contextlib.contextmanager
def _synced(path: Path) -> Iterator[Callable[[float], int]]:
    """How often the disk can say that something is safe: each transaction waits for that once."""
    page = bytes(4096)

    def work(seconds: float) -> int:
        end, done = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            # Over the same place again, as in a write-ahead log that is used again.
            os.pwrite(descriptor, page, 4096 * (done % 1000))
            os.fdatasync(descriptor)
            done += 1
        return done

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.posix_fallocate(descriptor, 0, 4096 * 1000)
        yield work
    finally:
        os.close(descriptor)


def _compared(
    measured: Mapping[str, list[Samples]], candidates: Mapping[str, tuple[str, Bar]]
) -> list[Line]:
    """A line for each that was measured; candidates are compared with their baselines."""
    lines = []
    for name, rounds in measured.items():
        if name not in candidates:
            lines.append(rate_line(name, "/s", rounds))
            continue
        other, bar = candidates[name]
        lines.append(rate_line(name, "/s", rounds, baseline=(other, measured[other]), bars=[bar]))
    return lines
