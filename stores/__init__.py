"""The stores behind the ports: in memory, in a database, in files, in S3, and composed of two."""

from stores._composite import CompositeSessionStore
from stores._file import FileArtifactStore
from stores._memory import InMemorySessionStore
from stores._sql import SQLAlchemySessionStore

__all__ = [
    "CompositeSessionStore",
    "FileArtifactStore",
    "InMemorySessionStore",
    "SQLAlchemySessionStore",
]
