"""Trees that are measured: each on a node of its own, in a folder that goes when it ends."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from stores import (
    CompositeSessionStore,
    FileArtifactStore,
    InMemorySessionStore,
    SQLAlchemySessionStore,
)
from supervisor import Child, Supervisor, SupervisorRef, connect

__all__ = ["client_of", "composite_of", "in_files", "in_memory", "in_sqlite", "running"]

I = TypeVar("I")  # noqa: E741  the interface

_nodes = itertools.count(1)


@contextlib.contextmanager
def running(children: Sequence[Child], scratch: Path) -> Iterator[SupervisorRef]:
    """A tree of these children, until the block is left; it restarts them as often as it takes."""
    tree = Supervisor(children, max_restarts=1_000_000, max_seconds=1.0)
    node = f"bench-{os.getpid()}-{next(_nodes)}"
    with _logged_to(scratch / "tree.log"):
        ref = tree.start(node, run_dir=scratch / "run")
    with ref:
        yield ref


@contextlib.contextmanager
def _logged_to(path: Path) -> Iterator[None]:
    """Give what is started meanwhile a file for its standard error: each kill is a line there."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with path.open("ab") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def client_of(name: str, interface: Callable[..., I]) -> Iterator[I]:
    """A client of a process of the tree that runs, until the block is left."""
    client: Any = connect(name, interface)
    with client:
        yield client


def in_memory(name: str = "sessions") -> Child:
    """A session store in memory."""
    return Child(InMemorySessionStore, name=name)


def in_sqlite(scratch: Path, name: str = "sqlite") -> Child:
    """A session store in a SQLite file, which waits for the disk at every transaction."""
    url = f"sqlite:///{scratch / (name + '.db')}"
    return Child(SQLAlchemySessionStore, {"url": url, "synchronous": "FULL"}, name=name)


def in_files(scratch: Path, name: str = "artifacts") -> Child:
    """An artifact store in files."""
    return Child(FileArtifactStore, {"root": str(scratch / name)}, name=name)


def composite_of(sessions: str, artifacts: str, name: str = "store") -> Child:
    """The composite of two stores that run."""
    backends = {"session_store": sessions, "artifact_store": artifacts}
    return Child(CompositeSessionStore, backends, name=name)
