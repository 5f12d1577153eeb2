"""SQLite: a database in a file, or in memory."""

import os
import sqlite3
from collections.abc import Collection
from typing import Any, ClassVar

from sqlalchemy import URL
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.dialects.sqlite.pysqlite import dialect as sqlite_dialect

from ports import (
    MigrationRequired,
    StorageError,
    StorageUnavailable,
    StoreError,
    ValidationError,
)

from ._driver import Connection, Cursor
from ._expressions import AGGREGATES, Expressions, SQLiteExpressions
from ._statements import Statements

SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")

# Made with the module, so that a process which is forked from one that has imported it compiles
# nothing; a database that is opened for the first time is the only one to need more.
_STATEMENTS = Statements(sqlite_dialect(paramstyle="qmark"), insert)

# Kilobytes of the database that a connection may hold in its memory, the negative sign saying that
# they are no pages. The indexes of a busy database do not fit into the 2 MB that are the default.
_CACHE = -16_384

# Bytes at the beginning of every SQLite file.
_HEADER = 100

_UNAVAILABLE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN}


class SQLite:
    """A SQLite database.

    Args:
        url: `sqlite:///relative/path`, `sqlite:////absolute/path` or `sqlite:///:memory:`.
        synchronous: When SQLite waits for the disk: `"FULL"` for every transaction.
        busy_timeout: Seconds to wait for others that write to the same file.

    """

    # IMMEDIATE takes the right to write before anything is read: what is read stays true.
    begin: ClassVar[str] = "BEGIN IMMEDIATE"
    listens: ClassVar[bool] = False
    statements: ClassVar[Statements] = _STATEMENTS
    expressions: ClassVar[Expressions] = SQLiteExpressions()

    def __init__(self, url: URL, *, synchronous: str, busy_timeout: float) -> None:
        if url.host or url.username or url.password:
            raise ValidationError(
                "a SQLite URL has a path and no host: sqlite:///relative/path, "
                "sqlite:////absolute/path or sqlite:///:memory:"
            )
        self._synchronous = synchronous
        self._busy_timeout = busy_timeout
        path = url.database or ":memory:"
        self.single_connection = path == ":memory:" or _is_memory_uri(url)
        self._path = None if self.single_connection or path.startswith("file:") else path
        if self._path is not None:
            # The folder that is the current one now, whatever it is when a connection is made.
            self._path = os.path.abspath(self._path)
            url = url.set(database=self._path)
            self._make_folder(os.path.dirname(self._path))
            self._check_size()
        self.url = url.set(drivername="sqlite+pysqlite")
        self.shown = self._path or path

    def connect_arguments(self, by_url: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of the driver's `connect`; `by_url` is what the URL asks for."""
        # The store sees to it that only one thread at a time uses a connection.
        return {"timeout": self._busy_timeout, **by_url, "check_same_thread": False}

    def prepare(self, cursor: Cursor) -> None:
        """Set a new connection up."""
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.fetchall()
        cursor.execute(f"PRAGMA synchronous = {self._synchronous}")
        cursor.execute(f"PRAGMA cache_size = {_CACHE}")
        for name, aggregate in AGGREGATES.items():
            cursor.connection.create_aggregate(name, 1, aggregate)  # type: ignore[attr-defined]
        self._check_writable()

    def lock_schema(self, cursor: Cursor) -> None:
        """Do nothing: one transaction writes at a time."""

    def last_sequence(self, cursor: Cursor, session_id: str) -> int:
        """Return the last number of a session; nobody else writes until the transaction ends."""
        cursor.execute(self.statements.get_sequence, (session_id,))
        rows = cursor.fetchall()
        return int(rows[0][0]) if rows else 0

    def tables(self, cursor: Cursor) -> set[str]:
        """Return the names of those tables that are ours."""
        cursor.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'regrow_*'"
        )
        return {str(row[0]) for row in cursor.fetchall()}

    def announce(self, cursor: Cursor, origin: str, session_ids: Collection[str]) -> None:
        """Do nothing: SQLite has no way to tell other processes."""

    def is_missing_table(self, error: Exception) -> bool:
        """Tell whether a statement failed because a table is not there."""
        return str(error).startswith("no such table")

    def is_conflict(self, error: Exception) -> bool:  # noqa: ARG002
        """Tell whether others are to blame: they cannot be, as one writes at a time."""
        return False

    def is_lost(self, connection: Connection, error: Exception) -> bool:  # noqa: ARG002
        """Tell whether the connection is of no use any more: after an error of the disk, maybe."""
        return _code(error) == sqlite3.SQLITE_IOERR

    def store_error(self, error: Exception) -> StoreError:
        """Say in a store's terms what a driver's error means."""
        details = {"database": self.shown, "reason": str(error)}
        name = getattr(error, "sqlite_errorname", None)
        if name is not None:
            details["sqlite_error"] = name
        if _code(error) in _UNAVAILABLE:
            return StorageUnavailable(f"cannot use {self.shown} now: {error}", details=details)
        if str(error).startswith(("no such table", "no such column", "table regrow_")):
            return MigrationRequired(
                f"the tables in {self.shown} are not those of this version: {error}",
                details=details,
            )
        return StorageError(f"the database {self.shown} failed: {error}", details=details)

    def _make_folder(self, folder: str) -> None:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"cannot make the folder of the database {self._path}: {error.strerror}",
                details={"database": self._path, "reason": str(error)},
            ) from error

    def _check_size(self) -> None:
        # SQLite takes what is shorter than its own header for an empty database, and overwrites it.
        if self._path and os.path.isfile(self._path) and 0 < os.path.getsize(self._path) < _HEADER:
            raise StorageError(
                f"the database {self._path} is none: it is too short",
                details={"database": self._path},
            )

    def _check_writable(self) -> None:
        # SQLite opens what it may only read, and would refuse the first write, hours later.
        for path in (self._path, self._path and os.path.dirname(self._path)):
            if path and not os.access(path, os.W_OK):
                raise StorageError(
                    f"the database {self._path} cannot be written: no permission to write {path}",
                    details={"database": self._path},
                )


def _code(error: Exception) -> int:
    """Return SQLite's error code, without the high bits that tell apart kinds of the same error."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_memory_uri(url: URL) -> bool:
    return url.query.get("mode") == "memory" or (url.database or "").startswith("file::memory:")


def _compile_all() -> None:
    """Make every statement that does not depend on what is asked for."""
    for name in dir(type(_STATEMENTS)):
        if not name.startswith("_"):
            getattr(_STATEMENTS, name)


_compile_all()
