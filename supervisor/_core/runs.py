"""The runs of children: tokens, timers and the actions that begin and end a run.

What is in here says how something is done (a stop is Terminate, and Kill after a time); that it is
done is decided in ``machine``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from supervisor._core.children import DELAYED, IDLE, By, Entry, Running, Starting, Stopping, Why
from supervisor._core.messages import (
    Action,
    Cancel,
    Close,
    Kill,
    Open,
    Refuse,
    Reply,
    Report,
    ReportKind,
    Schedule,
    Spawn,
    Terminate,
    Timer,
)
from supervisor._errors import SupervisorError
from supervisor._exit import Exit
from supervisor._spec import Shutdown

__all__ = ["Runs"]

# A condemned child has been found hanging or eating up the memory: one that may take as long as it
# likes to stop gets these seconds all the same.
CONDEMNED_SHUTDOWN = 5.0


class Runs:
    """Writes down actions, and keeps which token and which timer belongs to which child."""

    def __init__(self) -> None:
        self._actions: list[Action] = []
        self._by_token: dict[int, Entry] = {}
        self._by_timer: dict[Timer, Entry] = {}
        self._number = 0

    def take(self) -> list[Action]:
        """The actions since the last time."""
        actions, self._actions = self._actions, []
        return actions

    def say(self, action: Action) -> None:
        """Write an action down."""
        self._actions.append(action)

    def number(self) -> int:
        """A number that was not given out before."""
        self._number += 1
        return self._number

    # --- requests ------------------------------------------------------------------------------

    def reply(self, requests: list[Any], value: object) -> None:
        """Answer these requests, and empty the list."""
        self._actions += [Reply(request, value) for request in requests]
        requests.clear()

    def refuse(self, requests: list[Any], error: SupervisorError) -> None:
        """Refuse these requests, and empty the list."""
        self._actions += [Refuse(request, error) for request in requests]
        requests.clear()

    # --- addresses and the log -----------------------------------------------------------------

    def open(self, entry: Entry) -> None:
        """Callers of the child wait for it from now on."""
        if not entry.is_open:
            entry.is_open = True
            self.say(Open(entry.spec))

    def close(self, entry: Entry) -> None:
        """Callers of the child are told that nobody is there."""
        if entry.is_open:
            entry.is_open = False
            self.say(Close(entry.id, forgotten=False))

    def report(
        self, kind: ReportKind, entry: Entry, exit: Exit | None = None, delay: float = 0.0
    ) -> None:
        """Write into the log."""
        self.say(Report(kind, entry.id, entry.token, exit, entry.restarts, delay))

    # --- timers --------------------------------------------------------------------------------

    def schedule(self, entry: Entry, timer: Timer, seconds: float) -> None:
        """Start the child's timer."""
        entry.timer = timer
        self._by_timer[timer] = entry
        self.say(Schedule(timer, seconds))

    def cancel(self, entry: Entry) -> None:
        """Cancel the child's timer, if one runs."""
        if entry.timer is not None:
            self.say(Cancel(entry.timer))
            del self._by_timer[entry.timer]
            entry.timer = None

    def expire(self, timer: Timer) -> Entry | None:
        """The child whose timer this is; None if it was cancelled meanwhile."""
        entry = self._by_timer.pop(timer, None)
        if entry is not None:
            entry.timer = None
        return entry

    # --- processes -----------------------------------------------------------------------------

    def of(self, token: int) -> Entry | None:
        """The child that this is the process of; None if that is gone."""
        return self._by_token.get(token)

    def spawn(self, entry: Entry, by: By) -> None:
        """Start a process for the child."""
        token = self.number()
        self._by_token[token] = entry
        entry.is_planned = False
        entry.state = Starting(token, by)
        self.open(entry)
        self.say(Spawn(token, entry.spec))
        if entry.spec.start_timeout is not None:
            self.schedule(entry, Timer("start", token), entry.spec.start_timeout)

    def ready(self, entry: Entry, state: Starting, now: float) -> None:
        """The child's process is ready."""
        self.cancel(entry)
        entry.state = Running(state.token, now)
        entry.is_new = False
        self.reply(entry.starters, entry.id)

    def gone(self, entry: Entry, token: int) -> None:
        """The child's process has ended."""
        self.cancel(entry)
        del self._by_token[token]
        entry.state = IDLE

    def delay(self, entry: Entry, seconds: float) -> None:
        """Let the child's restart wait."""
        entry.state = DELAYED
        self.schedule(entry, Timer("restart", self.number()), seconds)

    def stop(self, entry: Entry, why: Why) -> None:
        """Stop the child's process by the rule of its spec; one that is stopping just goes on."""
        match entry.state:
            case Starting(token) | Running(token):
                self.cancel(entry)
                limit = _limit(entry.spec.shutdown, why)
                entry.state = Stopping(token, why, entry.state)
                self._ask(entry, token, limit)
            case Stopping():
                entry.state = replace(entry.state, why=why)
            case _:
                pass

    def _ask(self, entry: Entry, token: int, limit: Shutdown) -> None:
        if limit == "brutal_kill":
            self.say(Kill(token))
            return
        self.say(Terminate(token))
        if limit is not None:
            self.schedule(entry, Timer("stop", token), limit)

    def kill(self, entry: Entry) -> None:
        """Kill the child's process, which has not done in time what it had to."""
        if entry.token is not None:
            self.say(Kill(entry.token))
            self.report("killed", entry)

    def give_up_start(self, entry: Entry, state: Starting) -> None:
        """Kill the child's process, which has not become ready in time."""
        self.kill(entry)
        entry.state = Stopping(state.token, "late", state)

    @property
    def is_any_live(self) -> bool:
        """Whether any child has a process."""
        return bool(self._by_token)


def _limit(shutdown: Shutdown, why: Why) -> Shutdown:
    return CONDEMNED_SHUTDOWN if shutdown is None and why in ("watchdog", "max_rss") else shutdown
