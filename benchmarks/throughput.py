"""Calls per second: many in flight, many callers, and callers that wait for the disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks._baselines import managed_store
from benchmarks._clients import Load, clients, rate
from benchmarks._example import example
from benchmarks._harness import Samples, interleave
from benchmarks._report import Bar, Chart, Line, Report, Settings, latency_line, rate_line
from benchmarks._trees import composite_of, in_files, in_memory, in_sqlite, running
from ports import Event, Session, SessionStore
from stores import InMemorySessionStore
from supervisor import connect, connect_async
from supervisor._measure import median

__all__ = ["TITLE", "measure"]

TITLE = "calls per second"

# What waits for its reply at the same time: callers where each waits, calls where they are many.
_CALLERS = 16
_PIPELINES, _IN_FLIGHT = 2, 128

# How many client processes there are where it is asked whether more of them make a difference.
_CROWDS = (1, 2, 4, 8, 16, 32, 64)

# So long a quiet client does nothing between its calls.
_QUIET_PAUSE = 0.002


def measure(settings: Settings) -> Report:
    """Measure it."""
    in_memory_lines, chart = _in_memory(settings)
    notes = (
        f"pipelined: {_PIPELINES} processes with {_IN_FLIGHT} calls in flight each, on asyncio",
        "blocking: processes, each of which waits for its reply; ratios to 16 of them",
        f"chatty: a process with {_IN_FLIGHT} calls in flight; quiet: one at a time, then a pause",
        f"durable: synchronous=FULL, {_CALLERS} callers in one process, each of which waits",
        f"so no more than {_CALLERS} events share a transaction, which waits for one fdatasync",
    )
    return Report(
        "throughput", TITLE, [*in_memory_lines, *_durable(settings)], notes, charts=[chart]
    )


# --- in memory ----------------------------------------------------------------------------------


_PLAIN = "plain object, save_session"
_PIPELINED = "composite, pipelined save_session"
_MANAGER = f"Manager, {_CALLERS} blocking processes"
_ALONE = "quiet client alone, one call"
_BESIDE = "quiet client beside a chatty one, one call"


def _blocking_name(count: int) -> str:
    return f"composite, {count} blocking process{'' if count == 1 else 'es'}"


def _in_memory(settings: Settings) -> tuple[list[Line], Chart]:
    seconds = settings.pick(0.7, 0.3)
    crowds = settings.pick(_CROWDS, (1, _CALLERS))
    run_dir = str(settings.scratch / "run")
    children = [in_memory(), in_files(settings.scratch), composite_of("sessions", "artifacts")]
    shares: list[Samples] = []
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

        def quiet() -> Load:
            return _quiet_saves(connect("store", SessionStore, node=node, run_dir=run_dir))

        def through_manager() -> Load:
            return _alternating(
                lambda session: managed("save_session", session),
                lambda session_id: managed("get_session", session_id),
            )

        def blocking_at_once(count: int) -> Callable[[], Samples]:
            work = enter(clients([blocking] * count))

            def once() -> Samples:
                calls = work(seconds)
                if count == _CALLERS:
                    shares.append([min(calls) / max(calls)])
                return [sum(calls) / seconds]

            return once

        many = enter(clients([pipelined] * _PIPELINES))
        through = enter(clients([through_manager] * _CALLERS))
        plain = _plain_saves(InMemorySessionStore())
        alone, beside = enter(clients([quiet])), enter(clients([pipelined, quiet]))
        measured = interleave(
            {
                _PLAIN: lambda: [plain(seconds) / seconds],
                _PIPELINED: rate(many, seconds),
                _MANAGER: rate(through, seconds),
                **{_blocking_name(count): blocking_at_once(count) for count in crowds},
                _ALONE: lambda: alone(seconds)[-1],
                _BESIDE: lambda: beside(seconds)[-1],
            },
            rounds=settings.pick(7, 3),
            progress=lambda done, of: settings.progress("throughput, in memory", done, of),
        )
    return [*_of_clients(measured, crowds), *_fairness(measured, shares)], _chart(measured, crowds)


def _of_clients(measured: Mapping[str, list[Samples]], crowds: Sequence[int]) -> list[Line]:
    sixteen = _blocking_name(_CALLERS)
    names = [_PLAIN, _PIPELINED, _MANAGER, *map(_blocking_name, crowds)]
    return _compared(
        {name: measured[name] for name in names},
        {
            **{_blocking_name(count): (sixteen, []) for count in crowds},
            _PIPELINED: (_PLAIN, [Bar(">=", 100_000)]),
            sixteen: (_MANAGER, [Bar(">=", 45_000)]),
        },
    )


def _fairness(measured: Mapping[str, list[Samples]], shares: list[Samples]) -> list[Line]:
    alone = measured[_ALONE]
    return [
        rate_line(f"{_CALLERS} blocking processes, fewest calls of one to most", "", shares),
        latency_line(_ALONE, "µs", alone),
        latency_line(_BESIDE, "µs", measured[_BESIDE], baseline=(_ALONE, alone)),
    ]


def _chart(measured: Mapping[str, list[Samples]], crowds: Sequence[int]) -> Chart:
    points = [
        (count, median(one[0] for one in measured[_blocking_name(count)])) for count in crowds
    ]
    return Chart(
        "blocking client processes through the composite",
        "client processes",
        "calls/s, all together",
        {"get_session and save_session, in memory": points},
        from_zero=True,
    )


def _quiet_saves(client: SessionStore) -> Load:
    """A call now and then; what each takes, in microseconds."""
    session = example()

    def load(begin: float, end: float) -> list[float]:
        _sleep_until(begin)
        found = []
        while (began := time.monotonic()) < end:
            client.save_session(session)
            found.append(1e6 * (time.monotonic() - began))
            time.sleep(_QUIET_PAUSE)
        return found

    return load


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
    seconds = settings.pick(0.7, 0.5)
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
    compared = ("sqlite3, one commit per event", [Bar(">=", 25_000)])
    names = ("append_event, 16 threads", "append_event, 16 tasks")
    return _compared(measured, dict.fromkeys(names, compared))


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
    measured: Mapping[str, list[Samples]],
    candidates: Mapping[str, tuple[str, Sequence[Bar]]],
) -> list[Line]:
    """A line for each that was measured; candidates are compared with their baselines."""
    lines = []
    for name, rounds in measured.items():
        if name not in candidates:
            lines.append(rate_line(name, "/s", rounds))
            continue
        other, bars = candidates[name]
        lines.append(rate_line(name, "/s", rounds, baseline=(other, measured[other]), bars=bars))
    return lines
