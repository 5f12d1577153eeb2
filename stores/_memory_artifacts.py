"""An index of artifacts in memory."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from ports import ArtifactRecord, Page
from ports._filters import ArtifactFilter
from ports._paging import Paging
from stores._memory_queries import numbered_page
from stores._queries import CheckedRegistry, no_artifact

__all__ = ["MemoryArtifacts"]


class MemoryArtifacts(CheckedRegistry):
    """The index that a store in memory keeps."""

    _lock: Lock
    _artifacts: dict[str, tuple[int, ArtifactRecord]]
    _registered: int
    _check_open: Callable[[], None]
    _own: Callable[[Any], Any]

    def _put_artifact(self, record: ArtifactRecord) -> None:
        kept = self._own(record)
        with self._lock:
            self._check_open()
            known = self._artifacts.get(kept.key)
            if known is None:
                self._registered += 1
            self._artifacts[kept.key] = (known[0] if known else self._registered, kept)

    def _artifact(self, key: str) -> ArtifactRecord:
        with self._lock:
            self._check_open()
            known = self._artifacts.get(key)
        if known is None:
            raise no_artifact(key)
        record: ArtifactRecord = self._own(known[1])
        return record

    def _page_of_artifacts(self, wanted: ArtifactFilter, paging: Paging) -> Page[ArtifactRecord]:
        with self._lock:
            self._check_open()
            records = list(self._artifacts.values())
        page = numbered_page((each for each in records if wanted.matches(each[1])), paging)
        return Page(
            items=[self._own(record) for record in page.items],
            cursor=page.cursor,
            total=page.total,
        )

    def _mark_artifact(self, key: str) -> None:
        with self._lock:
            self._check_open()
            known = self._artifacts.get(key)
            if known is not None:
                self._artifacts[key] = (known[0], known[1].mark_deleted())

    def _forget_artifact(self, key: str) -> None:
        with self._lock:
            self._check_open()
            self._artifacts.pop(key, None)
