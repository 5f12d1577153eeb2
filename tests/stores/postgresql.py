"""The PostgreSQL server of the tests, if there is one."""

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import pytest

from stores import SQLAlchemySessionStore
from stores._sql._schema import metadata
from supervisor import Child
from tests.stores.remote import Tree

SERVER = os.environ.get("REGROW_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/test")


@contextmanager
def empty_database() -> Iterator[str]:
    """Give the URL of a database without tables; skip the test if no server answers."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    try:
        connection = psycopg.connect(SERVER, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL answers at {SERVER}: {error}")
    # A schema of its own: tests may run side by side, and what else is there is left alone.
    schema = f"regrow_{secrets.token_hex(8)}"
    with connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        try:
            yield f"{SERVER}?options=-csearch_path%3D{schema}"
        finally:
            connection.execute("SET client_min_messages = warning")
            connection.execute(f"DROP SCHEMA {schema} CASCADE")


class EmptyStore:
    """Makes empty stores, one after the other, on one database: to make tables takes long."""

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._database = self._stack.enter_context(EmptiedDatabase())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __call__(self, _: Path) -> SQLAlchemySessionStore:
        self._database.empty()
        return SQLAlchemySessionStore(self._database.url)


class StoreTree(Tree):
    """Makes clients of a store that runs in a tree.

    Args:
        port: of the store.
        children: the specs, given the URL of the database and a folder for other data.
    """

    def __init__(self, port: type, children: Callable[[str, Path], Sequence[Child]]) -> None:
        super().__init__(
            port,
            lambda data: children(self._database.url, data),
            empty=self._empty_database,
        )

    def _empty_database(self) -> None:
        self._database.empty()

    def __enter__(self) -> Self:
        self._database = self._stack.enter_context(EmptiedDatabase())
        return super().__enter__()


class EmptiedDatabase:
    """A database that serves many tests, and is emptied between them.

    Attributes:
        url: where it is.
    """

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self.url = self._stack.enter_context(empty_database())
        SQLAlchemySessionStore(self.url).close()
        import psycopg

        self._connection = self._stack.enter_context(psycopg.connect(self.url, autocommit=True))
        self._connection.execute("SET synchronous_commit = off")
        kept = {"regrow_alembic_version"}
        self._empty = ";".join(f"DELETE FROM {name}" for name in set(metadata.tables) - kept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def empty(self) -> None:
        """Remove all rows. Tables that have next to none are emptied faster so than by TRUNCATE."""
        self._connection.execute(self._empty)


@contextmanager
def empty_store() -> Iterator[SQLAlchemySessionStore]:
    """Give an empty store; skip the test if no server answers."""
    with empty_database() as url, SQLAlchemySessionStore(url) as store:
        yield store
