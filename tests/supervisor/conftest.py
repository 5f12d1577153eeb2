"""Trees for tests."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor import SupervisorRef


@pytest.fixture
def journal(tmp_path: Path) -> str:
    """A file that the processes of a tree write to."""
    return str(tmp_path / "journal")


def remove_killed_node(folder: Path) -> None:
    """Clean up after a node whose root was killed; the next of its name would do the same."""
    assert (folder / "node.json").exists()
    shutil.rmtree(folder)


@contextlib.contextmanager
def fresh(ref: SupervisorRef) -> Iterator[SupervisorRef]:
    """Another ref of the same supervisor: its connections end with the test that uses it."""
    twin = SupervisorRef(ref.target)
    yield twin
    twin._caller.close()


class Log:
    """What the processes of a tree have written to a file since the test began."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin = path.stat().st_size

    def has(self, *words: str) -> bool:
        with self._path.open("rb") as file:
            file.seek(self._begin)
            text = file.read().decode()
        return all(word in text for word in words)


@contextlib.contextmanager
def stderr_to(path: Path) -> Iterator[None]:
    """Let the processes that are started meanwhile write their standard error to a file."""
    kept = os.dup(2)
    try:
        with path.open("ab") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
