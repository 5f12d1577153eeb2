"""A thousand children: what they take, and how what a tree does grows with their number."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence

from benchmarks._harness import Samples
from benchmarks._idle import Idle
from benchmarks._processes import cpu_seconds, descendants, private_bytes
from benchmarks._report import Bar, Chart, Line, Report, Settings, latency_line, rate_line
from benchmarks._trees import client_of, running
from supervisor import Child, Ref, SupervisorRef, whereis
from supervisor._measure import growth, median

__all__ = ["TITLE", "measure"]

TITLE = "many children"

_SIZES: Sequence[int] = (10, 32, 100, 316, 1000)
_QUICK_SIZES: Sequence[int] = (10, 32, 100)
_NAMES = (100, 10_000)
_AT_ONCE = 100
_MEBIBYTE = 1024 * 1024

# After a start, what it has left to do is over by then.
_SETTLE = 1.0

# An exponent: 1 is linear, and the rest what a measurement may be off by.
_LINEAR = Bar("<=", 1.1)

# By what was measured and by size: milliseconds.
_Grown = Mapping[str, Mapping[int, Samples]]


def measure(settings: Settings) -> Report:
    """Measure it."""
    sizes = settings.pick(_SIZES, _QUICK_SIZES)
    grown: dict[str, dict[int, Samples]] = {}
    lines: list[Line] = []
    for number, size in enumerate(sizes):
        settings.progress("scale", number, len(sizes))
        found, totals = _at(size, settings, largest=size == sizes[-1])
        lines += totals
        for what, samples in found.items():
            grown.setdefault(what, {})[size] = samples
    settings.progress("scale", len(sizes), len(sizes))
    upper = sizes[len(sizes) // 2 :]
    notes = (
        f"growth: its exponent, from {upper[0]} to {upper[-1]:,} children; 1 is linear, 0 is none",
        f"ratios: to {sizes[0]} children, to {_NAMES[0]} names, to as many restarts one by one",
        f"idle: the whole tree, of one processor, over {_idle_seconds(settings)} s",
    )
    return Report("scale", TITLE, [*lines, *_growth(grown, upper)], notes, charts=[_chart(grown)])


def _at(
    size: int, settings: Settings, *, largest: bool
) -> tuple[dict[str, Samples], Sequence[Line]]:
    """What was measured with so many children; with the most, also what they take together."""
    names = [f"idle-{number}" for number in range(size)]
    lines: list[Line] = []
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        tree = stack.enter_context(
            running([Child(Idle, name=name) for name in names], settings.scratch)
        )
        found: dict[str, Samples] = {"start": [_since(began)]}
        if largest:
            lines += _totals(size, found["start"][0], *_at_rest(tree, settings))
        some = names[:: max(1, size // 50)]
        found["which_children"] = [_timed(tree.which_children) for _ in range(20)]
        found["whereis"] = [_timed(lambda name=name: whereis(name)) for name in some]
        found["connect and first call"] = _first_calls(some)
        found["kill -9 to the next answer"] = [_crash([name]) for name in some[:20]]
        if largest:
            lines += _crash_of_many(names[:_AT_ONCE], found["kill -9 to the next answer"])
            lines += _many_names(tree, settings)
        began = time.monotonic()
    found["stop"] = [_since(began)]
    return found, lines


def _since(began: float) -> float:
    return 1e3 * (time.monotonic() - began)


def _timed(operation: Callable[[], object]) -> float:
    began = time.monotonic()
    operation()
    return _since(began)


# --- what they take -----------------------------------------------------------------------------


def _totals(size: int, start: float, private: Samples, idle: float) -> list[Line]:
    """What the largest tree takes; the bars are those of a thousand children."""
    bars: list[list[Bar]] = [[], [], []]
    if size == 1000:
        # An idle CPU of 0.0 % is what is shown as that.
        bars = [[Bar("<=", 10)], [Bar("<=", 3)], [Bar("<=", 0.05)]]
    return [
        rate_line(f"start {size:,} children", "s", [[start / 1e3]], bars=bars[0]),
        rate_line("private memory of each", "MiB", [[own] for own in private], bars=bars[1]),
        rate_line("idle CPU", "%", [[idle]], bars=bars[2]),
    ]


def _idle_seconds(settings: Settings) -> int:
    return settings.pick(10, 3)


def _at_rest(tree: SupervisorRef, settings: Settings) -> tuple[list[float], float]:
    """Mebibytes of each child's own, and the per cent of one processor that the whole tree uses."""
    time.sleep(_SETTLE)
    root = tree.pid
    if root is None:
        raise RuntimeError("a tree that has started does not run")
    everyone = descendants(root)
    children = [info.pid for info in tree.which_children()]
    private = [private_bytes(pid) / _MEBIBYTE for pid in children if pid is not None]
    time.sleep(_SETTLE)
    seconds = _idle_seconds(settings)
    before, began = cpu_seconds(everyone), time.monotonic()
    time.sleep(seconds)
    used = cpu_seconds(everyone) - before
    return private, 100 * used / (time.monotonic() - began)


