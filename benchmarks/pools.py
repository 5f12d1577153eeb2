"""Pools of workers: tiny tasks, large arrays, start-up, deaths; beside those that people have."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import _pool_tasks as tasks
from benchmarks._harness import Samples, interleave
from benchmarks._pool_peers import FATES, PEERS, Contender, ProcessPool, Regrow, name_of
from benchmarks._report import Bar, Line, Report, Settings, latency_line, rate_line

__all__ = ["TITLE", "measure"]

TITLE = "tasks in pools of two workers"

_ROOT = Path(__file__).parents[1]
_ARRAY = 64 * 1024 * 1024

# Seconds that one of them is given with a fate.
_FATE_PATIENCE = 45.0

Measure = Callable[[Contender], Samples]


def measure(settings: Settings) -> Report:
    """Measure it."""
    peers = [peer for peer in PEERS if peer.is_installed()]
    lines: list[Line] = []
    with _started(peers) as pools:
        count = settings.pick(5000, 500)
        tiny = _compare(settings, pools, lambda pool: _rate(pool, count), settings.pick(5, 2))
        lines += _lines("tiny tasks", "/s", tiny, [Bar(">=", 1.5, "ratio")], is_rate=True)
        if importlib.util.find_spec("numpy") is not None:
            lines += _arrays(settings, pools)
    starts = interleave(
        {name_of(peer): lambda peer=peer: _start(peer) for peer in peers},  # type: ignore[misc]
        rounds=settings.pick(5, 1),
        progress=lambda done, of: settings.progress("pools", done, of),
    )
    lines += _lines("start to first result", "ms", starts, [], is_rate=False)
    lines.append(_under_fire(settings))
    notes = [
        f"{peer.title} is not installed: pip install 'regrow[bench]'"
        for peer in PEERS
        if peer not in peers
    ]
    return Report("pools", TITLE, lines, (*notes, *_fates(settings, peers)))


@contextlib.contextmanager
def _started(peers: list[type[Contender]]) -> Iterator[dict[str, Contender]]:
    with contextlib.ExitStack() as stack:
        pools = {}
        for peer in peers:
            pool = pools[name_of(peer)] = peer()
            stack.callback(pool.close)
        yield pools


def _compare(
    settings: Settings, pools: dict[str, Contender], one: Measure, rounds: int
) -> dict[str, list[Samples]]:
    return interleave(
        {name: lambda pool=pool: one(pool) for name, pool in pools.items()},  # type: ignore[misc]
        rounds=rounds,
        progress=lambda done, of: settings.progress("pools", done, of),
    )


def _lines(
    what: str, unit: str, found: dict[str, list[Samples]], bars: list[Bar], *, is_rate: bool
) -> list[Line]:
    """A line for each pool; ours is compared with ProcessPoolExecutor, and has the bars."""
    baseline = (name_of(ProcessPool), found[name_of(ProcessPool)])
    lines = []
    for name, rounds in found.items():
        is_ours = name == name_of(Regrow)
        own_bars = bars if is_ours else []
        against = None if name == baseline[0] else baseline
        title = f"{what}: {name}"
        if is_rate:
            lines.append(rate_line(title, unit, rounds, baseline=against, bars=own_bars))
        else:
            lines.append(
                latency_line(title, unit, rounds, baseline=against, bars=own_bars, as_speed=True)
            )
    return lines


def _rate(pool: Contender, count: int) -> Samples:
    began = time.perf_counter()
    pool.many(count)
    return [count / (time.perf_counter() - began)]


def _arrays(settings: Settings, pools: dict[str, Contender]) -> list[Line]:
    array = tasks.fill(_ARRAY)
    rounds = settings.pick(5, 1)
    bars = [Bar(">=", 2, "ratio")]

    def timed(function: Callable[..., Any], argument: Any) -> Measure:
        def run(pool: Contender) -> Samples:
            began = time.perf_counter()
            pool.result(pool.submit(function, argument))
            return [1e3 * (time.perf_counter() - began)]

        return run

    into = _compare(settings, pools, timed(tasks.take, array), rounds)
    out = _compare(settings, pools, timed(tasks.fill, _ARRAY), rounds)
    return [
        *_lines("64 MiB array in", "ms", into, bars, is_rate=False),
        *_lines("64 MiB array out", "ms", out, bars, is_rate=False),
    ]


def _start(peer: type[Contender]) -> Samples:
    began = time.perf_counter()
    pool = peer()
    try:
        pool.result(pool.submit(tasks.add_one, 1))
        return [1e3 * (time.perf_counter() - began)]
    finally:
        pool.close()


# --- deaths ------------------------------------------------------------------------------------


def _under_fire(settings: Settings) -> Line:
    """How many tasks are lost while a worker is killed every 100 ms."""
    from supervisor import PoolExecutor

    count = settings.pick(10_000, 500)
    over = threading.Event()
    with PoolExecutor(2, retries=5) as executor:
        pids = {executor.submit(os.getpid).result()}
        killed = 0

        def kill() -> None:
            nonlocal killed
            while not over.wait(0.1):
                with contextlib.suppress(ProcessLookupError, KeyError):
                    os.kill(pids.pop(), signal.SIGKILL)
                    killed += 1

        killer = threading.Thread(target=kill)
        killer.start()
        futures = [executor.submit(_nap) for _ in range(count)]
        for future in futures:
            if future.exception() is None:
                pids.add(future.result())
        over.set()
        killer.join()
        lost = sum(future.exception() is not None for future in futures)
    what = f"lost of {count} tasks, retries=5, {killed} workers killed, one every 100 ms"
    return rate_line(what, "", [[float(lost)]], bars=[Bar("<=", 0)])


def _nap() -> int:
    time.sleep(0.001)
    return os.getpid()


def _fates(settings: Settings, peers: list[type[Contender]]) -> list[str]:
    """What becomes of each pool, as a table: the task, 100 others behind it, the pool."""
    fates = settings.pick(list(FATES), ["die"])
    rows = [("", *(FATES[fate] for fate in fates))]
    for peer in peers:
        rows.append((name_of(peer), *(_fate(peer, fate) for fate in fates)))
        settings.progress("pools", len(rows) - 1, len(peers))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    head = "what becomes of the task; how many of 100 others get their results; the pool afterwards"
    return [head, *table]


def _fate(peer: type[Contender], fate: str) -> str:
    """What becomes of it, by a process of its own, which may hang."""
    command = [sys.executable, "-m", "benchmarks._pool_peers", peer.title, fate]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, cwd=_ROOT, stdout=said, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            process.wait(_FATE_PATIENCE)
        except subprocess.TimeoutExpired:
            return "the program hangs"
        finally:
            # Whatever it leaves behind goes with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        said.seek(0)
        found = json.loads(said.readline())
    return f"{found['task']}, {found['others']}, {found['pool']}"
