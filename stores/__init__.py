"""The stores behind the ports: in memory, in a database, in files, in S3, and composed of two."""

import typing as _typing

from stores._composite import CompositeSessionStore
from stores._file import FileArtifactStore
from stores._memory import InMemorySessionStore
from stores._sql import SQLAlchemySessionStore

if _typing.TYPE_CHECKING:
    from stores._s3 import S3ArtifactStore

__all__ = [
    "CompositeSessionStore",
    "FileArtifactStore",
    "InMemorySessionStore",
    "S3ArtifactStore",
    "SQLAlchemySessionStore",
]


def __getattr__(name: str) -> object:
    """Import the one that takes long, and needs what may not be installed, when it is asked for."""
    if name != "S3ArtifactStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stores._s3 import S3ArtifactStore  # noqa: PLC0415

    globals()[name] = S3ArtifactStore
    return S3ArtifactStore


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
