"""The stores that the contracts are held against: one line for each.

A factory is given an empty folder, and returns a context manager whose value is an empty store, or
a client of one. A factory whose service is absent calls `pytest.skip`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeAlias

from ports import ArtifactStore, SessionStore
from stores import InMemorySessionStore

SessionStoreFactory: TypeAlias = Callable[[Path], AbstractContextManager[SessionStore]]
ArtifactStoreFactory: TypeAlias = Callable[[Path], AbstractContextManager[ArtifactStore]]

SESSION_STORES: dict[str, SessionStoreFactory] = {
    "memory": lambda _: InMemorySessionStore(),
}

ARTIFACT_STORES: dict[str, ArtifactStoreFactory] = {}
