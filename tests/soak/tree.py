"""The tree of the soak: nested supervisors, SQLite, files, and the composite in front of them."""

from __future__ import annotations

import time
from pathlib import Path

from stores import CompositeSessionStore, FileArtifactStore, SQLAlchemySessionStore
from supervisor import Child, Command, Supervisor

__all__ = ["artifacts_folder", "database_url", "make_tree"]

# As many restarts as there may be kills: the soak is about what survives, not about giving up.
_NO_LIMIT = 1_000_000


def database_url(folder: Path) -> str:
    """Where the sessions are kept."""
    return f"sqlite:///{folder / 'sessions.db'}"


def artifacts_folder(folder: Path) -> Path:
    """Where the artifacts are kept."""
    return folder / "artifacts"


def work() -> None:
    """A task, to be killed."""
    while True:
        time.sleep(3600)


def make_tree(folder: Path) -> Supervisor:
    """Supervisors three deep, each of which restarts one for one."""
    sessions = Child(SQLAlchemySessionStore, {"url": database_url(folder)}, name="sessions")
    artifacts = Child(FileArtifactStore, {"root": str(artifacts_folder(folder))}, name="artifacts")
    store = Child(
        CompositeSessionStore,
        {"session_store": "sessions", "artifact_store": "artifacts"},
        name="store",
    )
    # Of what these start, nothing may outlive them.
    program = Child(Command(["sh", "-c", "sleep 3600 & wait"]), id="program")
    databases = Supervisor(
        [sessions, Child(work, id="task")], id="databases", max_restarts=_NO_LIMIT
    )
    backends = Supervisor([databases, artifacts], id="backends", max_restarts=_NO_LIMIT)
    return Supervisor([backends, store, program], max_restarts=_NO_LIMIT)
