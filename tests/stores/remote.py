"""Stores that run as processes: the other ways to reach a store."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Self

from supervisor import Child, Supervisor, SupervisorRef, connect


class Tree:
    """Makes clients of a store that runs in a tree.

    A tree takes a third of a second to start, so one serves all tests of a module; between them
    what it keeps is removed.

    Args:
        port: of the store.
        children: the specs, given a folder for their data; the last one is what is called.
        keeper: the id of the child that has to be started anew for the store to be empty; none,
            where what it keeps is in files, which are emptied under it.
        emptied: the id of a child that has an operation `empty` for it.
        empty: empties what it keeps elsewhere.
    """

    def __init__(
        self,
        port: type,
        children: Callable[[Path], Sequence[Child]],
        keeper: str | None = None,
        emptied: str | None = None,
        empty: Callable[[], object] = lambda: None,
    ) -> None:
        self._port = port
        self._children = children
        self._keeper = keeper
        self._emptied = emptied
        self._empty_elsewhere = empty
        self._stack = ExitStack()
        self._fresh = True

    def __enter__(self) -> Self:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._data, self._run_dir = folder / "data", folder / "run"
        self._data.mkdir()
        self._specs = self._children(self._data)
        self._tree: SupervisorRef = self._stack.enter_context(
            Supervisor(self._specs).start(run_dir=self._run_dir)
        )
        # Connects, so that no test is found to have left this connection behind.
        self._tree.which_children()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def __call__(self, _: Path) -> Iterator[Any]:
        """A client of the store, which is empty."""
        if not self._fresh:
            self._empty()
        self._fresh = False
        name = self._specs[-1].name or ""
        with connect(name, self._port, run_dir=self._run_dir, timeout=30.0) as client:
            yield client

    def _empty(self) -> None:
        self._empty_elsewhere()
        if self._emptied is not None:
            self._tree.child(self._emptied).call("empty")
        if self._keeper is not None:
            self._tree.terminate_child(self._keeper)
            self._tree.restart_child(self._keeper)
        for file in self._data.rglob("*"):
            if file.suffix == ".db":
                _empty_database(file)
            elif file.is_file() and ".db-" not in file.name:
                file.unlink()


def _empty_database(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            if "version" not in table and not table.startswith("sqlite_"):
                database.execute(f'DELETE FROM "{table}"')
