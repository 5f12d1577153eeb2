"""What the decisions of a pool keep to (limits), and what they come to (actions). Data only."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor._pool.tasks import Ending, Outcome, Task, Worker

__all__ = [
    "Action",
    "Admit",
    "End",
    "GiveUp",
    "Limits",
    "Recall",
    "Refuse",
    "Settle",
    "Start",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a pool may.

    Attributes:
        size: how many workers it has, at least.
        max_size: how many it has at most.
        queue_size: how many tasks may wait; None is without bound.
        idle_timeout: seconds after which a worker beyond ``size`` that has nothing to do is ended.
        max_restarts: how many deaths of workers are borne within ``max_seconds``.
        max_crashes: how many of those that a task is to blame for do not count.
        max_seconds: the seconds that both speak of.
        max_tasks: after so many tasks a worker is replaced; None is without limit, or left to it.
        serves: whether the workers are servers: what one was given cannot be taken back, and it is
            not ended for the sake of one call.
    """

    size: int
    max_size: int
    queue_size: int | None = None
    idle_timeout: float = 30.0
    max_restarts: int = 100
    max_crashes: int = 1000
    max_seconds: float = 5.0
    max_tasks: int | None = None
    serves: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """Start a worker."""


@dataclass(frozen=True, slots=True)
class End:
    """End this worker: without delay, unless it is idle."""

    worker: Worker
    why: Ending


@dataclass(frozen=True, slots=True)
class Recall:
    """Take back what this worker has not begun, and say what that was (``recalled``)."""

    worker: Worker


@dataclass(frozen=True, slots=True)
class Admit:
    """There is room for this task now."""

    task: Task


@dataclass(frozen=True, slots=True)
class Refuse:
    """There is no room for this task, and its caller does not want to wait."""

    task: Task


@dataclass(frozen=True, slots=True)
class Settle:
    """This is what has become of the task."""

    task: Task
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The pool has to end, because of this."""

    error: str


Action = Start | End | Recall | Admit | Refuse | Settle | GiveUp
