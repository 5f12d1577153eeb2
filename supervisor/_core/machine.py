"""Every transition of a supervisor lives in here, and nothing else decides: events in, actions out.

Theory of operation
-------------------

A child is in one of six states (``children.State``): Idle, Starting, Running, Stopping, Down,
Delayed. An event changes the states of the children that it is about and no more. Then ``_step``
is repeated until nothing is left to do; it drives whatever is in hand for several children: the
shutdown, else the group (the boot, or a group restart), else the next of the ends that wait.

The ends that wait are what OTP's supervisor has in its mailbox. A child that ends by itself becomes
Down and is queued. Under ``one_for_one`` the queue is served at once, so restarts of several
children are independent of each other. While the supervisor boots or restarts a group it is not:
that is finished first, and a child that is Down when its own group is restarted needs no further
restart. A failed restart attempt is queued too, so that it cannot starve what came before it.

Requests never wait for any of this; only what they ask for may take its time. A start by hand runs
beside the boot and beside group restarts, and where a group restart overtakes it, it is answered
when the child is up, at whichever attempt.
"""

from __future__ import annotations

import copy
import random as random_module
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, assert_never

from supervisor._core.children import (
    IDLE,
    Children,
    Delayed,
    Down,
    Entry,
    Idle,
    Row,
    Running,
    Starting,
    Stopping,
    row_of,
)
from supervisor._core.group import Group
from supervisor._core.intensity import Intensity
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
    Refuse,
    Reply,
    Request,
    RestartChild,
    Schedule,
    Shutdown,
    StartChild,
    Started,
    StartFailure,
    TerminateChild,
    Timer,
    TimerFired,
)
from supervisor._core.restart import is_restarted
from supervisor._core.runs import Runs
from supervisor._errors import (
    ChildExists,
    ChildRestarting,
    ChildRunning,
    NoProcess,
    Overloaded,
    StartError,
    SupervisorError,
)
from supervisor._exit import Exit
from supervisor._supervisor import ChildSpec, Supervisor, check_child

__all__ = ["Machine", "Phase", "Row"]

Phase = Literal["new", "booting", "running", "stopping", "ended"]


