"""The tree of the demonstration: SQLite and files below a supervisor, the composite beside it."""

from __future__ import annotations

from pathlib import Path

from stores._composite import CompositeSessionStore
from stores._file import FileArtifactStore
from stores._sql import SQLAlchemySessionStore
from supervisor import Child, Supervisor

__all__ = ["make_tree"]


def make_tree(folder: Path, kills: int) -> Supervisor:
    """The tree.

    Each supervisor restarts one for one: the composite finds its backends by name whenever it
    connects, so the death of one process is no reason to restart another.

    Args:
        folder: where the stores keep what they are given.
        kills: how many deaths it is to bear.
    """
    backends = Supervisor(
        [
            Child(
                SQLAlchemySessionStore,
                {"url": f"sqlite:///{folder / 'sessions.db'}"},
                name="sessions",
            ),
            Child(FileArtifactStore, {"root": str(folder / "artifacts")}, name="artifacts"),
        ],
        strategy="one_for_one",
        max_restarts=kills,
        id="backends",
    )
    store = Child(
        CompositeSessionStore,
        {"session_store": "sessions", "artifact_store": "artifacts"},
        name="store",
    )
    return Supervisor([backends, store], strategy="one_for_one", max_restarts=kills)
