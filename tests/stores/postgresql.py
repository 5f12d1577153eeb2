"""The PostgreSQL server of the tests, if there is one."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stores import SQLAlchemySessionStore

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


@contextmanager
def empty_store() -> Iterator[SQLAlchemySessionStore]:
    """Give an empty store; skip the test if no server answers."""
    with empty_database() as url, SQLAlchemySessionStore(url) as store:
        yield store
