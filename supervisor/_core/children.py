"""A supervisor's children: their order, and what is known of each. Data only, no decisions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

from supervisor._core.backoff import Waits
from supervisor._core.messages import DeleteChild, RestartChild, Status, Timer
from supervisor._errors import ChildNotFound
from supervisor._exit import Exit
from supervisor._supervisor import ChildSpec

__all__ = [
    "Children",
    "Delayed",
    "Down",
    "Entry",
    "Idle",
    "Row",
    "Running",
    "Starting",
    "State",
    "Stopping",
    "Why",
]

By = Literal["boot", "hand", "restart"]

# Why a process is stopped: ``hand`` (terminate_child), ``group`` (a sibling's restart),
# ``shutdown`` (the supervisor's own), ``late`` (its start_timeout), or what it was condemned for.
Why = Literal["hand", "group", "shutdown", "late", "watchdog", "max_rss"]


@dataclass(frozen=True, slots=True)
class Idle:
    """No process."""


@dataclass(frozen=True, slots=True)
class Down:
    """Ended by itself; what follows from that is decided in its turn.

    Attributes:
        exit: how it ended.
        since: when it had become ready; None if it never did.

    """

    exit: Exit
    since: float | None


@dataclass(frozen=True, slots=True)
class Delayed:
    """No process: its restart waits for its backoff."""


@dataclass(frozen=True, slots=True)
class Starting:
    """A process that is not ready yet.

    Attributes:
        by: who asked for it: the supervisor's boot, a caller, or a restart.

    """

    token: int
    by: By


@dataclass(frozen=True, slots=True)
class Running:
    """A process that is ready, since a time."""

    token: int
    since: float


@dataclass(frozen=True, slots=True)
class Stopping:
    """A process that was asked to stop, or killed.

    Attributes:
        before: what it was when it was asked.

    """

    token: int
    why: Why
    before: Starting | Running

    @property
    def was_asked(self) -> bool:
        """Whether its end is somebody's wish, and not its own failing."""
        return self.why in ("hand", "group", "shutdown")


State = Idle | Down | Delayed | Starting | Running | Stopping

IDLE = Idle()
DELAYED = Delayed()


@dataclass(slots=True, eq=False)
class Entry:
    """One child.

    Attributes:
        is_new: added by start_child, and not ready for the first time yet.
        is_open: Open was said last, not Close.
        is_planned: the boot or group restart in hand will start it.
        timer: the one that runs for it; there is never more than one.
        restarts: how often it was restarted automatically.
        starters: the requests to answer when it is ready.
        stoppers: the requests to answer when its process is gone.
        deferred: the requests to look at when its process is gone.

    """

    spec: ChildSpec
    is_new: bool = False
    is_open: bool = False
    is_planned: bool = False
    state: State = IDLE
    timer: Timer | None = None
    waits: Waits = field(default_factory=Waits)
    restarts: int = 0
    starters: list[Any] = field(default_factory=list)
    stoppers: list[Any] = field(default_factory=list)
    deferred: list[RestartChild | DeleteChild] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The child's id."""
        return self.spec.id

    @property
    def token(self) -> int | None:
        """The token of its process, if it has one, ready or not."""
        return None if isinstance(self.state, Idle | Down | Delayed) else self.state.token

    @property
    def is_live(self) -> bool:
        """Whether it has a process."""
        return self.token is not None

    @property
    def is_being_terminated(self) -> bool:
        """Whether its process is about to be gone because terminate_child was called."""
        return isinstance(self.state, Stopping) and self.state.why == "hand" and not self.is_planned

    @property
    def is_left_behind(self) -> bool:
        """Whether a group restart that came to nothing has left it to be started by the next."""
        return self.is_planned or (isinstance(self.state, Down) and self.state.since is None)

    @property
    def status(self) -> Status:
        """As users see it: on its way up, for the first time too, is ``restarting``."""
        match self.state:
            case Idle():
                return "restarting" if self.is_planned else "stopped"
            case Down() | Delayed() | Starting():
                return "restarting"
            case Running():
                return "running"
            case Stopping(before=before):
                was_up = isinstance(before, Running) and not self.is_planned
                return "running" if was_up else "restarting"
            case _:
                assert_never(self.state)


@dataclass(frozen=True, slots=True)
class Row:
    """One child, as the administrative requests show it.

    Attributes:
        token: of its process, ready or not; None if it has none.
        restarts: how often it was restarted automatically.

    """

    id: str
    spec: ChildSpec
    status: Status
    token: int | None
    restarts: int


class Children:
    """The children by id, in start order."""

    def __init__(self) -> None:
        # A dict keeps the order of insertion, and children are only ever added at the end.
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __contains__(self, id: str) -> bool:
        return id in self._entries

    def add(self, entry: Entry) -> None:
        """Add a child at the end of the start order."""
        self._entries[entry.id] = entry

    def remove(self, entry: Entry) -> None:
        """Forget a child."""
        del self._entries[entry.id]

    def get(self, id: str) -> Entry:
        """The child of that id.

        Raises:
            ChildNotFound: there is none.

        """
        try:
            return self._entries[id]
        except KeyError:
            raise ChildNotFound(id) from None

    def since(self, first: Entry) -> list[Entry]:
        """This child and those after it, in start order."""
        entries = list(self._entries.values())
        return entries[entries.index(first) :]


def row_of(entry: Entry) -> Row:
    """What the administrative requests show of a child."""
    return Row(entry.id, entry.spec, entry.status, entry.token, entry.restarts)
