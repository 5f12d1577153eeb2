"""Kills the processes of a tree with SIGKILL, and measures how long each takes to answer again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ports import ArtifactStore, SessionStore
from supervisor import Ref, SupervisorError, SupervisorRef, connect, whereis

__all__ = ["Kill", "Victim", "kill", "kill_root", "victims_of"]

_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Victim:
    """A process that is to be killed.

    Attributes:
        label: what it is called.
        ref: follows it across restarts.
        probe: calls it, and all that stands below it; returns once they have answered.
    """

    label: str
    ref: Ref
    probe: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill.

    Attributes:
        label: who was killed.
        before: the pid that was killed.
        after: the pid that answered; None where none did.
        seconds: from the kill to the answer.
        problem: what did not go as promised, if anything.
    """

    label: str
    before: int | None
    after: int | None
    seconds: float
    problem: str | None = None


def victims_of(root: SupervisorRef) -> list[Victim]:
    """Every process of the tree but its root: the registry, leaves, then supervisors."""
    registry = Victim("registry", root.registry(), partial(whereis, "store"))
    return [registry, *_below(root, _probes())]


def _below(supervisor: SupervisorRef, probes: dict[str, Callable[[], object]]) -> Iterator[Victim]:
    nested = []
    for info in supervisor.which_children():
        if info.kind == "supervisor":
            inner = supervisor.supervisor(info.id)
            below = list(_below(inner, probes))
            yield from below
            nested.append(Victim(info.id, inner, partial(_ask_all, inner, below)))
        else:
            yield Victim(info.id, supervisor.child(info.id), probes[info.id])
    yield from nested


def _ask_all(supervisor: SupervisorRef, below: list[Victim]) -> None:
    supervisor.which_children()
    for victim in below:
        victim.probe()


def _probes() -> dict[str, Callable[[], object]]:
    """A call to each of the stores, which changes nothing."""

    def sessions(name: str) -> Callable[[], object]:
        client = connect(name, SessionStore, timeout=_PATIENCE)
        return partial(client.get_latest_sequence, "nobody")

    def artifacts(name: str) -> Callable[[], object]:
        client = connect(name, ArtifactStore, timeout=_PATIENCE)
        return partial(client.delete, "nothing")

    return {
        "sessions": sessions("sessions"),
        "artifacts": artifacts("artifacts"),
        "store": sessions("store"),
    }


def kill(victim: Victim) -> Kill:
    """Kill a process, and wait until the one in its place has answered."""
    before: int | None = None
    problem: str | None
    begun = time.monotonic()
    try:
        before = victim.ref.pid
        if before is None:
            return Kill(victim.label, None, None, 0.0, "it did not run")
        monitor = victim.ref.monitor()
        begun = time.monotonic()
        os.kill(before, signal.SIGKILL)
        # Only now can nobody but its successor answer.
        monitor.wait(_PATIENCE)
        victim.probe()
        seconds = time.monotonic() - begun
        after = _pid_of(victim.ref)
    except (SupervisorError, OSError) as error:
        problem = f"{type(error).__name__}: {error}"
        return Kill(victim.label, before, None, time.monotonic() - begun, problem)
    problem = "it was not started again" if after in (None, before) else None
    return Kill(victim.label, before, after, seconds, problem)


def _pid_of(ref: Ref) -> int | None:
    """Its pid, as soon as its supervisor knows it as ready: a moment after its first answer."""
    deadline = time.monotonic() + _PATIENCE
    while (pid := ref.pid) is None and time.monotonic() < deadline:
        time.sleep(0.001)
    return pid


def kill_root(pid: int, others: list[int]) -> tuple[float, list[int]]:
    """Kill the root of a tree.

    Returns:
        The seconds until no other process was left, and those that are.
    """
    begun = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    left = others
    while left and time.monotonic() - begun < _PATIENCE:
        left = [other for other in left if _runs(other)]
        time.sleep(0.0005)
    return time.monotonic() - begun, left


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether it has ended, and only whoever adopted it has not asked how; see proc(5)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[0] in b"ZX"
