"""The connections of a store: one that writes, and for reading as many as there are readers.

SQLAlchemy's dialects know how to connect by a URL, and that is what they are used for. Its pool and
its `Connection` are not: they would double the time of a small statement.
"""

import secrets
import threading
from collections import deque
from collections.abc import Callable
from functools import cache
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy import URL, Dialect

from ports import StorageError, StorageUnavailable, ValidationError

from ._driver import Connection, Cursor, Database

# Readers beyond this number wait for each other; it is what a server spares one of its clients.
_READERS = 16

# Where an attempt to connect has failed only after so many seconds, the next callers are told the
# same for as many seconds, instead of trying it one after the other while their callers give up.
_SLOW = 1.0

_Result = TypeVar("_Result")

# Connections of the process that this one was forked from; see `Connections.after_fork`.
_of_parent: list[Connection | None] = []


class Connections:
    """Connections to one database, thread-safe; one that is lost is replaced when next needed.

    Attributes:
        database: The database.
        errors: What the driver raises.
        origin: A name that no other object of this class has, in any process.

    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._dialect = _dialect(database)
        driver = self._dialect.loaded_dbapi
        self.errors: type[Exception] = driver.Error
        self._writer: Connection | None = None
        self._idle: deque[Connection] = deque()
        self._closed = False
        self._refusal: tuple[float, StorageUnavailable] | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._writing = threading.RLock()
        self._readers = threading.BoundedSemaphore(_READERS)
        self.origin = secrets.token_hex(8)

    def after_fork(self, *others: Connection | None) -> None:
        """Leave the connections to the parent process, in a child that was forked from it.

        A connection serves one process. Closing it here would tell the server that it is over, or
        take SQLite's log away from under the parent; so it is kept as it is, and never used again.

        Args:
            others: Connections that were made here and belong to others.

        """
        # Who held a lock was another thread, which does not exist here.
        self._begin_anew()
        if not self.database.single_connection:
            _of_parent.extend(self._idle)
            _of_parent.extend((self._writer, *others))
            self._idle, self._writer = deque(), None

    def write(self, work: Callable[[Cursor], _Result]) -> _Result:
        """Return what `work` returns, called with a cursor of the connection that writes.

        Nobody else writes through this object meanwhile. `work` has to leave no transaction open,
        and is called a second time, on a new connection, if the old one turns out to be lost:
        be it before, during or after what `work` did, which it has to find out by looking.

        Raises:
            StoreError: The database failed, in a store's terms.

        """
        with self._writing:
            return self._twice(self._borrow_writer, self._keep_writer, work)

    def read(self, work: Callable[[Cursor], _Result]) -> _Result:
        """Return what `work` returns, called with a cursor of a connection for reading.

        Otherwise like `write`.
        """
        if self.database.single_connection:
            return self.write(work)
        # Where nobody writes at the same moment, as in a server with one thread, one connection
        # will do: a second one would take time to open and read the same pages again.
        if not self._idle and self._writing.acquire(blocking=False):
            try:
                return self._twice(self._borrow_writer, self._keep_writer, work)
            finally:
                self._writing.release()
        return self.read_apart(work)

    def read_apart(self, work: Callable[[Cursor], _Result]) -> _Result:
        """Do what `read` does for work that may take long: beside those who write."""
        if self.database.single_connection:
            return self.write(work)
        with self._readers:
            return self._twice(self._borrow_reader, self._keep_reader, work)

    def close(self) -> None:
        """Close all connections; those in use are closed when they are given back."""
        with self._writing:
            self._closed = True
            if self._writer is not None:
                self._writer.close()
                self._writer = None
        self._close_idle()

    def _twice(
        self,
        borrow: Callable[[], Connection],
        keep: Callable[[Connection], None],
        work: Callable[[Cursor], _Result],
    ) -> _Result:
        try:
            return self._once(borrow, keep, work)
        except _Lost:
            # It may have been lost while nobody used it, and the others with it.
            self._close_idle()
        try:
            return self._once(borrow, keep, work)
        except _Lost as lost:
            raise self.database.store_error(lost.error) from lost.error

    def _once(
        self,
        borrow: Callable[[], Connection],
        keep: Callable[[Connection], None],
        work: Callable[[Cursor], _Result],
    ) -> _Result:
        connection = borrow()
        usable = False
        try:
            result = work(connection.cursor())
            usable = True
        except self.errors as error:
            usable = not self.database.is_lost(connection, error)
            if not usable:
                raise _Lost(error) from error
            raise self.database.store_error(error) from error
        finally:
            # Whatever else went wrong, an interrupt for example: nobody knows what state the
            # connection is in. The only one to a database in memory cannot be replaced.
            if usable or self.database.single_connection:
                keep(connection)
            else:
                connection.close()
        return result

    def _borrow_writer(self) -> Connection:
        self._check_open()
        connection, self._writer = self._writer, None
        return connection or self._connect_in_time()

    def _keep_writer(self, connection: Connection) -> None:
        self._writer = connection

    def _borrow_reader(self) -> Connection:
        self._check_open()
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect_in_time()

    def _keep_reader(self, connection: Connection) -> None:
        self._idle.append(connection)
        if self._closed:
            self._close_idle()

    def _close_idle(self) -> None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            connection.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError(f"the session store in {self.database.shown} is closed")

    def _connect_in_time(self) -> Connection:
        began = monotonic()
        if self._refusal is not None:
            until, refusal = self._refusal
            if began < until:
                raise StorageUnavailable(refusal.message, details=refusal.details)
            self._refusal = None
        try:
            return self.connect()
        except StorageUnavailable as error:
            now = monotonic()
            if now - began >= _SLOW:
                self._refusal = (now + _SLOW, error)
            raise

    def connect(self) -> Connection:
        """Return a new connection, which is the caller's own.

        Raises:
            StorageUnavailable: The database does not answer.
            StorageError: It cannot be used.
            ValidationError: The URL holds what cannot be used to connect.

        """
        database = self.database
        try:
            arguments, options = self._dialect.create_connect_args(database.url)
            options = database.connect_arguments(dict(options))
            connection: Any = self._dialect.connect(*arguments, **options)
        except self.errors as error:
            raise database.store_error(error) from error
        except (TypeError, ValueError) as error:
            raise ValidationError(
                f"the URL of {database.shown} holds what cannot be used to connect: {error}"
            ) from None
        try:
            self._dialect.set_isolation_level(connection, "AUTOCOMMIT")
            database.prepare(connection.cursor())
        except BaseException as error:
            connection.close()
            if isinstance(error, self.errors):
                raise database.store_error(error) from error
            raise
        return connection  # type: ignore[no-any-return]


class _Lost(Exception):
    """The connection is lost; what was asked of it may be asked of another one."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _dialect(database: Database) -> Dialect:
    try:
        return _dialect_of(database.url.drivername)
    except ImportError as error:
        raise StorageError(
            f"the driver for {database.shown} is not installed: {error}; "
            "pip install 'regrow[postgres]' installs it",
            details={"database": database.shown},
        ) from error


@cache
def _dialect_of(drivername: str) -> Dialect:
    kind: Any = URL.create(drivername).get_dialect()
    dialect: Dialect = kind(dbapi=kind.import_dbapi())
    return dialect


# With the module, for the processes that are forked from this one.
_dialect_of("sqlite+pysqlite")
