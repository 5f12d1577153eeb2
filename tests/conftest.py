"""Nothing outlives a test: no process, no descriptor, no thread, no socket."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.testing.fixtures import no_leaks
from tests.support import adopt_orphans

__all__ = ["no_leaks"]

adopt_orphans()

# Where nodes are that are given no other place: each test process has its own, for a test would
# find the sockets of others' nodes there, which run at the same time.
_run_dir = tempfile.mkdtemp(prefix="regrow-tests-")


def pytest_configure() -> None:
    """Begin, maybe as one of several processes."""
    os.environ["REGROW_RUN_DIR"] = _run_dir


def pytest_unconfigure() -> None:
    """End."""
    shutil.rmtree(_run_dir)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what shares a tree or a store, where tests run side by side."""
    for item in items:
        group = item.nodeid.partition("::")[0]
        parameters = getattr(item, "callspec", None)
        if parameters is not None and "factory" in parameters.params:
            group += f"[{parameters.id.partition('-')[0]}]"
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run directory of the test's own, also ``$REGROW_RUN_DIR``."""
    folder = tmp_path / "run"
    monkeypatch.setenv("REGROW_RUN_DIR", str(folder))
    yield folder
    left = [path for path in folder.rglob("*") if path.is_socket()]
    assert not left, f"sockets are left: {left}"


@pytest.fixture(scope="module")
def module_run_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run directory for a tree that the tests of a module share."""
    folder = tmp_path_factory.mktemp("shared") / "run"
    before = os.environ.get("REGROW_RUN_DIR")
    os.environ["REGROW_RUN_DIR"] = str(folder)
    yield folder
    if before is None:
        del os.environ["REGROW_RUN_DIR"]
    else:
        os.environ["REGROW_RUN_DIR"] = before
    assert not [path for path in folder.rglob("*") if path.is_socket()], "sockets are left"


@pytest.fixture(autouse=True)
def _no_leaks(no_leaks: None) -> None:
    """Every test is held to it."""