def _first_calls(names: Sequence[str]) -> Samples:
    """What a first call takes by each of these names: found, connected, answered."""
    samples = []
    for name in names:
        with client_of(name, Idle) as client:
            samples.append(_timed(client.ping))
    return samples


# --- crashes and names --------------------------------------------------------------------------


def _crash(names: Sequence[str]) -> float:
    """Kill these at once; return how long it takes until all of them have answered a call."""
    refs = [_found(name) for name in names]
    pids = [ref.pid for ref in refs]
    began = time.monotonic()
    for pid in pids:
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
    for ref in refs:
        ref.call("ping")
    return _since(began)


def _found(name: str) -> Ref:
    ref = whereis(name)
    if ref is None:
        raise RuntimeError(f"nobody is called {name}")
    return ref


def _crash_of_many(names: Sequence[str], alone: Samples) -> list[Line]:
    one_by_one = len(names) * median(alone)
    baseline = (f"{len(names)} restarts, one by one", [[one_by_one]] * 3)
    crashes = [[_crash(names)] for _ in range(3)]
    return [
        latency_line(f"{len(names)} killed at once, all answer", "ms", crashes, baseline=baseline)
    ]


def _many_names(tree: SupervisorRef, settings: Settings) -> list[Line]:
    """What the registry takes with few further names, and with many."""
    registry, child = tree.registry(), _found("idle-0")
    found: list[dict[str, list[float]]] = []
    known = 0
    for size in settings.pick(_NAMES, (_NAMES[0], 1000)):
        registered = [
            1e3 * _timed(lambda name=f"name-{number}": registry.call("register", name, child))
            for number in range(known, size)
        ]
        known = size
        some = [f"name-{number}" for number in range(0, size, size // 100)]
        found.append(
            {
                "register": registered[-_NAMES[0] :],
                "whereis": [1e3 * _timed(lambda name=name: whereis(name)) for name in some],
                "names(prefix)": [
                    1e3 * _timed(lambda: registry.call("names", "name-1")) for _ in range(20)
                ],
            }
        )
    few, many = found
    return [
        latency_line(
            f"{what}, {known:,} names",
            "µs",
            [samples],
            baseline=(f"{_NAMES[0]} names", [few[what]]),
        )
        for what, samples in many.items()
    ]


# --- growth -------------------------------------------------------------------------------------


def _growth(grown: _Grown, upper: Sequence[int]) -> list[Line]:
    """Of each, what it takes with the most children, and how it has grown to that."""
    lines = []
    for what, by_size in grown.items():
        least, most = min(by_size), max(by_size)
        name = f"{what}, {most:,} children"
        baseline = (f"{least} children", [by_size[least]])
        lines.append(latency_line(name, "ms", [by_size[most]], baseline=baseline))
        exponent = growth([(size, median(by_size[size])) for size in upper])
        lines.append(rate_line("  growth", "", [[exponent]], bars=[_LINEAR]))
    return lines


def _chart(grown: _Grown) -> Chart:
    lines = {
        what: [(size, median(samples)) for size, samples in by_size.items()]
        for what, by_size in grown.items()
    }
    return Chart("what grows with the number of children", "children", "ms", lines)
