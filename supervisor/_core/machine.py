"""Every transition of a supervisor is decided in here: events in, actions out, and no I/O.

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
While a group waits for a backoff the queue is served, and a further group restart takes the waiting
group along.

Requests (``requests``) never wait for any of this; only what they ask for may take its time. A
start by hand runs beside the boot and beside group restarts, and where a group restart overtakes
it, it is answered when the child is up, at whichever attempt.

The other modules hold data (``children``), rules (``restart``, ``intensity``, ``backoff``) and how
what was decided is done (``runs``, ``group``).
"""

from __future__ import annotations

import random as random_module
from collections import deque
from collections.abc import Callable
from typing import Literal, assert_never

from supervisor._core.children import (
    IDLE,
    Delayed,
    Down,
    Entry,
    Idle,
    Row,
    Running,
    Starting,
    Stopping,
)
from supervisor._core.group import Group, stop_last
from supervisor._core.messages import (
    Abort,
    Action,
    Boot,
    ChildExited,
    ChildReady,
    Condemn,
    DeleteChild,
    Ended,
    Event,
    RestartChild,
    Shutdown,
    StartChild,
    Started,
    StartFailure,
    TerminateChild,
    Timer,
    TimerFired,
)
from supervisor._core.requests import Phase, Requests
from supervisor._core.restart import blamed, is_restarted
from supervisor._errors import StartError
from supervisor._exit import Exit
from supervisor._supervisor import Supervisor

__all__ = ["Machine", "Phase", "Row"]


