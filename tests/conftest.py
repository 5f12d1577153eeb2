"""Nothing outlives a test: no process, no descriptor, no thread, no socket."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import Proc, adopt_orphans, descendants, eventually, open_descriptors

adopt_orphans()


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


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    shared = descendants()
    descriptors, threads = open_descriptors(), set(threading.enumerate())
    yield
    _expect_none(lambda: _new_processes(shared), "processes")
    _expect_none(lambda: set(threading.enumerate()) - threads, "threads")
    if _new_descriptors(descriptors):
        gc.collect()
    _expect_none(lambda: _new_descriptors(descriptors), "descriptors")


def _expect_none(left: Callable[[], object], what: str) -> None:
    try:
        eventually(lambda: not left(), within=5.0)
    except AssertionError:
        raise AssertionError(f"{what} outlive the test: {_described(left())}") from None


def _new_processes(shared: set[Proc]) -> set[Proc]:
    """Those that belong neither to a tree that several tests share, nor to another fixture."""
    left = descendants(zombies=True) - shared
    if left and shared:
        left -= descendants(*(owner.pid for owner in shared), zombies=True)
    for process in left:
        # An orphan of a test's, which this process has adopted.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)
    return {process for process in left if process.is_alive}


def _new_descriptors(before: dict[int, str]) -> dict[int, str]:
    return {number: what for number, what in open_descriptors().items() if number not in before}


def _described(left: object) -> str:
    if isinstance(left, set):
        return ", ".join(
            f"{item} {item.command_line}" if isinstance(item, Proc) else repr(item) for item in left
        )
    return repr(left)
