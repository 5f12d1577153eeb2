"""The stores that the contracts are held against: one line for each.

A factory is given an empty folder, and returns a context manager whose value is an empty store, or
a client of one. A factory whose service is absent calls `pytest.skip`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeAlias

from ports import ArtifactStore, SessionStore
from stores import FileArtifactStore, InMemorySessionStore, SQLAlchemySessionStore
from tests.stores import postgresql

SessionStoreFactory: TypeAlias = Callable[[Path], AbstractContextManager[SessionStore]]
ArtifactStoreFactory: TypeAlias = Callable[[Path], AbstractContextManager[ArtifactStore]]

SESSION_STORES: dict[str, SessionStoreFactory] = {
    "memory": lambda _: InMemorySessionStore(),
    "sqlite": lambda folder: SQLAlchemySessionStore(
        f"sqlite:///{folder}/sessions.db", synchronous="NORMAL"
    ),
    "sqlite_memory": lambda _: SQLAlchemySessionStore("sqlite:///:memory:"),
    "postgresql": lambda _: postgresql.empty_store(),
}

ARTIFACT_STORES: dict[str, ArtifactStoreFactory] = {
    "file": lambda folder: FileArtifactStore(folder, fsync=False),
}
