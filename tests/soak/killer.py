"""Kills processes of the tree with SIGKILL, and measures how long each takes to answer again.

Some are stopped for a moment (SIGSTOP) before: a process that does not run is not dead, and those
who call it wait for it.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ports import ArtifactStore, SessionStore
from supervisor import Ref, SupervisorError, SupervisorRef, connect
from supervisor.testing import eventually
from supervisor.testing._processes import all_gone, descendants, proc

__all__ = ["Killer"]

_PATIENCE = 30.0

# Most victims have come back before the next is killed; some are killed while another restarts.
_LONGEST_PAUSE = 0.1
_IN_A_ROW = 0.3

# So many are stopped first, for so long at most; every other one of them then goes on.
_STOPPED = 0.15
_LONGEST_STOP = 0.3


@dataclass
class Killer:
    """Kills at random.

    Attributes:
        kills: how often, by the victim's id.
        stops: how many were stopped for a moment, and went on.
        recoveries: the seconds from each kill that was waited for to the next answer.
        problems: what did not come back.
    """

    tree: SupervisorRef
    run_dir: str
    random: random.Random
    kills: dict[str, int] = field(default_factory=dict)
    stops: int = 0
    recoveries: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        options = {"timeout": _PATIENCE, "run_dir": self.run_dir, "node": "soak"}
        self._sessions = connect("store", SessionStore, **options)
        self._artifacts = connect("store", ArtifactStore, **options)

    def go_on_until(self, is_over: Callable[[], bool]) -> None:
        """Kill one process after another."""
        while not is_over():
            victim, ref = self._choose()
            if ref is None:
                self._kill_guard(victim)
            else:
                self._kill(victim, ref, wait=self.random.random() > _IN_A_ROW)
            time.sleep(self.random.uniform(0, _LONGEST_PAUSE))

    def _choose(self) -> tuple[str, Ref | None]:
        return self.random.choice(list(self._victims()))

    def _victims(self) -> Iterator[tuple[str, Ref | None]]:
        backends = self.tree.supervisor("backends")
        databases = backends.supervisor("databases")
        yield "registry", self.tree.registry()
        yield "backends", backends
        yield "databases", databases
        yield "sessions", databases.child("sessions")
        yield "artifacts", backends.child("artifacts")
        yield "store", self.tree.child("store")
        yield "program", self.tree.child("program")
        yield "task", databases.child("task")
        yield "guard", None

    def _kill(self, victim: str, ref: Ref, *, wait: bool) -> None:
        try:
            pid = ref.pid
            if pid is None:
                # It is being restarted at this moment.
                return
            monitor = ref.monitor() if wait else None
            if self.random.random() < _STOPPED and self._stop(pid):
                return
            os.kill(pid, signal.SIGKILL)
            begun = time.monotonic()
            self.kills[victim] = self.kills.get(victim, 0) + 1
            if monitor is not None:
                # Only once it is gone can nobody but its successor answer.
                monitor.wait(_PATIENCE)
                self._ask_all()
                self.recoveries.append(time.monotonic() - begun)
        except ProcessLookupError:
            return
        except (SupervisorError, OSError) as error:
            self.problems.append(f"{victim}: {type(error).__name__}: {error}")

    def _stop(self, pid: int) -> bool:
        """Stop a process for a moment; whether it goes on, or is to be killed as it is."""
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self.random.uniform(0, _LONGEST_STOP))
        if self.random.random() < 0.5:
            return False
        os.kill(pid, signal.SIGCONT)
        self.stops += 1
        return True

    def _kill_guard(self, victim: str) -> None:
        """It is nobody's child but the root's own, and nobody calls it."""
        for process in descendants(self.tree.pid or 0):
            if process.name == "regrow guard":
                process.kill()
                self.kills[victim] = self.kills.get(victim, 0) + 1

    def kill_root(self) -> None:
        """Kill the root: everybody goes with it, and so does what they had started."""
        root = proc(self.tree.pid)
        everyone = descendants(root.pid)
        root.kill()
        self.kills["root"] = 1
        try:
            eventually(lambda: all_gone(everyone), within=_PATIENCE)
        except AssertionError:
            left = [process.command_line for process in everyone if process.is_alive]
            self.problems.append(f"these outlive the root: {left}")

    def _ask_all(self) -> None:
        self._sessions.get_latest_sequence("ses_nobody")
        self._artifacts.delete("nothing")
