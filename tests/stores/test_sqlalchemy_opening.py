"""Opening a database: URLs, files, versions, and what is said when it cannot be done."""

import os
import pickle
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import make_url

from ports import (
    MigrationRequired,
    StorageError,
    StorageUnavailable,
    StoreError,
    ValidationError,
)
from stores import SQLAlchemySessionStore
from stores._sql._connections import _dialect_of
from stores._sql._schema import REVISION, metadata
from tests.contracts.samples import event, session
from tests.stores.postgresql import empty_database
from tests.stores.processes import forked, status_of

SECRET = "correct-horse"


def said(error: BaseException | None) -> str:
    """Return all that a traceback would show of an error and those behind it."""
    texts = []
    while error is not None:
        texts.append(f"{error!r} {getattr(error, 'details', '')}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(texts)


class TestUrls:
    def test_a_relative_path_begins_at_the_current_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.chdir(tmp_path)
        with SQLAlchemySessionStore("sqlite:///var/new/sessions.db") as store:
            monkeypatch.chdir("/")
            store.save_session(session(id="s"))
            assert store.get_session("s").id == "s"
        assert (tmp_path / "var" / "new" / "sessions.db").is_file()

    @pytest.mark.parametrize(
        "url",
        ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&cache=shared&uri=true"],
    )
    def test_databases_in_memory_are_apart(self, url: str, tmp_path: Path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with SQLAlchemySessionStore(url) as store:
            store.append_event(event())
        with SQLAlchemySessionStore(url) as store:
            assert store.get_latest_sequence("s") == 0
        assert list(tmp_path.iterdir()) == []

    def test_a_parsed_one(self, tmp_path: Path):
        SQLAlchemySessionStore(make_url(f"sqlite:///{tmp_path}/sessions.db")).close()

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "sessions.db",
            "nonsense://host/database",
            "mysql://user@host/database",
            "sqlite://var/sessions.db",
            "sqlite:///a\0b",
            "sqlite:///:memory:?timeout=soon",
            "postgresql://host:port/database",
            None,
            7,
            b"sqlite://",
        ],
    )
    def test_those_that_are_none(self, url: str):
        with pytest.raises(ValidationError):
            SQLAlchemySessionStore(url)

    @pytest.mark.parametrize(
        "options",
        [
            {"synchronous": "SOMETIMES"},
            {"synchronous": 2},
            {"busy_timeout": -1},
            {"busy_timeout": "5"},
            {"busy_timeout": float("nan")},
            {"busy_timeout": True},
        ],
    )
    def test_options_that_cannot_be(self, options: dict):
        with pytest.raises(ValidationError):
            SQLAlchemySessionStore("sqlite://", **options)

    @pytest.mark.parametrize(
        ("url", "error"),
        [
            (f"postgresql://user:{SECRET}@127.0.0.1:1/database", StorageUnavailable),
            (f"postgresql://127.0.0.1:1/database?password={SECRET}", StorageUnavailable),
            (f"postgresql://user:{SECRET}@127.0.0.1:1/database?nonsense=1", StorageError),
            (f"postgresql://user:{SECRET}@host:port/database", ValidationError),
            (f"mysql://user:{SECRET}@host/database", ValidationError),
            (f"nonsense://user:{SECRET}@host/database?password={SECRET}", ValidationError),
            (f"sqlite://user:{SECRET}@host/database", ValidationError),
        ],
    )
    def test_a_password_is_never_shown(self, url: str, error: type[StoreError]):
        pytest.importorskip("psycopg")
        with pytest.raises(error) as raised:
            SQLAlchemySessionStore(url)
        assert SECRET not in said(raised.value)

    def test_a_driver_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setitem(sys.modules, "psycopg", None)
        _dialect_of.cache_clear()
        with pytest.raises(StorageError, match="not installed") as raised:
            SQLAlchemySessionStore(f"postgresql://user:{SECRET}@127.0.0.1:1/database")
        assert SECRET not in said(raised.value)


