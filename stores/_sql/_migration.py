"""Seeing to it that the tables are there, and are those of this version."""

from sqlalchemy.schema import CreateIndex, CreateTable

from ports import MigrationRequired, StorageError

from . import _schema as schema
from ._connections import Connections
from ._driver import Cursor, Database
from ._transaction import transaction


def check_schema(connections: Connections) -> None:
    """Make the tables where there are none; check their version where there are.

    Where everything is as it should be, this is one query.

    Raises:
        MigrationRequired: They are those of an older version.
        StorageError: They are those of a newer version, or the database fails.

    """
    versions = connections.write(lambda cursor: _made_or_found(connections, cursor))
    if versions == [schema.VERSION]:
        return
    shown = connections.database.shown
    details = {"database": shown, "found": max(versions, default=None), "needed": schema.VERSION}
    if versions and max(versions) > schema.VERSION:
        raise StorageError(
            f"the database {shown} was made by a newer version of this program: its schema has "
            f"version {max(versions)}, and this program knows {schema.VERSION}",
            details=details,
        )
    found = f"version {max(versions)}" if versions else "tables without a version"
    raise MigrationRequired(
        f"the database {shown} has to be migrated: found {found}, needed version {schema.VERSION}",
        details=details,
    )


def _made_or_found(connections: Connections, cursor: Cursor) -> list[int]:
    try:
        return _versions(connections.database, cursor)
    except connections.errors as error:
        if not connections.database.is_missing_table(error):
            raise
    return transaction(connections, cursor, lambda: _make(connections.database, cursor))


def _versions(database: Database, cursor: Cursor) -> list[int]:
    cursor.execute(database.statements.version)
    return [row[0] for row in cursor.fetchall()]


def _make(database: Database, cursor: Cursor) -> list[int]:
    database.lock_schema(cursor)
    # Someone else may have made them before the lock was ours.
    tables = database.tables(cursor)
    if schema.versions.name in tables:
        return _versions(database, cursor)
    if tables:
        return []
    dialect = database.url.get_dialect()()
    for table in schema.metadata.sorted_tables:
        cursor.execute(str(CreateTable(table).compile(dialect=dialect)))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            cursor.execute(str(CreateIndex(index).compile(dialect=dialect)))
    cursor.execute(f"INSERT INTO {schema.versions.name} (version) VALUES ({schema.VERSION})")  # noqa: S608 (constants)
    return [schema.VERSION]
