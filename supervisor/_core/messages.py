"""What goes into a supervisor's state machine and what comes out of it.

Both are closed unions of frozen dataclasses. A *token* is one run of one child, given out by the
machine with Spawn and never used again, so that news of a process that is long gone cannot be taken
for news of its successor. Times are seconds on a monotonic clock; the machine is told the time with
every event and never asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from supervisor._errors import SupervisorError
from supervisor._exit import Exit
from supervisor._supervisor import ChildSpec

__all__ = [
    "Abort",
    "Action",
    "Boot",
    "Cancel",
    "ChildExited",
    "ChildReady",
    "Close",
    "Condemn",
    "DeleteChild",
    "Ended",
    "Event",
    "Kill",
    "Open",
    "Refuse",
    "Reply",
    "Report",
    "ReportKind",
    "Request",
    "RestartChild",
    "Schedule",
    "Shutdown",
    "Spawn",
    "StartChild",
    "StartFailure",
    "Started",
    "Status",
    "Terminate",
    "TerminateChild",
    "Timer",
    "TimerFired",
]

Status = Literal["running", "restarting", "stopped"]
ReportKind = Literal["start_failed", "child_ended", "restarting", "killed", "gave_up"]


@dataclass(frozen=True, slots=True)
class Timer:
    """What a timer is for, and so which one it is.

    Attributes:
        purpose: ``start`` (a child's start_timeout), ``stop`` (a child's shutdown time is over),
            ``restart`` (a backoff, of a child or of a group).
        token: the run of the child that it is about, or a number of the machine's own.

    """

    purpose: Literal["start", "stop", "restart"]
    token: int


# --- events ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Boot:
    """Start: the first event, once."""


@dataclass(frozen=True, slots=True)
class ChildReady:
    """The child has acknowledged its start."""

    token: int


@dataclass(frozen=True, slots=True)
class ChildExited:
    """The child's process is gone; before ChildReady, this is a start failure.

    Attributes:
        path: where a nested supervisor did not start, the ids below it down to the one to blame.

    """

    token: int
    exit: Exit
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that was scheduled, and not cancelled, is due."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Condemn:
    """The child broke a rule of its spec: it is to be stopped like any, and has ended for that."""

    token: int
    reason: Literal["watchdog", "max_rss"]


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The supervisor is asked to stop."""


@dataclass(frozen=True, slots=True)
class Abort:
    """What the supervisor is for cannot be done any more: it ends, for this reason."""

    exit: Exit


@dataclass(frozen=True, slots=True)
class StartChild:
    """``start_child``; answered with the child's id, once it is ready."""

    request: Any
    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class TerminateChild:
    """``terminate_child``; answered with None, once it is gone."""

    request: Any
    id: str


@dataclass(frozen=True, slots=True)
class RestartChild:
    """``restart_child``; answered with the child's id, once it is ready."""

    request: Any
    id: str


@dataclass(frozen=True, slots=True)
class DeleteChild:
    """``delete_child``; answered with None."""

    request: Any
    id: str


Request = StartChild | TerminateChild | RestartChild | DeleteChild
Event = Boot | ChildReady | ChildExited | TimerFired | Condemn | Shutdown | Abort | Request

# --- actions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Open:
    """The child can be called from now on: hold its address; calls wait until it is ready."""

    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class Close:
    """Nobody answers for the child any more.

    Attributes:
        forgotten: its spec is gone too, and its name is free again.

    """

    id: str
    forgotten: bool


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a process for the child."""

    token: int
    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class Terminate:
    """Ask the child to stop."""

    token: int


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL."""

    token: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """Send TimerFired(timer) after so many seconds."""

    timer: Timer
    seconds: float


@dataclass(frozen=True, slots=True)
class Cancel:
    """Forget the timer."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request."""

    request: Any
    value: Any


@dataclass(frozen=True, slots=True)
class Refuse:
    """The answer to a request that cannot be met."""

    request: Any
    error: SupervisorError


@dataclass(frozen=True, slots=True)
class Report:
    """Something that belongs into the log, as in OTP's SASL reports.

    Attributes:
        kind: ``start_failed``, ``child_ended`` (whatever the reason), ``restarting``, ``killed``
            (had to be), ``gave_up``.
        restarts: how often the child has been restarted automatically, so far.
        delay: for ``restarting``, the seconds until then.

    """

    kind: ReportKind
    id: str
    token: int | None = None
    exit: Exit | None = None
    restarts: int = 0
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Started:
    """Every child is ready: the supervisor is too."""


@dataclass(frozen=True, slots=True)
class StartFailure:
    """Why the supervisor did not start.

    Attributes:
        path: the ids from its child down to the one to blame.
        exit: how that one ended.

    """

    path: tuple[str, ...]
    exit: Exit


@dataclass(frozen=True, slots=True)
class Ended:
    """The last action: every child is gone, and so should the supervisor be.

    Attributes:
        failure: set where it ended before it had started, because a child did not.

    """

    exit: Exit
    failure: StartFailure | None = None


Action = (
    Open
    | Close
    | Spawn
    | Terminate
    | Kill
    | Schedule
    | Cancel
    | Reply
    | Refuse
    | Report
    | Started
    | Ended
)
