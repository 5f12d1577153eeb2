"""Tasks as a pool knows them: whose they are, what they may, what has become of them. Data only."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Literal

from supervisor._exit import Exit

__all__ = ["Crashed", "Done", "Ending", "Outcome", "Task", "TaskState", "TimedOut", "Worker"]

# parked: beyond the queue's bound; waiting: in the queue; delayed: until it is tried again; held: a
# worker has it; settled: its caller has been told, or wants to hear of it no more.
TaskState = Literal["parked", "waiting", "delayed", "held", "settled"]

# Why the pool ends a worker: its task took too long, or is not wanted any more; there are more
# workers than needed; it has done as many tasks as it may.
Ending = Literal["timeout", "cancelled", "idle", "spent"]


@dataclass(slots=True, eq=False)
class Task:
    """A task.

    Attributes:
        id: the pool's number for it.
        caller: whose it is.
        key: the caller's number for it.
        name: what people call it.
        payload: what the worker gets; nothing in the pool looks into it.
        priority: higher ones are first.
        retries: how many deaths of workers it survives.
        timeout: seconds that it may run; None is without limit.
        crashes: how many workers have died while they carried it out.
        unloaded: how many have died while they were still making it out of its bytes.
    """

    id: int
    caller: Hashable
    key: int
    name: str
    payload: Any
    priority: int = 0
    retries: int = 0
    timeout: float | None = None
    state: TaskState = "waiting"
    crashes: int = 0
    unloaded: int = 0
    worker: Worker | None = None


@dataclass(slots=True, eq=False)
class Worker:
    """A worker.

    Attributes:
        id: its id among the pool's children.
        held: the tasks that it was given and has not done, in their order: it is at the first one.
        since: when it began with that, or when it had nothing to do any more.
        pace: the seconds that its last tasks took, evened out; None before its first.
        is_loading: whether it is still making its task out of its bytes.
        is_drained: whether it has taken all that it was given: there is nothing to be taken back.
        done: how many tasks it has done.
        ending: why the pool is ending it, if it is.
    """

    id: str
    held: deque[Task] = field(default_factory=deque)
    since: float = 0.0
    pace: float | None = None
    is_ready: bool = False
    is_loading: bool = False
    is_drained: bool = False
    done: int = 0
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The worker has answered; what, is in the payload."""

    payload: Any


@dataclass(frozen=True, slots=True)
class Crashed:
    """The worker died during the task, once more than may be."""

    exit: Exit
    attempts: int


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The task took too long."""

    traceback: str | None = None


Outcome = Done | Crashed | TimedOut
