"""What this package uses of a database driver (PEP 249), and what differs between databases."""

from collections.abc import Collection, Sequence
from typing import Any, ClassVar, Protocol

from sqlalchemy import URL

from ports import StoreError

from ._expressions import Expressions
from ._rows import Row
from ._statements import Statements


class Cursor(Protocol):
    """A driver's cursor."""

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""

    def execute(self, sql: str, parameters: Row = ..., /) -> Any:
        """Run a statement."""

    def executemany(self, sql: str, rows: Sequence[Row], /) -> Any:
        """Run a statement once for each row."""

    def fetchall(self) -> list[Row]:
        """Return all rows of the result."""


class Connection(Protocol):
    """A driver's connection, on which every statement outside a transaction stands alone."""

    def cursor(self) -> Cursor:
        """Return a new cursor."""

    def close(self) -> None:
        """Give the connection up."""


class Database(Protocol):
    """One kind of database."""

    begin: ClassVar[str]
    """Begins a transaction that writes."""

    expressions: ClassVar[Expressions]
    """What it says differently in queries."""

    listens: ClassVar[bool]
    """Whether stores hear of what is announced."""

    @property
    def url(self) -> URL:
        """What to connect to, driver included."""

    @property
    def shown(self) -> str:
        """The database, as people know it, without secrets."""

    @property
    def statements(self) -> Statements:
        """The statements in its dialect."""

    @property
    def single_connection(self) -> bool:
        """Whether everything has to go through one connection, which is never to be closed."""

    def connect_arguments(self, by_url: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of the driver's `connect`; `by_url` is what the URL asks for."""

    def prepare(self, cursor: Cursor) -> None:
        """Set a new connection up."""

    def lock_schema(self, cursor: Cursor) -> None:
        """Keep others from making the tables, until the transaction ends."""

    def tables(self, cursor: Cursor) -> set[str]:
        """Return the names of those tables that are ours."""

    def last_sequence(self, cursor: Cursor, session_id: str) -> int:
        """Return the last number of a session, locked until the transaction ends."""

    def announce(self, cursor: Cursor, origin: str, session_ids: Collection[str]) -> None:
        """Tell other stores, when the transaction commits, of sessions that have new events."""

    def is_missing_table(self, error: Exception) -> bool:
        """Tell whether a statement failed because a table is not there."""

    def is_conflict(self, error: Exception) -> bool:
        """Tell whether the transaction failed only because of others that ran beside it."""

    def is_lost(self, connection: Connection, error: Exception) -> bool:
        """Tell whether an error means that the connection is of no use any more."""

    def store_error(self, error: Exception) -> StoreError:
        """Say in a store's terms what a driver's error means."""
