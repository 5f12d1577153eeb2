"""Old databases become new ones: nothing is lost, and the tables are those of an empty database."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, inspect

from ports import MigrationRequired, StorageError, StorageUnavailable
from stores import SQLAlchemySessionStore
from stores._sql import _schema, _upgrade
from stores._sql._driver import Cursor, Database
from stores._sql._upgrade import current, in_transaction, run_migrations, upgrade
from stores._sql._url import database_of
from tests.contracts.samples import event
from tests.stores import before_migrations
from tests.stores.postgresql import empty_database
from tests.stores.processes import ROOT, forked, status_of

REVISIONS = sorted(
    script.revision for script in ScriptDirectory(_upgrade._MIGRATIONS).walk_revisions()
)
BEFORE = "before migrations"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        # What Alembic's configuration would take for the name of an option.
        yield f"sqlite:///{tmp_path}/100%(here)s.db"
    else:
        with empty_database() as url:
            yield url


def database(url: str) -> Database:
    return database_of(url, synchronous="NORMAL", busy_timeout=1.0)


def execute(url: str, *statements: str) -> None:
    def work(_: Connection, cursor: Cursor) -> None:
        for statement in statements:
            cursor.execute(statement)

    in_transaction(database(url), work)


def make(url: str, version: str) -> None:
    """Make a database of an old version, with the same content in each."""
    before = before_migrations.statements(database(url).url.get_backend_name())
    execute(url, *before)
    if version != BEFORE:
        adopt: Callable[[Connection, Cursor], None] = lambda connection, cursor: (
            _upgrade._adopt(database(url), cursor),
            run_migrations(connection, version),
        )[1]
        in_transaction(database(url), adopt)


def described(url: str) -> dict[str, Any]:
    """Return all there is to know of the tables, but for the order of columns."""
    engine = create_engine(database(url).url, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            inspector = inspect(connection)
            found = {table: _table(inspector, table) for table in inspector.get_table_names()}
            if engine.dialect.name == "sqlite":
                indexes = "SELECT name, sql FROM sqlite_master WHERE type = 'index'"
                found["without rowid"] = sorted(
                    row[1]
                    for row in connection.exec_driver_sql("PRAGMA table_list")
                    if row[4] and row[1].startswith("regrow")
                )
            else:
                schema = inspector.default_schema_name
                indexes = (
                    f"SELECT indexname, replace(indexdef, '{schema}.', '') FROM pg_indexes "
                    f"WHERE schemaname = '{schema}'"
                )
            found["indexes"] = sorted(map(tuple, connection.exec_driver_sql(indexes)))
    finally:
        engine.dispose()
    return found


def _table(inspector: Any, table: str) -> Any:
    columns = {
        column["name"]: (str(column["type"]), column["nullable"], _default(column))
        for column in inspector.get_columns(table)
    }
    return (
        columns,
        inspector.get_pk_constraint(table),
        sorted(inspector.get_unique_constraints(table), key=str),
        sorted(inspector.get_check_constraints(table), key=str),
        sorted(inspector.get_foreign_keys(table), key=str),
    )


def _default(column: dict[str, Any]) -> Any:
    # A sequence's name has its schema in it.
    default = column["default"]
    return "a sequence" if str(default).startswith("nextval") else default


def test_revisions_are_numbered_and_the_last_one_is_that_of_the_tables():
    assert [f"{number:04}" for number in range(1, len(REVISIONS) + 1)] == REVISIONS
    assert REVISIONS[-1] == _schema.REVISION


def test_all_revisions_make_the_same_tables_as_the_short_way(url: str):
    in_transaction(database(url), lambda connection, _: run_migrations(connection))
    by_revisions = described(url)
    tables = [table for table in by_revisions if table.startswith("regrow_")]
    assert set(tables) == set(_schema.metadata.tables)
    execute(url, *(f"DROP TABLE {table}" for table in tables))
    SQLAlchemySessionStore(url).close()
    assert by_revisions == described(url)


@pytest.mark.parametrize("version", [BEFORE, *REVISIONS[:-1]])
class TestUpgrading:
    def test_a_store_says_what_to_run(self, url: str, version: str):
        make(url, version)
        with pytest.raises(MigrationRequired) as raised:
            SQLAlchemySessionStore(url)
        assert f"needed version {_schema.REVISION}; run `regrow db upgrade" in raised.value.message
        if url.startswith("sqlite"):
            *command, said = shlex.split(raised.value.details["command"])
            assert command == ["regrow", "db", "upgrade"]
            assert database(said).shown == database(url).shown
        else:
            # What stands behind `?` could be a secret.
            assert raised.value.details["command"] == "regrow db upgrade"
            assert "$REGROW_DATABASE_URL" in raised.value.message
        assert raised.value.details["needed"] == _schema.REVISION

    def test_it_loses_nothing_and_makes_the_tables_of_an_empty_one(self, url: str, version: str):
        make(url, version)
        upgrade(database(url))
        with SQLAlchemySessionStore(url) as store:
            (session,) = store.list_sessions()
            assert (session.id, session.agent_id, session.tags) == ("s", "gardener", ["old"])
            assert session.metadata == {"a": 1}
            assert session.created_at.microsecond == 1
            run = store.get_active_run("s")
            assert run is not None
            assert (run.id, run.turn_count, run.cost_usd) == ("r", 3, 0.25)
            assert run.token_usage == {"input_tokens": 7}
            one, two = store.get_events("s")
            assert (one.id, one.data, two.correlation_id) == ("e1", {"n": 1}, "c")
            assert store.append_event_with_sequence(event()).sequence_number == 3
        upgraded = described(url)
        execute(url, *(f"DROP TABLE {table}" for table in _schema.metadata.tables))
        SQLAlchemySessionStore(url).close()
        assert upgraded == described(url)

    def test_one_that_fails_leaves_everything_as_it_was(
        self, url: str, version: str, monkeypatch: pytest.MonkeyPatch
    ):
        make(url, version)
        before = described(url)

        def fail_at_the_end(connection: Connection) -> None:
            run_migrations(connection)
            connection.exec_driver_sql("SELECT * FROM no_such_table")

        monkeypatch.setattr(_upgrade, "run_migrations", fail_at_the_end)
        with pytest.raises(StorageError, match="no_such_table"):
            upgrade(database(url))
        assert described(url) == before
        monkeypatch.undo()
        upgrade(database(url))
        SQLAlchemySessionStore(url).close()


def test_two_at_once_wait_for_each_other(url: str):
    make(url, BEFORE)
    beginning, begin = os.pipe()

    def upgrade_then() -> int:
        os.read(beginning, 1)
        found = upgrade(database_of(url, synchronous="NORMAL", busy_timeout=0.01))
        return int(found or 99)

    children = [forked(upgrade_then) for _ in range(2)]
    # Neither can begin before the lock is given back: both have to wait, and then one of them.
    in_transaction(database(url), lambda *_: os.write(begin, b".."))
    assert sorted(map(status_of, children)) == [0, int(_schema.REVISION)]
    for end in (beginning, begin):
        os.close(end)
    SQLAlchemySessionStore(url).close()


def test_an_empty_one_is_made_and_a_new_one_left_alone(url: str):
    assert current(database(url)) is None
    assert upgrade(database(url)) is None
    assert current(database(url)) == _schema.REVISION
    with SQLAlchemySessionStore(url) as store:
        store.append_event(event())
    assert upgrade(database(url)) == _schema.REVISION
    with SQLAlchemySessionStore(url) as store:
        assert store.get_latest_sequence("s") == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("UPDATE regrow_alembic_version SET version_num = '9999'", StorageError),
        ("DELETE FROM regrow_alembic_version", MigrationRequired),
        ("DROP TABLE regrow_alembic_version", MigrationRequired),
    ],
)
def test_what_no_revision_leads_from_is_refused(url: str, change: str, error: type):
    SQLAlchemySessionStore(url).close()
    execute(url, change)
    before = described(url)
    with pytest.raises(error):
        upgrade(database(url))
    assert described(url) == before


def test_a_server_that_does_not_answer():
    with pytest.raises(StorageUnavailable):
        upgrade(database("postgresql://nobody@127.0.0.1:1/none"))


def test_opening_a_database_does_not_load_alembic(tmp_path: Path):
    code = (
        "import sys; from stores import SQLAlchemySessionStore;"
        "SQLAlchemySessionStore(sys.argv[1]).close(); print('alembic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{tmp_path}/sessions.db"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