class Machine:
    """The decisions of one supervisor.

    Args:
        spec: its spec, with the children that it starts with.
        random: a number from 0 to 1, for the jitter of backoffs.

    """

    def __init__(
        self, spec: Supervisor, *, random: Callable[[], float] = random_module.random
    ) -> None:
        self.spec = spec
        self.phase: Phase = "new"
        self._random = random
        self._now = 0.0
        self._runs = Runs()
        self._children = Children()
        self._intensity = Intensity(spec.max_restarts, spec.max_seconds)
        self._group: Group | None = None
        self._ends: deque[tuple[Entry, Down]] = deque()
        self._to_stop: list[Entry] = []
        self._ended = Ended(Exit("shutdown"))
        self._made_ids = 0
        for child in spec.children:
            self._children.add(Entry(child, is_planned=True))

    # --- what the driver asks ------------------------------------------------------------------

    def rows(self) -> list[Row]:
        """The children, in start order."""
        return [row_of(entry) for entry in self._children]

    def row(self, id: str) -> Row:
        """One child.

        Raises:
            ChildNotFound: there is none of that id.

        """
        return row_of(self._children.get(id))

    def check_new(self, spec: ChildSpec) -> ChildSpec:
        """The spec as StartChild will admit it, with an id made for it where it needs none.

        Raises:
            SpecError: it cannot be a child of this supervisor.
            ChildExists: its id is in use; ``ref`` is for the caller to fill in.
            Overloaded: there are ``max_children`` already.

        """
        check_child(f"{type(self.spec).__name__}({self.spec.id})", spec, self.spec.auto_shutdown)
        if self.spec.is_dynamic and not spec.has_own_id:
            spec = _with_id(spec, f"{_base_id(spec)}-{self._next_number(_base_id(spec))}")
        if spec.id in self._children:
            raise ChildExists(spec.id)
        limit = self.spec.max_children
        if limit is not None and len(self._children) >= limit:
            raise Overloaded(f"supervisor {self.spec.id!r} has {limit} children, and takes no more")
        return spec

    def handle(self, event: Event, now: float) -> list[Action]:
        """What is to be done because of this event, in this order."""
        self._now = now
        self._dispatch(event)
        while self._step():
            pass
        return self._runs.take()

    # --- events --------------------------------------------------------------------------------

    def _dispatch(self, event: Event) -> None:
        match event:
            case Boot():
                self._boot()
            case ChildReady(token):
                self._ready(token)
            case ChildExited(token, exit, path):
                self._exited(token, exit, path)
            case TimerFired(timer):
                self._fired(timer)
            case Condemn(token, reason):
                entry = self._runs.of(token)
                if entry is not None and not isinstance(entry.state, Stopping):
                    self._runs.stop(entry, reason)
            case Shutdown():
                self._begin_shutdown(Ended(Exit("shutdown")))
            case StartChild() | TerminateChild() | RestartChild() | DeleteChild():
                self._answer(event)
            case _:
                assert_never(event)

    def _boot(self) -> None:
        if self.phase != "new":
            return
        self.phase = "booting"
        entries = [entry for entry in self._children if entry.is_planned]
        for entry in entries:
            self._runs.open(entry)
        self._group = Group.boot(entries)

    def _ready(self, token: int) -> None:
        entry = self._runs.of(token)
        # One that is stopping already may say so too late: its fate is sealed.
        if entry is not None and isinstance(entry.state, Starting):
            self._runs.ready(entry, entry.state, self._now)

    def _fired(self, timer: Timer) -> None:
        if self._group is not None and timer == self._group.timer:
            self._group.timer = None
            self._group.stage = "starting"
            return
        entry = self._runs.expire(timer)
        if entry is None:
            return
        match entry.state:
            case Starting():
                self._runs.give_up_start(entry, entry.state)
            case Stopping():
                self._runs.kill(entry)
            case Delayed():
                self._runs.spawn(entry, "restart")
            case _:
                pass

    # --- ends ----------------------------------------------------------------------------------

    def _exited(self, token: int, exit: Exit, path: tuple[str, ...]) -> None:
        entry = self._runs.of(token)
        if entry is None:
            return
        state = entry.state
        if not isinstance(state, Starting | Running | Stopping):
            return
        how = _blamed(entry.spec, state, exit)
        before = state.before if isinstance(state, Stopping) else state
        was_asked = isinstance(state, Stopping) and state.was_asked
        failed = isinstance(before, Starting) and not was_asked
        self._runs.report("start_failed" if failed else "child_ended", entry, how)
        self._runs.gone(entry, token)
        if self.phase == "stopping":
            self._answer_stoppers(entry)
        elif entry.is_planned:
            self._stopped_for_group(entry)
        elif was_asked:
            self._terminated(entry)
        elif isinstance(before, Running):
            self._went_down(entry, Down(how, before.since))
        else:
            self._start_failed(entry, before, how, path)

    def _went_down(self, entry: Entry, down: Down) -> None:
        entry.state = down
        self._ends.append((entry, down))

    def _start_failed(
        self, entry: Entry, state: Starting, exit: Exit, path: tuple[str, ...]
    ) -> None:
        if entry.is_new or state.by == "hand":
            error = StartError((entry.id, *path), exit.error or str(exit), exit.traceback)
            self._never_started(entry, error)
        elif state.by == "boot":
            self._boot_failed(StartFailure((entry.id, *path), exit))
        else:
            # The rest of its group stays planned: whoever is judged next takes it along.
            self._group = None
            self._went_down(entry, Down(exit, None))

    def _never_started(self, entry: Entry, error: StartError) -> None:
        """A start by hand has failed: of a child that never was up, nothing remains."""
        entry.waits.reset()
        if entry.is_new or self._is_forgotten(entry):
            self._forget(entry)
        else:
            self._runs.close(entry)
        self._runs.refuse(entry.starters, error)
        self._answer_stoppers(entry)

    def _boot_failed(self, failure: StartFailure) -> None:
        why = failure.exit
        error = f"child {'/'.join(failure.path)!r} did not start: {why.error or why}"
        self._begin_shutdown(Ended(Exit("error", error=error, traceback=why.traceback), failure))

    def _terminated(self, entry: Entry) -> None:
        """Its process was stopped by hand, and that is all it was stopped for."""
        if isinstance(entry.state, Delayed | Down):
            self._runs.cancel(entry)
            entry.state = IDLE
        entry.is_planned = False
        error = StartError((entry.id,), "it was terminated while it was starting")
        self._never_started(entry, error)

    def _stopped_for_group(self, entry: Entry) -> None:
        """Its process made way for a group restart: temporary children do not come back."""
        if entry.spec.restart == "temporary":
            entry.is_planned = False
            error = StartError((entry.id,), "it was stopped for a sibling's restart")
            self._never_started(entry, error)
        else:
            self._answer_stoppers(entry)

    def _answer_stoppers(self, entry: Entry) -> None:
        self._runs.reply(entry.stoppers, None)
        deferred, entry.deferred = entry.deferred, []
        for request in deferred:
            self._answer(request)

    def _is_forgotten(self, entry: Entry) -> bool:
        return entry.spec.restart == "temporary" or self.spec.is_dynamic

    def _forget(self, entry: Entry) -> None:
        self._children.remove(entry)
        self._runs.say(Close(entry.id, forgotten=True))

    # --- what goes on by itself ----------------------------------------------------------------

    def _step(self) -> bool:
        """Do the next thing that can be done; whether there was one."""
        if self.phase == "stopping":
            return self._step_shutdown()
        if self._group is not None and not self._group.is_waiting:
            return self._step_group(self._group)
        if self._ends and self.phase == "running":
            self._judge(*self._ends.popleft())
            return True
        return False

    def _judge(self, entry: Entry, down: Down) -> None:
        if entry.state is not down:
            self._adopt()
        elif down.since is None or is_restarted(entry.spec.restart, down.exit):
            self._restart(entry, down)
        else:
            self._end_for_good(entry)

    def _end_for_good(self, entry: Entry) -> None:
        entry.state = IDLE
        if self._is_forgotten(entry):
            self._forget(entry)
        else:
            self._runs.close(entry)
        if entry.spec.significant and self._is_shutdown_due():
            self._begin_shutdown(Ended(Exit("shutdown")))

    def _is_shutdown_due(self) -> bool:
        match self.spec.auto_shutdown:
            case "never":
                return False
            case "any_significant":
                return True
            case "all_significant":
                return not any(
                    entry.spec.significant
                    and entry.status != "stopped"
                    and not entry.is_being_terminated
                    for entry in self._children
                )
            case _:
                assert_never(self.spec.auto_shutdown)

    # --- restarts ------------------------------------------------------------------------------

    def _restart(self, entry: Entry, down: Down) -> None:
        if entry.spec.backoff is None and not self._intensity.admit(self._now):
            self._give_up(entry, down.exit)
            return
        entry.restarts += 1
        if self.spec.strategy == "one_for_one":
            self._restart_one(entry, down)
        else:
            self._restart_group(entry, down)

    def _restart_one(self, entry: Entry, down: Down) -> None:
        wait = self._wait(entry, down.since)
        self._runs.report("restarting", entry, down.exit, wait)
        if entry.spec.backoff is None:
            self._runs.spawn(entry, "restart")
        else:
            self._runs.delay(entry, wait)

    def _give_up(self, entry: Entry, last: Exit) -> None:
        error = f"gave up: child {entry.id!r} needed more than {self._intensity}; last exit: {last}"
        end = Exit("error", error=error, traceback=last.traceback)
        self._runs.report("gave_up", entry, end)
        self._begin_shutdown(Ended(end))

    def _wait(self, entry: Entry, since: float | None) -> float:
        if entry.spec.backoff is None:
            return 0.0
        up = None if since is None else self._now - since
        return entry.waits.next(entry.spec.backoff, up, self._random)

    # --- groups --------------------------------------------------------------------------------

    # A group waits for the longest of the waits of all its children with a backoff that this
    # restart takes down, the one that ended among them: a child with a backoff is never restarted
    # faster than its backoff says. Whether the restart counts is for the one that ended to say.

    def _restart_group(self, culprit: Entry, down: Down) -> None:
        scope = set(self._scope(culprit))
        entries = [entry for entry in self._children if entry in scope or entry.is_planned]
        delay = self._call_off_group()
        for entry in entries:
            delay = max(delay, self._enlist(entry))
        entries = [entry for entry in entries if entry.is_planned]
        self._group = Group.restart(entries, culprit, delay)
        self._runs.report("restarting", culprit, down.exit, delay)

    def _scope(self, culprit: Entry) -> list[Entry]:
        every = self.spec.strategy == "one_for_all"
        return list(self._children) if every else self._children.since(culprit)

    def _call_off_group(self) -> float:
        """Drop the group that waits, if one does; the seconds that it had still to wait."""
        group, self._group = self._group, None
        if group is None or group.timer is None:
            return 0.0
        self._runs.say(Cancel(group.timer))
        return max(0.0, group.until - self._now)

    def _enlist(self, entry: Entry) -> float:
        """Make a child part of the group that is to be restarted; the seconds that it waits."""
        wait = 0.0
        match entry.state:
            case Down(since=since):
                entry.state = IDLE
                if entry.spec.restart == "temporary":
                    self._forget(entry)
                    return 0.0
                wait = self._wait(entry, since)
            case Running(since=since):
                wait = self._wait(entry, since)
            case Idle():
                self._runs.open(entry)
            case _:
                pass
        entry.is_planned = True
        return wait

    def _adopt(self) -> None:
        """Start what a group restart has left behind, where the child that failed is gone."""
        entries = [entry for entry in self._children if entry.is_planned]
        if self._group is None and entries:
            self._group = Group("restart", deque(entries))

    def _step_group(self, group: Group) -> bool:
        if group.stage == "stopping":
            return self._step_group_stop(group)
        while group.to_start:
            entry = group.to_start[0]
            if entry.is_planned and not entry.is_live:
                self._spawn_planned(entry, group)
            if entry.is_live and not isinstance(entry.state, Running):
                return False
            group.to_start.popleft()
        return self._end_group(group)

    def _step_group_stop(self, group: Group) -> bool:
        if not self._stop_last(group.to_stop, "group"):
            return False
        if group.delay > 0:
            group.stage = "waiting"
            group.until = self._now + group.delay
            group.timer = Timer("restart", self._runs.number())
            self._runs.say(Schedule(group.timer, group.delay))
        else:
            group.stage = "starting"
        return True

    def _spawn_planned(self, entry: Entry, group: Group) -> None:
        if group.by == "restart" and entry is not group.culprit:
            entry.restarts += 1
            self._runs.report("restarting", entry)
        self._runs.spawn(entry, group.by)

    def _end_group(self, group: Group) -> bool:
        self._group = None
        if group.by == "boot":
            self.phase = "running"
            self._runs.say(Started())
        return True

    def _stop_last(self, entries: list[Entry], why: Literal["group", "shutdown"]) -> bool:
        """Stop these, the last one first, one after the other; whether all are gone."""
        while entries and not entries[-1].is_live:
            entries.pop()
        if entries and not isinstance(entries[-1].state, Stopping):
            self._runs.stop(entries[-1], why)
        return not entries

    # --- shutdown ------------------------------------------------------------------------------

    def _begin_shutdown(self, ended: Ended) -> None:
        # The first reason stays: a supervisor that has given up is not made orderly by a Shutdown
        # that comes while it is stopping its children.
        if self.phase in ("stopping", "ended"):
            return
        self.phase = "stopping"
        self._ended = ended
        self._call_off_group()
        self._ends.clear()
        for entry in self._children:
            self._call_off(entry)
        self._to_stop = list(self._children)
        if self.spec.is_dynamic:
            for entry in reversed(self._to_stop):
                self._runs.stop(entry, "shutdown")

    def _call_off(self, entry: Entry) -> None:
        """Whatever the child was about to become, it will not."""
        entry.is_planned = False
        if not entry.is_live:
            self._runs.cancel(entry)
            entry.state = IDLE
        self._runs.refuse(entry.starters, self._no_process())

    def _step_shutdown(self) -> bool:
        if self._stop_last(self._to_stop, "shutdown"):
            self.phase = "ended"
            self._runs.say(self._ended)
        return False

    def _no_process(self) -> NoProcess:
        how = "has ended" if self.phase == "ended" else "is shutting down"
        return NoProcess(f"supervisor {self.spec.id!r} {how}")

    # --- requests ------------------------------------------------------------------------------

    def _answer(self, event: Request) -> None:
        if self.phase == "ended":
            self._runs.say(Refuse(event.request, self._no_process()))
            return
        try:
            match event:
                case StartChild(request, spec):
                    self._start_child(request, spec)
                case TerminateChild(request, id):
                    self._terminate_child(request, self._children.get(id))
                case RestartChild():
                    self._restart_child(event, self._children.get(event.id))
                case DeleteChild():
                    self._delete_child(event, self._children.get(event.id))
                case _:
                    assert_never(event)
        except SupervisorError as error:
            self._runs.say(Refuse(event.request, error))

    def _start_child(self, request: Any, spec: ChildSpec) -> None:
        if self.phase == "stopping":
            raise self._no_process()
        checked = self.check_new(spec)
        if self.spec.is_dynamic and not spec.has_own_id:
            self._made_ids = self._next_number(_base_id(spec))
        entry = Entry(checked, is_new=True, starters=[request])
        self._children.add(entry)
        self._runs.spawn(entry, "hand")

    def _terminate_child(self, request: Any, entry: Entry) -> None:
        if not entry.is_live:
            if entry.status == "restarting":
                self._terminated(entry)
            self._runs.say(Reply(request, None))
            return
        entry.stoppers.append(request)
        # In a shutdown its turn comes, and the order is not to be upset.
        if self.phase != "stopping":
            entry.is_planned = False
            self._runs.stop(entry, "hand")

    def _restart_child(self, event: RestartChild, entry: Entry) -> None:
        if self.phase == "stopping":
            raise self._no_process()
        if entry.is_being_terminated:
            entry.deferred.append(event)
            return
        self._check_stopped(entry)
        entry.starters.append(event.request)
        self._runs.spawn(entry, "hand")

    def _delete_child(self, event: DeleteChild, entry: Entry) -> None:
        if entry.is_being_terminated:
            entry.deferred.append(event)
            return
        self._check_stopped(entry)
        self._forget(entry)
        self._runs.say(Reply(event.request, None))

    def _check_stopped(self, entry: Entry) -> None:
        if entry.status == "running":
            raise ChildRunning(entry.id)
        if entry.status == "restarting":
            raise ChildRestarting(entry.id)

    def _next_number(self, base: str) -> int:
        number = self._made_ids + 1
        while f"{base}-{number}" in self._children:
            number += 1
        return number


def _blamed(spec: ChildSpec, state: Starting | Running | Stopping, exit: Exit) -> Exit:
    """How it ended, told by what it was stopped for where that is what it died of."""
    if not isinstance(state, Stopping):
        return exit
    match state.why:
        case "late":
            error = f"it did not become ready within {spec.start_timeout} seconds"
            return replace(exit, reason="error", error=error)
        case "watchdog" | "max_rss":
            return replace(exit, reason=state.why)
        case "hand" | "group" | "shutdown":
            return exit
        case _:
            assert_never(state.why)


def _base_id(spec: ChildSpec) -> str:
    name = type(spec).__name__ if isinstance(spec, Supervisor) else str(spec.target.__name__)
    return name[:200]  # so that an id of 255 characters has room for the number


def _with_id(spec: ChildSpec, id: str) -> ChildSpec:
    # Not dataclasses.replace: the fields of a spec are not the arguments of its constructor.
    twin = copy.copy(spec)
    object.__setattr__(twin, "id", id)
    return twin
