"""The entry of an artifact in an index."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, Self

from ._record import Record
from ._validation import (
    check_count,
    check_id,
    check_map,
    check_moment,
    check_text,
    now,
    refuse,
)

__all__ = ["ArtifactRecord", "check_key"]

_SHA256_DIGITS = 64


@dataclass(frozen=True, kw_only=True)
class ArtifactRecord(Record):
    """What an index knows of an artifact; the data itself is in an `ArtifactStore`.

    It keeps a deep copy of `metadata`. The hash is that of the key.

    Args:
        key: Under which an artifact store keeps the data: any text that is not empty.
        session_id: The session that it belongs to, or None.
        run_id: The run that it belongs to, or None.
        content_type: What the data is, `"image/png"` for example, or None.
        size: In bytes, or None.
        sha256: Of the data, as 64 hexadecimal digits, or None. Kept in lower case.
        backend: Which store has the data, `"s3"` for example, or None.
        metadata: JSON data about the artifact.
        created_at: Now, if absent. Like every moment: aware, and kept in UTC.
        deleted_at: Set on an artifact that is to be left out of listings, else None.

    Raises:
        ValidationError: A field has a value that it cannot have.

    """

    _moments: ClassVar = ("created_at", "deleted_at")
    _required: ClassVar = ("key",)

    key: str
    session_id: str | None = None
    run_id: str | None = None
    content_type: str | None = None
    size: int | None = None
    sha256: str | None = None
    backend: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    created_at: datetime = field(default_factory=now)
    deleted_at: datetime | None = None

    def __post_init__(self) -> None:
        self._set("key", check_key(self.key, "ArtifactRecord.key"))
        for name in ("session_id", "run_id", "backend"):
            self._check(name, check_id)
        self._check("content_type", check_text)
        self._check("size", check_count)
        self._check("sha256", _check_digest)
        self._set("metadata", check_map(self.metadata, "ArtifactRecord.metadata"))
        self._set("created_at", check_moment(self.created_at, "ArtifactRecord.created_at"))
        self._check("deleted_at", check_moment)

    def __hash__(self) -> int:
        return hash(self.key)

    def mark_deleted(self) -> Self:
        """Return this entry, deleted now, or as it is if it was deleted before."""
        return self if self.deleted_at is not None else replace(self, deleted_at=now())

    def copy(self) -> Self:
        """Return an equal entry that shares no dict with this one."""
        return replace(self)

    def _check(self, name: str, check: Any) -> None:
        value = getattr(self, name)
        if value is not None:
            self._set(name, check(value, f"ArtifactRecord.{name}"))


def check_key(value: object, field: str) -> str:
    """Return `value`, any text that is not empty: NUL and lone surrogates are as good as others."""
    if not isinstance(value, str) or not value:
        refuse(field, value, "text, not empty")
    return str.__str__(value)


def _check_digest(value: object, field: str) -> str:
    text = value.lower() if isinstance(value, str) else ""
    if len(text) != _SHA256_DIGITS or not set(text) <= set("0123456789abcdef"):
        refuse(field, value, f"{_SHA256_DIGITS} hexadecimal digits")
    return text
