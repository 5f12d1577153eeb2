"""Executors for tests."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor import PoolExecutor, SupervisorRef


@pytest.fixture(scope="module")
def shared(module_run_dir: None) -> Iterator[PoolExecutor]:
    """An executor of two workers that the tests of a module share: they must leave it as it was."""
    with PoolExecutor(2) as executor:
        executor.submit(len, ()).result()
        yield executor


@pytest.fixture(scope="module")
def module_run_dir() -> Iterator[None]:
    """A run directory for a tree that the tests of a module share."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv("REGROW_RUN_DIR", folder)
        yield


@contextlib.contextmanager
def twin(ref: SupervisorRef) -> Iterator[SupervisorRef]:
    """Another ref of the same supervisor: its connections end with the test that uses it."""
    made = SupervisorRef(ref.target)
    yield made
    made._caller.close()


@pytest.fixture
def executor(run_dir: Path) -> Iterator[PoolExecutor]:
    """An executor of two workers."""
    with PoolExecutor(2) as made:
        yield made
