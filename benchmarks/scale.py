"""A thousand children: what they take, and how what a tree does grows with their number."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks._harness import Samples, repeat
from benchmarks._processes import cpu_seconds, descendants, private_bytes
from benchmarks._report import Bar, Line, Report, Settings, latency_line, rate_line
from benchmarks._trees import client_of, running
from supervisor import Child, SupervisorRef, whereis

__all__ = ["TITLE", "measure"]

TITLE = "many children"

_SIZES = (10, 100, 1000)
_QUICK_SIZES = (10, 30, 100)
_MEBIBYTE = 1024 * 1024

# After a start, what it has left to do is over by then.
_SETTLE = 1.0


class Idle:
    """A server that does nothing until it is called."""

    def ping(self) -> None:
        """Answer."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What was measured at one size."""

    size: int
    started: float
    stopped: float
    private: Sequence[float]
    idle: float
    whereis: Samples
    first_call: Samples
    which_children: Samples


def measure(settings: Settings) -> Report:
    """Measure it."""
    sizes = _QUICK_SIZES if settings.quick else _SIZES
    found = []
    for number, size in enumerate(sizes):
        settings.progress("scale", number, len(sizes))
        found.append(_at(size, settings))
    settings.progress("scale", len(sizes), len(sizes))
    lines = [
        *_totals(found[-1]),
        *_growth("start", "ms/child", found, lambda one: [1e3 * one.started / one.size]),
        *_growth("stop", "ms/child", found, lambda one: [1e3 * one.stopped / one.size]),
        *_growth("whereis", "µs", found, lambda one: one.whereis),
        *_growth("connect and first call", "µs", found, lambda one: one.first_call),
        *_growth("which_children", "µs/child", found, lambda one: one.which_children),
    ]
    notes = (
        f"ratios: to {sizes[1]} children; where it is per child, 1.0 is linear growth",
        f"idle: the whole tree, of one processor, over {_idle_seconds(settings)} s",
    )
    return Report("scale", TITLE, lines, notes)


def _totals(one: _Found) -> list[Line]:
    """What the largest tree takes; the bars are those of a thousand children."""
    bars: list[list[Bar]] = [[], [], []]
    if one.size == 1000:
        # An idle CPU of 0.0 % is what is shown as that.
        bars = [[Bar("<=", 10)], [Bar("<=", 3)], [Bar("<=", 0.05)]]
    return [
        rate_line(f"start {one.size:,} children", "s", [[one.started]], bars=bars[0]),
        rate_line("private memory of each", "MiB", [[own] for own in one.private], bars=bars[1]),
        rate_line("idle CPU", "%", [[one.idle]], bars=bars[2]),
    ]


def _idle_seconds(settings: Settings) -> int:
    return settings.pick(10, 3)


def _at(size: int, settings: Settings) -> _Found:
    names = [f"idle-{number}" for number in range(size)]
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        tree = stack.enter_context(
            running([Child(Idle, name=name) for name in names], settings.scratch)
        )
        started = time.monotonic() - began
        private, idle = _at_rest(tree, settings)
        some = names[:: max(1, size // 50)]
        found = _look_ups(some), _first_calls(some)
        listed = repeat(tree.which_children, 20, time.monotonic)
        began = time.monotonic()
    stopped = time.monotonic() - began
    return _Found(
        size,
        started,
        stopped,
        private,
        idle,
        *found,
        [1e6 * seconds / size for seconds in listed],
    )


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


def _look_ups(names: Sequence[str]) -> Samples:
    """Microseconds that each of these names takes to be found."""
    samples = []
    for name in names:
        began = time.monotonic()
        whereis(name)
        samples.append(1e6 * (time.monotonic() - began))
    return samples


def _first_calls(names: Sequence[str]) -> Samples:
    """Microseconds that a first call takes by each of these names: found, connected, answered."""
    samples = []
    for name in names:
        with client_of(name, Idle) as client:
            began = time.monotonic()
            client.ping()
            samples.append(1e6 * (time.monotonic() - began))
    return samples


def _growth(
    what: str, unit: str, found: Sequence[_Found], samples: Callable[[_Found], Samples]
) -> list[Line]:
    """A line for each size, compared with the middle one: a small tree is mostly its root."""
    middle = found[len(found) // 2]
    return [
        latency_line(
            f"{what}, {one.size:,} children",
            unit,
            [samples(one)],
            baseline=(f"{middle.size} children", [samples(middle)]),
        )
        for one in found
    ]