class Machine(Requests):
    """The decisions of one supervisor.

    Args:
        spec: its spec, with the children that it starts with.
        random: a number from 0 to 1, for the jitter of backoffs.

    """

    def __init__(
        self, spec: Supervisor, *, random: Callable[[], float] = random_module.random
    ) -> None:
        super().__init__(spec, random=random)
        self._now = 0.0
        self._group: Group | None = None
        self._ends: deque[tuple[Entry, Down]] = deque()
        self._to_stop: list[Entry] = []
        self._ended = Ended(Exit("shutdown"))

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
                self._condemn(token, reason)
            case Shutdown():
                self._begin_shutdown(Ended(Exit("shutdown")))
            case Abort(exit):
                self._begin_shutdown(Ended(exit))
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
        self._group = Group.start("boot", entries)

    def _ready(self, token: int) -> None:
        entry = self._runs.of(token)
        # One that is stopping already may say so too late: its fate is sealed.
        if entry is not None and isinstance(entry.state, Starting):
            self._runs.ready(entry, entry.state, self._now)

    def _condemn(self, token: int, reason: Literal["watchdog", "max_rss"]) -> None:
        entry = self._runs.of(token)
        if entry is not None and not isinstance(entry.state, Stopping):
            self._runs.stop(entry, reason)

    def _fired(self, timer: Timer) -> None:
        if self._group is not None and timer == self._group.timer:
            self._group.waited()
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

    # --- ends of processes ---------------------------------------------------------------------

    def _exited(self, token: int, exit: Exit, path: tuple[str, ...]) -> None:
        entry = self._runs.of(token)
        if entry is None or not isinstance(entry.state, Starting | Running | Stopping):
            return
        state = entry.state
        how = blamed(entry.spec, state, exit)
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

    def _stopped_for_group(self, entry: Entry) -> None:
        """It made way for a group restart: temporary children do not come back."""
        if entry.spec.restart == "temporary":
            entry.is_planned = False
            error = StartError((entry.id,), "it was stopped for a sibling's restart")
            self._not_started(entry, error)
        else:
            self._answer_stoppers(entry)

    def _went_down(self, entry: Entry, down: Down) -> None:
        entry.state = down
        self._ends.append((entry, down))

    def _start_failed(
        self, entry: Entry, state: Starting, exit: Exit, path: tuple[str, ...]
    ) -> None:
        if entry.is_new or state.by == "hand":
            error = StartError((entry.id, *path), exit.error or str(exit), exit.traceback)
            self._not_started(entry, error)
        elif state.by == "boot":
            self._boot_failed(StartFailure((entry.id, *path), exit))
        else:
            # The rest of its group stays planned: the next group restart, which is its own unless
            # an end that waits comes first, takes all that along.
            self._group = None
            self._went_down(entry, Down(exit, None))

    def _boot_failed(self, failure: StartFailure) -> None:
        why = failure.exit
        error = f"child {'/'.join(failure.path)!r} did not start: {why.error or why}"
        self._begin_shutdown(Ended(Exit("error", error=error, traceback=why.traceback), failure))

    # --- what goes on by itself ----------------------------------------------------------------

    def _step(self) -> bool:
        """Do the next thing that can be done; whether there may be more."""
        if self.phase == "stopping":
            self._step_shutdown()
            return False
        if self._group is not None and not self._group.is_waiting:
            return self._step_group(self._group)
        if self._ends and self.phase == "running":
            self._judge(*self._ends.popleft())
            return True
        return False

    def _step_group(self, group: Group) -> bool:
        if not group.step(self._runs, self._now):
            return group.is_waiting
        self._group = None
        if group.by == "boot":
            self.phase = "running"
            self._runs.say(Started())
        return True

    def _judge(self, entry: Entry, down: Down) -> None:
        if entry.state is not down:
            return  # a caller or a group restart was faster
        if down.since is None or is_restarted(entry.spec.restart, down.exit):
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

    def _give_up(self, entry: Entry, last: Exit) -> None:
        error = f"gave up: child {entry.id!r} needed more than {self._intensity}; last exit: {last}"
        end = Exit("error", error=error, traceback=last.traceback)
        self._runs.report("gave_up", entry, end)
        self._begin_shutdown(Ended(end))

    def _restart_one(self, entry: Entry, down: Down) -> None:
        wait = self._wait(entry, down.since)
        self._runs.report("restarting", entry, down.exit, wait)
        if entry.spec.backoff is None:
            self._runs.spawn(entry, "restart")
        else:
            self._runs.delay(entry, wait)

    def _wait(self, entry: Entry, since: float | None) -> float:
        if entry.spec.backoff is None:
            return 0.0
        up = None if since is None else self._now - since
        return entry.waits.next(entry.spec.backoff, up, self._random)

    # A group waits for the longest of the waits of all its children with a backoff that this
    # restart takes down, the one that ended among them: a child with a backoff is never restarted
    # faster than its backoff says. Whether the restart counts is for the one that ended to say.

    def _restart_group(self, culprit: Entry, down: Down) -> None:
        scope = self._scope(culprit)
        delay = self._call_off_group()
        for entry in scope:
            delay = max(delay, self._enlist(entry))
        members = [entry for entry in scope if entry.is_planned]
        self._group = Group.restart(members, culprit, delay)
        self._runs.report("restarting", culprit, down.exit, delay)

    def _scope(self, culprit: Entry) -> list[Entry]:
        """Who is restarted with it, and with them what an unfinished group has left behind."""
        if self.spec.strategy == "one_for_all":
            return list(self._children)
        group = set(self._children.since(culprit))
        return [entry for entry in self._children if entry in group or entry.is_left_behind]

    def _enlist(self, entry: Entry) -> float:
        """Make a child part of the group that is to be restarted; the seconds that it waits."""
        wait = 0.0
        match entry.state:
            case Down(since=since):
                entry.state = IDLE
                if entry.spec.restart == "temporary":
                    self._forget(entry)
                    return wait
                wait = self._wait(entry, since)
            case Running(since=since):
                wait = self._wait(entry, since)
            case Idle():
                self._runs.open(entry)
            case _:
                pass
        entry.is_planned = True
        return wait

    def _call_off_group(self) -> float:
        """Give up what is in hand; the seconds that it had still to wait."""
        group, self._group = self._group, None
        return 0.0 if group is None else group.call_off(self._runs, self._now)

    # --- shutdown ------------------------------------------------------------------------------

    def _begin_shutdown(self, ended: Ended) -> None:
        # The first reason stays: a supervisor that has given up is not made orderly by a Shutdown
        # that comes while it is stopping its children.
        if self.phase in ("stopping", "ended"):
            return
        self.phase = "stopping"
        self._ended = ended
        self._call_off_group()
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

    def _step_shutdown(self) -> None:
        if stop_last(self._runs, self._to_stop, "shutdown", lambda entry: entry.is_live):
            self.phase = "ended"
            self._runs.say(self._ended)
