"""Executors for tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor import PoolExecutor


@pytest.fixture(scope="module")
def shared() -> Iterator[PoolExecutor]:
    """An executor of two workers that the tests of a module share: they must leave it as it was."""
    with tempfile.TemporaryDirectory() as folder, PoolExecutor(2, run_dir=folder) as executor:
        executor.submit(len, ()).result()
        yield executor


@pytest.fixture
def executor(run_dir: Path) -> Iterator[PoolExecutor]:
    """An executor of two workers."""
    with PoolExecutor(2) as made:
        yield made