class TestFiles:
    @pytest.mark.parametrize("content", [b"not a database" * 1000, b"x"])
    def test_one_that_is_no_database(self, tmp_path: Path, content: bytes):
        path = tmp_path / "sessions.db"
        path.write_bytes(content)
        with pytest.raises(StorageError) as raised:
            SQLAlchemySessionStore(f"sqlite:///{path}")
        assert str(path) in raised.value.message
        assert path.read_bytes() == content

    def test_one_that_is_corrupt(self, tmp_path: Path):
        path = tmp_path / "sessions.db"
        with SQLAlchemySessionStore(f"sqlite:///{path}") as store:
            store.append_events([event() for _ in range(1000)])
        content = bytearray(path.read_bytes())
        content[4096:] = b"\xff" * (len(content) - 4096)
        path.write_bytes(content)
        with pytest.raises(StorageError) as raised:
            SQLAlchemySessionStore(f"sqlite:///{path}")
        assert str(path) in raised.value.message

    def test_an_empty_one_is_a_database_without_tables(self, tmp_path: Path):
        (tmp_path / "sessions.db").touch()
        with SQLAlchemySessionStore(f"sqlite:///{tmp_path}/sessions.db") as store:
            assert store.list_sessions() == []

    def test_a_folder(self, tmp_path: Path):
        with pytest.raises(StorageError) as raised:
            SQLAlchemySessionStore(f"sqlite:///{tmp_path}")
        assert str(tmp_path) in raised.value.message

    @pytest.mark.parametrize("path", ["file/sessions.db", "file/below/sessions.db"])
    def test_below_a_file(self, tmp_path: Path, path: str):
        (tmp_path / "file").touch()
        with pytest.raises(StorageError) as raised:
            SQLAlchemySessionStore(f"sqlite:///{tmp_path}/{path}")
        assert str(tmp_path) in raised.value.message

    def test_one_that_may_only_be_read(self, tmp_path: Path):
        if os.geteuid() == 0:
            pytest.skip("root may write everywhere")
        path = tmp_path / "sessions.db"
        SQLAlchemySessionStore(f"sqlite:///{path}").close()
        path.chmod(0o400)
        with pytest.raises(StorageError, match="no permission"):
            SQLAlchemySessionStore(f"sqlite:///{path}")

    def test_one_that_is_opened_for_reading(self, tmp_path: Path):
        path = tmp_path / "sessions.db"
        SQLAlchemySessionStore(f"sqlite:///{path}").close()
        with (
            pytest.raises(StorageError),
            SQLAlchemySessionStore(f"sqlite:///file:{path}?mode=ro&uri=true") as store,
        ):
            store.append_event(event())

    def test_one_that_others_keep_locked(self, tmp_path: Path):
        path = tmp_path / "sessions.db"
        with SQLAlchemySessionStore(f"sqlite:///{path}", busy_timeout=0.01) as store:
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageUnavailable, match="locked"):
                store.append_event(event())
            assert store.get_events("s") == []
            other.execute("ROLLBACK")
            other.close()
            assert store.append_event_with_sequence(event()).sequence_number == 1


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/sessions.db"
    else:
        with empty_database() as url:
            yield url


def execute(url: str, *statements: str) -> None:
    """Change a database behind a store's back."""
    store = SQLAlchemySessionStore(url)
    for statement in statements:
        store._connections.write(lambda cursor, sql=statement: cursor.execute(sql))
    store.close()


