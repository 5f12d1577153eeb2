"""A transaction on a driver's cursor."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from ._connections import Connections
from ._driver import Cursor

_Result = TypeVar("_Result")


def transaction(
    connections: Connections,
    cursor: Cursor,
    work: Callable[[], _Result],
    begin: str | None = None,
) -> _Result:
    """Return what `work` returns, once what it did with the cursor is committed; all or nothing.

    Args:
        connections: Whose cursor it is.
        cursor: The cursor.
        work: Is called within the transaction.
        begin: The statement that begins it; None for one that writes.

    """
    cursor.execute(begin or connections.database.begin)
    try:
        result = work()
        cursor.execute("COMMIT")
    except BaseException:
        # There may be nothing to roll back (SQLite does so itself when the disk is full), or
        # nobody to tell (the connection is lost): it is the first error that counts.
        with suppress(connections.errors):
            cursor.execute("ROLLBACK")
        raise
    return result
