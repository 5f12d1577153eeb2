"""The port of maintenance: removing what is no longer to be kept, and looking for damage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from ._errors import StoreError
from ._idempotent import idempotent
from ._retention import MaintenanceReport, Problem, RetentionPolicy

__all__ = ["Maintenance"]


class Maintenance(ABC):
    """Keeps a session store from growing for ever, and says what is wrong with it.

    Nothing of it happens by itself: an application calls it, once a day for example. It may take
    longer than a client waits by default (`connect(..., timeout=None)`); others use the store
    meanwhile, and what a policy has removed by the time somebody stops waiting is removed.

    Numbers of events that were pruned are never given out again, and the store remembers which they
    are: what is missing otherwise is damage. An event that is appended anew after it was pruned is
    a new event.

    Every operation raises

    - `ValidationError` for an argument of the wrong type or with a value that is not allowed,
    - `StorageError` if the store, or what is behind it, fails or has been closed.
    """

    replies_with: ClassVar[tuple[type[BaseException], ...]] = (StoreError,)
    """The errors that are answers, and not bugs of the store."""

    @idempotent
    @abstractmethod
    def execute(self, policy: RetentionPolicy) -> MaintenanceReport:
        """Carry a policy out: delete sessions softly, then for good, then prune events.

        Artifacts stay, and so do their entries in an index.
        """

    @idempotent
    @abstractmethod
    def prune_session_events(self, session_id: str, policy: RetentionPolicy) -> int:
        """Remove the events that a session has too many; return how many they were.

        The session need not be stored itself. An exempt one keeps its events.
        """

    @idempotent
    @abstractmethod
    def health_check(self) -> list[Problem]:
        """Return what is wrong, by session; at most a thousand problems, `[]` if there are none."""