class TestVersions:
    def test_an_empty_database_gets_the_tables_and_keeps_them(self, url: str):
        with SQLAlchemySessionStore(url) as store:
            store.append_event(event())
        with SQLAlchemySessionStore(url) as store:
            assert store.get_latest_sequence("s") == 1

    @pytest.mark.parametrize(
        ("change", "found"),
        [
            ("UPDATE regrow_alembic_version SET version_num = '0000'", "the tables of a version"),
            ("DELETE FROM regrow_alembic_version", "tables without a version"),
            ("DROP TABLE regrow_alembic_version", "tables without a version"),
        ],
    )
    def test_an_older_one(self, url: str, change: str, found: str):
        execute(url, change)
        with pytest.raises(MigrationRequired) as raised:
            SQLAlchemySessionStore(url)
        assert f"found {found}" in raised.value.message
        assert f"needed version {REVISION}" in raised.value.message
        assert raised.value.code == "migration_required"

    @pytest.mark.parametrize("number", ["9999", "another program's"])
    def test_a_newer_one(self, url: str, number: str):
        quoted = number.replace("'", "''")
        execute(url, f"UPDATE regrow_alembic_version SET version_num = '{quoted}'")
        with pytest.raises(
            StorageError, match=f"version {number}, and this program knows {REVISION}"
        ) as raised:
            SQLAlchemySessionStore(url)
        assert raised.value.code == "storage_error"

    def test_a_table_that_is_missing(self, url: str):
        execute(url, "DROP TABLE regrow_events")
        with SQLAlchemySessionStore(url) as store:
            with pytest.raises(MigrationRequired, match="regrow_events"):
                store.get_events("s")
            with pytest.raises(MigrationRequired, match="regrow_events"):
                store.append_event(event())
            store.save_session(session(id="s"))
            assert store.get_session("s").id == "s"

    def test_tables_of_others_are_no_hindrance(self, url: str):
        execute(
            url,
            *(f"DROP TABLE {table}" for table in metadata.tables),
            "CREATE TABLE sessions (id TEXT)",
        )
        with SQLAlchemySessionStore(url) as store:
            assert store.list_sessions() == []

    def test_what_others_have_damaged_is_a_storage_error(self, url: str):
        with SQLAlchemySessionStore(url) as store:
            store.append_event(event(id="e"))
        execute(url, "UPDATE regrow_events SET data = '{'")
        with (
            SQLAlchemySessionStore(url) as store,
            pytest.raises(StorageError, match="Event 'e' is damaged"),
        ):
            store.get_events("s")

    def test_processes_that_open_an_empty_database_at_once(self, url: str):
        beginning, begin = os.pipe()

        def open_it() -> int:
            os.read(beginning, 1)
            SQLAlchemySessionStore(url).close()
            return 0

        children = [forked(open_it) for _ in range(4)]
        os.write(begin, b"....")
        assert [status_of(child) for child in children] == [0] * 4
        for end in (beginning, begin):
            os.close(end)


class TestElsewhere:
    def test_a_copy_opens_the_database_anew(self, url: str):
        with SQLAlchemySessionStore(url) as store:
            store.append_event(event())
            with pickle.loads(pickle.dumps(store)) as copy:
                assert copy.append_event_with_sequence(event()).sequence_number == 2
            assert store.get_latest_sequence("s") == 2

    def test_a_database_in_memory_cannot_be_taken_elsewhere(self):
        with (
            SQLAlchemySessionStore("sqlite://") as store,
            pytest.raises(TypeError, match="in memory"),
        ):
            pickle.dumps(store)

    def test_a_forked_process_has_connections_of_its_own(self, url: str):
        with SQLAlchemySessionStore(url) as store:
            store.append_event(event())
            child = os.fork()
            if child == 0:
                try:
                    for _ in range(20):
                        store.append_event(event())
                    store.close()
                    os._exit(0)
                finally:
                    os._exit(1)
            for _ in range(20):
                store.append_event(event())
            assert os.waitpid(child, 0)[1] == 0
            numbers = [each.sequence_number for each in store.get_events("s")]
            assert numbers == list(range(1, 42))


class TestClosing:
    def test_every_operation_is_refused_afterwards(self, url: str):
        store = SQLAlchemySessionStore(url)
        store.close()
        store.close()
        with pytest.raises(StorageError, match="closed"):
            store.append_event(event())
        with pytest.raises(StorageError, match="closed"):
            store.get_events("s")
        with pytest.raises(StorageError, match="closed"):
            store.get_events("s", wait_timeout=60)

    def test_a_connection_that_the_server_ended_is_replaced(self, url: str):
        if url.startswith("sqlite"):
            pytest.skip("a file does not hang up")
        psycopg = pytest.importorskip("psycopg")
        with SQLAlchemySessionStore(url) as store:
            store.append_event(event())
            # A connection for reading as well, which there is only beside one that writes.
            store._connections.write(
                lambda _: ThreadPoolExecutor(1).submit(store.get_events, "s").result()
            )
            assert store._connections._idle
            with psycopg.connect(url.partition("?")[0], autocommit=True) as admin:
                for connection in (store._connections._writer, *store._connections._idle):
                    admin.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
            assert len(store.get_events("s")) == 1
            assert store.append_event_with_sequence(event()).sequence_number == 2
