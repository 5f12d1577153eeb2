"""Seeing to it that the tables are there, and are those of this version.

This is what every store does when it opens a database, so it is quick: one query, and no Alembic,
whose import takes longer than the restart of a store may. Bringing old tables up to date is left to
`_upgrade`, which the command `regrow db upgrade` calls. An empty database gets the newest tables at
once, without the detour through all the revisions there have been.
"""

import shlex
from typing import NoReturn

from sqlalchemy.schema import CreateIndex, CreateTable

from ports import MigrationRequired, StorageError

from . import _schema as schema
from ._connections import Connections
from ._driver import Cursor, Database
from ._transaction import transaction

URL_VARIABLE = "REGROW_DATABASE_URL"
"""The variable of the environment that holds the database's URL, for `regrow db`."""

BEFORE_MIGRATIONS = "0000"
"""Stands for the tables of the first version, which kept their version in a table of its own."""

OLD_VERSIONS = "regrow_schema_version"
"""That table."""

UNVERSIONED = ""
"""Stands for tables of ours that nothing says the version of."""


def check_schema(connections: Connections) -> None:
    """Make the tables where there are none; check their version where there are.

    Raises:
        MigrationRequired: They are those of an older version.
        StorageError: They are those of a newer version, or the database fails.

    """
    found = connections.write(lambda cursor: _made_or_found(connections, cursor))
    if found != schema.REVISION:
        refuse(connections.database, found)


def revision(database: Database, cursor: Cursor) -> str | None:
    """Return the revision that a database has; None where it is empty.

    To be called in a transaction that `Database.lock_schema` was called in, or by who only looks.
    """
    tables = database.tables(cursor)
    if schema.revisions.name in tables:
        return _revision(database, cursor)
    if OLD_VERSIONS in tables:
        # The only version there was of them.
        cursor.execute(f"SELECT version FROM {OLD_VERSIONS}")  # noqa: S608 (a constant)
        return BEFORE_MIGRATIONS if cursor.fetchall() == [(1,)] else UNVERSIONED
    return UNVERSIONED if tables else None


def make_tables(database: Database, cursor: Cursor) -> None:
    """Make all tables, as they are in this version, in a database that has none of them."""
    dialect = database.url.get_dialect()()
    for table in schema.metadata.sorted_tables:
        cursor.execute(str(CreateTable(table).compile(dialect=dialect)))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            cursor.execute(str(CreateIndex(index).compile(dialect=dialect)))
    set_revision(cursor, schema.REVISION)


def set_revision(cursor: Cursor, number: str) -> None:
    """Write down the revision of a database that has none yet."""
    cursor.execute(f"INSERT INTO {schema.revisions.name} (version_num) VALUES ('{number}')")  # noqa: S608 (constants)


def shown_revision(found: str | None) -> str:
    """Return a revision in words."""
    if found is None:
        return "no tables"
    if found == UNVERSIONED:
        return "tables without a version"
    if found == BEFORE_MIGRATIONS:
        return "the tables of a version from before there were migrations"
    return f"version {found}"


def refuse(database: Database, found: str) -> NoReturn:
    """Say what has to be done about a revision that is not this version's."""
    details: dict[str, object] = {
        "database": database.shown,
        "found": found or None,
        "needed": schema.REVISION,
    }
    if found == UNVERSIONED:
        raise MigrationRequired(
            f"the database {database.shown} cannot be used: found {shown_revision(found)}, needed "
            f"version {schema.REVISION}; what it was made by is unknown, so no migration leads "
            "from there: restore the table that holds the version, or use another database",
            details=details,
        )
    if not (found.isdecimal() and found < schema.REVISION):
        raise StorageError(
            f"the database {database.shown} was made by a newer version of this program: its "
            f"schema has version {found}, and this program knows {schema.REVISION}",
            details=details,
        )
    command, more = _upgrade_command(database)
    raise MigrationRequired(
        f"the database {database.shown} has to be migrated: found {shown_revision(found)}, needed "
        f"version {schema.REVISION}; run `{command}`{more}",
        details={**details, "command": command},
    )


def _upgrade_command(database: Database) -> tuple[str, str]:
    url = database.url.set(drivername=database.url.get_backend_name())
    if url.password is None and not url.query:
        return f"regrow db upgrade {shlex.quote(str(url))}", ""
    # Neither is it shown here, nor should it be seen among the arguments of a process.
    return "regrow db upgrade", f" with the URL in ${URL_VARIABLE}, which keeps its password unseen"


def _made_or_found(connections: Connections, cursor: Cursor) -> str:
    try:
        return _revision(connections.database, cursor)
    except connections.errors as error:
        if not connections.database.is_missing_table(error):
            raise
    return transaction(connections, cursor, lambda: _make(connections.database, cursor))


def _revision(database: Database, cursor: Cursor) -> str:
    cursor.execute(database.statements.revision)
    return max((str(row[0]) for row in cursor.fetchall()), default=UNVERSIONED)


def _make(database: Database, cursor: Cursor) -> str:
    database.lock_schema(cursor)
    # Someone else may have made them before the lock was ours.
    found = revision(database, cursor)
    if found is None:
        make_tables(database, cursor)
        return schema.REVISION
    return found
