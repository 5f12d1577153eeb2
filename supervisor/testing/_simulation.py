"""A supervisor without processes: what it decides, in a world that does as it is told.

Its children become ready and stop as soon as they are asked to (``obedient``), or when a test says
so; time passes when a test lets it. Every action of the supervisor is checked against what whoever
carries it out may rely on, so that a test that only makes things happen tests those rules.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, assert_never

from supervisor._core.machine import Machine
from supervisor._core.messages import (
    Action,
    Boot,
    Cancel,
    ChildExited,
    ChildReady,
    Close,
    Condemn,
    DeleteChild,
    Ended,
    Event,
    Kill,
    Open,
    Refuse,
    Reply,
    Report,
    Request,
    RestartChild,
    Schedule,
    Shutdown,
    Spawn,
    StartChild,
    Started,
    Terminate,
    TerminateChild,
    Timer,
    TimerFired,
)
from supervisor._exit import Exit, Reason
from supervisor._supervisor import ChildSpec, Supervisor
from supervisor.testing._clock import FakeClock

__all__ = ["SimulatedProcess", "SimulatedSupervisor"]

SHUTDOWN = Exit("shutdown")


@dataclass
class SimulatedProcess:
    """A run of a child that has no process.

    Attributes:
        token: which run; no other one of this supervisor has it.
        id: of the child.
        is_ready: whether it has acknowledged its start.
        is_asked: whether it was asked to stop.
        is_killed: whether it was killed.
        is_dead: whether it has ended, which the supervisor need not have heard yet.
    """

    token: int
    id: str
    is_ready: bool = False
    is_asked: bool = False
    is_killed: bool = False
    is_dead: bool = False


class SimulatedSupervisor:
    """A supervisor that has no processes: its children do what a test tells them.

    Args:
        spec: the supervisor.
        obedient: children become ready, and stop, by themselves.
        random: for the jitter of backoffs; by default there is none.
        failing: how many of each child's next starts fail.
        clock: it passes by ``advance``; by default one of its own.

    Attributes:
        log: what happened to processes: ``start a``, ``ready a``, ``stop a``, ``kill a`` or
            ``end a``.
        failing: how many of a child's next starts fail.
        stubborn: the ids whose processes, however obedient the world, only end when killed.
        answers: what requests were answered with: a value, or the error.
        reports: what it would have logged.
        processes: the runs of children that have not ended, by token.
        timers: when they are due.
        started: whether every child has become ready.
        ended: how it has ended, once it has.

    """

    def __init__(
        self,
        spec: Supervisor,
        *,
        obedient: bool = True,
        random: Callable[[], float] = lambda: 0.5,
        failing: dict[str, int] | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self.machine = Machine(spec, random=random)
        self.obedient = obedient
        self.clock = clock or FakeClock()
        self.failing = Counter(failing or {})
        self.stubborn: set[str] = set()
        self.log: list[str] = []
        self.reports: list[Report] = []
        self.answers: dict[int, Any] = {}
        self.open: dict[str, bool] = {}
        self.processes: dict[int, SimulatedProcess] = {}
        self.timers: dict[Timer, float] = {}
        self.started = False
        self.ended: Ended | None = None
        self._requests = itertools.count(1)
        self._asked: set[int] = set()
        self._last_token = 0
        self._was_stopping = False

    # --- commands ------------------------------------------------------------------------------

    def boot(self) -> SimulatedSupervisor:
        """Start the children."""
        self._feed(Boot())
        return self

    def ready(self, id: str) -> None:
        """The child's process says that it is ready."""
        process = self.process(id)
        process.is_ready = True
        self.log.append(f"ready {id}")
        self._feed(ChildReady(process.token))

    def exit(self, id: str, how: Exit | Reason = "error", path: tuple[str, ...] = ()) -> None:
        """The child's process ends."""
        self._exit(self.process(id), _exit(how), path)
        self.settle()

    def exit_together(self, ids: Iterable[str], how: Exit | Reason = "error") -> None:
        """The processes of these children end before anything else can happen."""
        processes = [self.process(id) for id in ids]
        for process in processes:
            self._die(process)
        for process in processes:
            self._exit(process, _exit(how))
        self.settle()

    def condemn(self, id: str, reason: str = "watchdog") -> None:
        """The child has broken the rule that its watchdog, or its memory limit, is."""
        self._feed(Condemn(self.process(id).token, reason))  # type: ignore[arg-type]

    def shutdown(self) -> None:
        """Ask the supervisor to stop."""
        self._feed(Shutdown())

    def start_child(self, spec: ChildSpec) -> int:
        """Ask for a new child; return the number of the request."""
        return self._ask(StartChild(next(self._requests), spec))

    def terminate_child(self, id: str) -> int:
        """Ask for a child to be stopped; return the number of the request."""
        return self._ask(TerminateChild(next(self._requests), id))

    def restart_child(self, id: str) -> int:
        """Ask for a stopped child to run again; return the number of the request."""
        return self._ask(RestartChild(next(self._requests), id))

    def delete_child(self, id: str) -> int:
        """Ask for a stopped child to be forgotten; return the number of the request."""
        return self._ask(DeleteChild(next(self._requests), id))

    def advance(self, seconds: float) -> None:
        """Let time pass; timers fire when they are due."""
        end = self.now + seconds
        while self.timers and min(self.timers.values()) <= end:
            timer = min(self.timers, key=self.timers.__getitem__)
            self.clock.advance(max(0.0, self.timers[timer] - self.now))
            self.fire(timer)
        self.clock.advance(end - self.now)

    def fire(self, timer: Timer) -> None:
        """Let a timer fire, due or not."""
        del self.timers[timer]
        self._feed(TimerFired(timer))

    def feed(self, event: Event) -> None:
        """Tell the machine anything."""
        self._feed(event)

    # --- questions -----------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The time, in seconds."""
        return self.clock()

    def process(self, id: str) -> SimulatedProcess:
        """The child's process, if it has one."""
        return next(p for p in self.processes.values() if p.id == id)

    @property
    def live(self) -> list[str]:
        """The ids of the children that have processes, ready or not."""
        return sorted(process.id for process in self.processes.values())

    @property
    def status(self) -> dict[str, str]:
        """Of each child: ``running``, ``restarting`` or ``stopped``."""
        return {row.id: row.status for row in self.machine.rows()}

    @property
    def pending(self) -> set[int]:
        """The requests that are not answered yet."""
        return self._asked - self.answers.keys()

    def answer(self, request: int) -> Any:
        """What a request was answered with: a value, or the error."""
        return self.answers[request]

    def kinds(self) -> list[str]:
        """What was reported, in short."""
        return [f"{report.kind} {report.id}" for report in self.reports]

    def take_log(self) -> list[str]:
        """The log so far, which begins anew."""
        log, self.log = self.log, []
        return log

    # --- the world -----------------------------------------------------------------------------

    def settle(self) -> None:
        """Let every process do what it was asked to, where the world is obedient."""
        while self.obedient and (process := self._next_to_obey()) is not None:
            self._obey(process)

    def _next_to_obey(self) -> SimulatedProcess | None:
        for process in self.processes.values():
            if process.is_killed or (process.is_asked and process.id not in self.stubborn):
                return process
            if not process.is_ready and process.id not in self.stubborn:
                return process
        return None

    def _obey(self, process: SimulatedProcess) -> None:
        if process.is_killed:
            self._exit(process, Exit("signal"))
        elif process.is_asked:
            self._exit(process, SHUTDOWN)
        elif self.failing[process.id] > 0:
            self.failing[process.id] -= 1
            self._exit(process, Exit("error", error=f"{process.id} failed to start"))
        else:
            process.is_ready = True
            self.log.append(f"ready {process.id}")
            self._tell(ChildReady(process.token))

    def _exit(self, process: SimulatedProcess, how: Exit, path: tuple[str, ...] = ()) -> None:
        self._die(process)
        del self.processes[process.token]
        self._tell(ChildExited(process.token, how, path))

    def _die(self, process: SimulatedProcess) -> None:
        """The process is gone, which the machine need not have heard yet."""
        if not process.is_dead:
            process.is_dead = True
            self.log.append(f"end {process.id}")

    def _ask(self, event: Request) -> int:
        self._asked.add(event.request)
        self._feed(event)
        return int(event.request)

    def _feed(self, event: Event) -> None:
        self._tell(event)
        self.settle()

    def _tell(self, event: Event) -> None:
        self._was_stopping = self.machine.phase in ("stopping", "ended")
        for action in self.machine.handle(event, self.now):
            self._perform(action)
        live = {row.token for row in self.machine.rows() if row.token is not None}
        _require(live == set(self.processes), "rows and processes differ")
        _require(
            (self.machine.phase == "ended") == (self.ended is not None),
            "it has ended, and does not say so",
        )

    # --- actions, and the rules that they keep ---------------------------------------------------

    def _perform(self, action: Action) -> None:
        if self.ended is not None:
            _require(isinstance(action, Refuse), f"{action} after Ended")
        match action:
            case Spawn() | Terminate() | Kill():
                self._perform_on_process(action)
            case Open() | Close():
                self._perform_on_address(action)
            case Schedule() | Cancel():
                self._perform_on_timer(action)
            case Reply(request, answer) | Refuse(request, answer):
                _require(request in self.pending, f"request {request} is answered twice")
                self.answers[request] = answer
            case Report():
                self.reports.append(action)
            case Started():
                _require(not self.started, "it has started twice")
                self.started = True
            case Ended():
                self._end(action)
            case _:
                assert_never(action)

    def _perform_on_process(self, action: Spawn | Terminate | Kill) -> None:
        match action:
            case Spawn(token, spec):
                _require(token > self._last_token, "a token was used again")
                _require(self.open.get(spec.id), f"{spec.id} was not opened")
                _require(spec.id not in self.live, f"{spec.id} has a process already")
                _require(not self._was_stopping, f"{spec.id} was started in a shutdown")
                self._last_token = token
                self.processes[token] = SimulatedProcess(token, spec.id)
                self.log.append(f"start {spec.id}")
            case Terminate(token):
                process = self.processes[token]
                _require(not process.is_asked, f"{process.id} was asked to stop twice")
                process.is_asked = True
                self._signal("stop", process)
            case Kill(token):
                process = self.processes[token]
                _require(not process.is_killed, f"{process.id} was killed twice")
                process.is_killed = True
                self._signal("kill", process)

    def _signal(self, word: str, process: SimulatedProcess) -> None:
        if not process.is_dead:
            self.log.append(f"{word} {process.id}")

    def _perform_on_address(self, action: Open | Close) -> None:
        match action:
            case Open(spec):
                _require(not self.open.get(spec.id), f"{spec.id} was opened twice")
                self.open[spec.id] = True
            case Close(id, forgotten):
                _require(id in self.open, f"{id} was never opened")
                _require(id not in self.live, f"{id} was closed while it has a process")
                self.open[id] = False
                if forgotten:
                    del self.open[id]

    def _perform_on_timer(self, action: Schedule | Cancel) -> None:
        match action:
            case Schedule(timer, seconds):
                _require(timer not in self.timers, "a timer was scheduled twice")
                _require(seconds >= 0, "a timer was due before it was scheduled")
                self.timers[timer] = self.now + seconds
            case Cancel(timer):
                del self.timers[timer]

    def _end(self, ended: Ended) -> None:
        _require(not self.processes, f"ended before {self.live}")
        _require(not self.timers, f"ended before {self.timers}")
        _require(not self.pending, f"ended before an answer to {self.pending}")
        self.ended = ended


def _exit(how: Exit | Reason) -> Exit:
    return how if isinstance(how, Exit) else Exit(how)


def _require(rule: object, broken: str) -> None:
    """A rule that every action keeps.

    Raises:
        AssertionError: it is broken.
    """
    if not rule:
        raise AssertionError(broken)
