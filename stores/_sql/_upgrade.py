"""Bringing the tables of an older version up to date, by Alembic.

Everything happens in one transaction, at the beginning of which the schema is locked: of two
upgrades at the same time one waits, and then finds nothing left to do, and one that is interrupted
has done nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from ports import MigrationRequired, StorageError, StorageUnavailable, StoreError

from . import _schema as schema
from ._connections import Connections
from ._driver import Cursor, Database
from ._migration import (
    BEFORE_MIGRATIONS,
    OLD_VERSIONS,
    UNVERSIONED,
    make_tables,
    refuse,
    revision,
    set_revision,
)

__all__ = ["current", "run_migrations", "upgrade"]

# Where the revisions are.
_MIGRATIONS = os.path.join(os.path.dirname(__file__), "migrations")

# The revision that is the same as the tables from before there were migrations.
_FIRST = "0001"

# Seconds for which one upgrade of a SQLite database waits for another; PostgreSQL wakes who waits.
_PATIENCE = 600.0

_Result = TypeVar("_Result")


def current(database: Database) -> str | None:
    """Return the revision that a database has; None where it is empty.

    Raises:
        StorageUnavailable: The database does not answer.
        StorageError: It cannot be used.

    """
    connections = Connections(database)
    try:
        return connections.write(lambda cursor: revision(database, cursor))
    finally:
        connections.close()


def upgrade(database: Database) -> str | None:
    """Bring a database to the newest revision, and return the one that it had; None: it was empty.

    Raises:
        MigrationRequired: It has tables of ours that nothing says the version of.
        StorageUnavailable: It does not answer.
        StorageError: It has a newer revision than there is here, or cannot be used.

    """

    def work(connection: Connection, cursor: Cursor) -> str | None:
        found = revision(database, cursor)
        if found is None:
            make_tables(database, cursor)
        elif found == BEFORE_MIGRATIONS:
            _adopt(database, cursor)
            run_migrations(connection)
        elif found == UNVERSIONED or not found.isdecimal() or found > schema.REVISION:
            refuse(database, found)
        elif found != schema.REVISION:
            run_migrations(connection)
        return found

    return in_transaction(database, work)


def run_migrations(connection: Connection, to: str = "head") -> None:
    """Run the revisions that a database does not have yet, in the transaction of a connection."""
    config = Config()
    # Where `%` begins a reference to another option.
    config.set_main_option("script_location", _MIGRATIONS.replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def in_transaction(database: Database, work: Callable[[Connection, Cursor], _Result]) -> _Result:
    """Return what `work` returns, once what it did is committed; the schema is locked meanwhile.

    Args:
        database: The database.
        work: Is given a connection, for Alembic, and a cursor of the driver on the same one.

    """
    connections = Connections(database)
    engine = create_engine(database.url, creator=connections.connect, poolclass=NullPool)

    # The connections are those of stores, for which each statement stands alone unless a
    # transaction is begun in so many words.
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        cursor = _cursor(connection)
        _begin(database, connections, cursor)
        database.lock_schema(cursor)

    with _store_errors(database, connections), engine.begin() as connection:
        return work(connection, _cursor(connection))


def _begin(database: Database, connections: Connections, cursor: Cursor) -> None:
    """Begin a transaction, whoever else writes at the moment."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            cursor.execute(database.begin)
        except connections.errors as error:
            refused = database.store_error(error)
            if not isinstance(refused, StorageUnavailable) or time.monotonic() > deadline:
                raise
        else:
            return


def _cursor(connection: Connection) -> Any:
    driver: Any = connection.connection.dbapi_connection
    return driver.cursor()


def _adopt(database: Database, cursor: Cursor) -> None:
    """Have tables from before there were migrations keep their version where Alembic does."""
    dialect = database.url.get_dialect()()
    cursor.execute(str(CreateTable(schema.revisions).compile(dialect=dialect)))
    set_revision(cursor, _FIRST)
    cursor.execute(f"DROP TABLE {OLD_VERSIONS}")


@contextmanager
def _store_errors(database: Database, connections: Connections) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        # What SQLAlchemy has caught of the driver's; and below, what it has not.
        if not isinstance(error.orig, connections.errors):
            raise
        raise _failed(database, error.orig) from error.orig
    except connections.errors as error:
        raise _failed(database, error) from error


def _failed(database: Database, error: Exception) -> StoreError:
    failed = database.store_error(error)
    if not isinstance(failed, MigrationRequired):
        return failed
    # To an upgrade, a table or a column that is not there means something else than to a store.
    return StorageError(
        f"the upgrade of {database.shown} failed, and has changed nothing: {error}",
        details=failed.details,
    )
