"""PostgreSQL, by psycopg 3, which is imported when the first store asks for it."""

from collections.abc import Collection
from functools import cache
from typing import Any, ClassVar

from sqlalchemy import URL, make_url

from ports import MigrationRequired, StorageError, StorageUnavailable, StoreError

from ._driver import Connection, Cursor
from ._expressions import Expressions, PostgreSQLExpressions
from ._listening import announce
from ._statements import Statements

# SQLSTATEs, and the classes that their first two characters are.
_CONNECTION = ("08", "28", "57P", "53300", "25006", "25P03")
_TIMED_OUT = ("55P03", "57014")
_UNREACHED = ("OperationalError", "InterfaceError", "ConnectionTimeout")
_CONFLICTS = frozenset({"40001", "40P01"})
_OTHER_TABLES = frozenset({"42P01", "42703"})

# Any number that others are unlikely to lock by: "regrow", as bytes.
_SCHEMA_LOCK = int.from_bytes(b"regrow")

# Of a standby, which the server may have become while we were connected.
_READ_ONLY = "25006"

# How long a transaction may be silent.
_SILENCE = "10s"

# How long to wait for a network that does not say that it is gone, in seconds, and milliseconds for
# the last one. Callers wait 5 seconds by default, and are to be told why it was in vain.
_IN_TIME = {
    "connect_timeout": 4,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class PostgreSQL:
    """A PostgreSQL database.

    Args:
        url: `postgresql://user:password@host:port/database`.

    """

    begin: ClassVar[str] = "BEGIN"
    listens: ClassVar[bool] = True
    single_connection: ClassVar[bool] = False
    expressions: ClassVar[Expressions] = PostgreSQLExpressions()

    def __init__(self, url: URL) -> None:
        self.url = url.set(drivername="postgresql+psycopg")
        # Parameters are left out: some of them are secrets, too.
        self.shown = url.set(query={}).render_as_string(hide_password=True)

    @property
    def statements(self) -> Statements:
        """The statements in its dialect."""
        return _statements()

    def connect_arguments(self, by_url: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of the driver's `connect`; `by_url` is what the URL asks for."""
        return {**_IN_TIME, **by_url, "client_encoding": "utf8"}

    def prepare(self, cursor: Cursor) -> None:
        """Set a new connection up.

        What is acknowledged is on the disk, whatever the default is. And a transaction whose client
        is silent is given up soon: he may be cut off, and would keep his sessions locked for hours.
        """
        cursor.execute(
            "SELECT set_config(name, value, false) FROM (VALUES "
            "('synchronous_commit', 'off', 'on'), "
            "('idle_in_transaction_session_timeout', '0', %s)) AS wanted "
            "(name, unwanted, value) WHERE current_setting(name) = unwanted",
            (_SILENCE,),
        )

    def lock_schema(self, cursor: Cursor) -> None:
        """Keep others from making the tables, until the transaction ends."""
        cursor.execute(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")

    def last_sequence(self, cursor: Cursor, session_id: str) -> int:
        """Return the last number of a session, and lock it until the transaction ends."""
        cursor.execute(self.statements.lock_sequence.sql, (session_id,))
        return int(cursor.fetchall()[0][0])

    def tables(self, cursor: Cursor) -> set[str]:
        """Return the names of those tables that are ours, in any schema that is searched."""
        cursor.execute(
            "SELECT relname FROM pg_class "
            "WHERE relkind = 'r' AND relname LIKE 'regrow\\_%' AND pg_table_is_visible(oid)"
        )
        return {str(row[0]) for row in cursor.fetchall()}

    def announce(self, cursor: Cursor, origin: str, session_ids: Collection[str]) -> None:
        """Tell other stores, when the transaction commits, of sessions that have new events."""
        announce(cursor, origin, session_ids)

    def is_missing_table(self, error: Exception) -> bool:
        """Tell whether a statement failed because a table is not there."""
        return getattr(error, "sqlstate", None) == "42P01"

    def is_conflict(self, error: Exception) -> bool:
        """Tell whether the transaction failed only because of others that ran beside it."""
        return getattr(error, "sqlstate", None) in _CONFLICTS

    def is_lost(self, connection: Connection, error: Exception) -> bool:
        """Tell whether the connection is closed, or one to a server that has become a standby."""
        state = getattr(error, "sqlstate", None)
        return state == _READ_ONLY or bool(getattr(connection, "closed", False))

    def store_error(self, error: Exception) -> StoreError:
        """Say in a store's terms what a driver's error means."""
        state = getattr(error, "sqlstate", None)
        details = {"database": self.shown, "reason": str(error), "sqlstate": state}
        # What the server has not said anything about is that it cannot be reached. The class is
        # told by its name, which PEP 249 fixes, because the driver may not even be installed.
        without_state = state is None and type(error).__name__ in _UNREACHED
        if without_state or (state or "").startswith((*_CONNECTION, *_TIMED_OUT)):
            return StorageUnavailable(f"cannot reach {self.shown}: {error}", details=details)
        if state in _OTHER_TABLES:
            return MigrationRequired(
                f"the tables in {self.shown} are not those of this version: {error}",
                details=details,
            )
        return StorageError(f"the database {self.shown} failed: {error}", details=details)


@cache
def _statements() -> Statements:
    from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415 (see the module's docstring)

    dialect: Any = make_url("postgresql+psycopg://").get_dialect()
    return Statements(dialect(paramstyle="format"), insert)
