"""The port of an index of artifacts: what there is, whose it is, and where."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import ClassVar

from ._artifact_record import ArtifactRecord
from ._errors import StoreError
from ._idempotent import idempotent
from ._results import Page

__all__ = ["ArtifactRegistry"]


class ArtifactRegistry(ABC):
    """Knows which artifacts there are; the data itself is in an `ArtifactStore`.

    Nothing ties the two together but the key: whoever puts an artifact registers it, afterwards, so
    that whatever is registered is there.

    Every operation raises

    - `ValidationError` for an argument of the wrong type or with a value that is not allowed,
    - `StorageError` if the store, or what is behind it, fails or has been closed.
    """

    replies_with: ClassVar[tuple[type[BaseException], ...]] = (StoreError,)
    """The errors that are answers, and not bugs of the store."""

    @idempotent
    @abstractmethod
    def register_artifact(self, record: ArtifactRecord) -> None:
        """Store an entry, in place of the one with the same key if there is one."""

    @idempotent
    @abstractmethod
    def get_artifact(self, key: str) -> ArtifactRecord:
        """Return the entry with this key, even if its `deleted_at` is set.

        Raises:
            NotFound: There is none.

        """

    @idempotent
    @abstractmethod
    def list_artifacts(
        self,
        *,
        session_id: str | Collection[str] | None = None,
        run_id: str | Collection[str] | None = None,
        backend: str | Collection[str] | None = None,
        include_deleted: bool = False,
        order_by: str = "created_at_asc",
        limit: int | None = 50,
        cursor: str | None = None,
        with_total: bool = False,
    ) -> Page[ArtifactRecord]:
        """Return a page of entries; pages and cursors are those of `SessionQuery`.

        Args:
            session_id: Only those of this session, or of one of several.
            run_id: Only those of this run, or of one of several.
            backend: Only those in this store, or in one of several.
            include_deleted: Also those whose `deleted_at` is set.
            order_by: `created_at_asc` or `created_at_desc`; of those of the same moment, the first
                inserted comes first, or last.
            limit: At most so many; None for all, 0 for none.
            cursor: The cursor of the page before; None for the first page.
            with_total: Whether to count how many all pages have.

        Raises:
            InvalidCursor: The cursor belongs to another listing, or is none at all.

        """

    @idempotent
    @abstractmethod
    def mark_artifact_deleted(self, key: str) -> None:
        """Set the `deleted_at` of an entry to now, unless it is set; nothing if there is none."""

    @idempotent
    @abstractmethod
    def forget_artifact(self, key: str) -> None:
        """Remove an entry for good, if there is one."""
