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
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv("REGROW_RUN_DIR", folder)
        with PoolExecutor(2) as executor:
            executor.submit(len, ()).result()
            yield executor


@pytest.fixture
def executor(run_dir: Path) -> Iterator[PoolExecutor]:
    """An executor of two workers."""
    with PoolExecutor(2) as made:
        yield made
