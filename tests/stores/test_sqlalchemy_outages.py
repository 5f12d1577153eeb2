"""A database that goes away and comes back: what callers see, and that nothing is lost."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import make_url

from ports import Event, SessionStore, StorageError, StorageUnavailable
from stores import SQLAlchemySessionStore
from stores._sql._postgresql import PostgreSQL
from supervisor import Backoff, Child, Supervisor, connect, whereis
from tests.contracts.samples import event, run, session
from tests.stores.postgresql import empty_database
from tests.stores.proxy import Proxy
from tests.support import eventually

LONG = 60
SECRET = "correct-horse"


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A way to PostgreSQL that can be cut."""
    prepare = PostgreSQL.prepare

    def prepare_nothing_else(self: PostgreSQL, cursor: Any) -> None:
        # What is a prepared statement shows its text only once, and the proxy looks for COMMIT.
        cursor.connection.prepare_threshold = None
        prepare(self, cursor)

    monkeypatch.setattr(PostgreSQL, "prepare", prepare_nothing_else)
    with empty_database() as url:
        # The server of the tests asks for no password, and so takes any.
        with_password = make_url(url).set(password=SECRET)
        with Proxy(with_password.render_as_string(hide_password=False)) as proxy:
            yield proxy


@pytest.fixture
def store(proxy: Proxy) -> Iterator[SQLAlchemySessionStore]:
    with SQLAlchemySessionStore(proxy.url) as store:
        yield store


def numbers(store: SessionStore) -> list[int | None]:
    return [each.sequence_number for each in store.get_events("s")]


def patiently(store: SessionStore, given: Event) -> Event:
    """Append an event, again and again while the database is away."""

    def append() -> Event | None:
        try:
            return store.append_event_with_sequence(given)
        except StorageUnavailable:
            return None

    stored = eventually(append, within=LONG)
    assert stored is not None
    return stored


class TestLostConnections:
    def test_one_that_nobody_used_is_replaced(self, proxy: Proxy, store: SQLAlchemySessionStore):
        store.append_event(event())
        proxy.cut()
        assert store.append_event_with_sequence(event()).sequence_number == 2
        proxy.cut()
        assert numbers(store) == [1, 2]

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_commit_is_carried_out_once(
        self, proxy: Proxy, store: SQLAlchemySessionStore, when: Literal["before", "after"]
    ):
        store.append_event(event(id="old"))
        proxy.cut_at_commit(when)
        results = store._write_batch(
            [
                ("append_event_with_sequence", (event(id="a"),), {}),
                ("append_events", ([event(id="b"), event(id="old"), event("t", id="c")],), {}),
                ("save_session", (session(id="s", agent_id="new"),), {}),
                ("append_event", ("no event",), {}),
                ("flush", (session(id="t"), run("t", id="r"), [event("t", id="d")]), {}),
            ]
        )
        assert results[0].sequence_number == 2
        assert [each.sequence_number for each in results[1]] == [3, 1, 1]
        assert results[2] is results[4] is None
        assert results[3].code == "validation_error"
        assert [each.id for each in store.get_events("s")] == ["old", "a", "b"]
        assert [each.id for each in store.get_events("t")] == ["c", "d"]
        assert store.get_run("r").session_id == "t"
        assert [each.id for each in store.list_sessions()] == ["s", "t"]

    def test_a_deletion_whose_answer_is_lost(self, proxy: Proxy, store: SQLAlchemySessionStore):
        store.append_event(event())
        proxy.cut_at_commit("after")
        store.delete_session("s")
        assert store.append_event_with_sequence(event()).sequence_number == 1

    def test_a_commit_whose_answer_is_lost_wakes_those_who_wait(
        self, proxy: Proxy, store: SQLAlchemySessionStore
    ):
        # Theirs is the direct way of this store, not the one by the server.
        store._listener = None
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(store.get_events, "s", wait_timeout=LONG)
            eventually(lambda: store._waiters._by_session)
            proxy.cut_at_commit("after")
            store.append_event(event(id="e"))
            assert [each.id for each in waiting.result(LONG)] == ["e"]

    def test_one_that_the_server_ends_within_a_transaction(self, store: SQLAlchemySessionStore):
        psycopg = pytest.importorskip("psycopg")
        announce = store._connections.database.announce
        ended: list[int] = []

        def end_the_first(cursor, *args) -> None:
            announce(cursor, *args)
            if not ended:
                ended.append(cursor.connection.info.backend_pid)
                with psycopg.connect(_server(store), autocommit=True) as admin:
                    admin.execute("SELECT pg_terminate_backend(%s, 5000)", (ended[0],))

        store._connections.database.announce = end_the_first  # type: ignore[method-assign]
        stored = store.append_events([event(), event()])
        assert ended
        assert [each.sequence_number for each in stored] == [1, 2]
        assert numbers(store) == [1, 2]


def _server(store: SQLAlchemySessionStore) -> str:
    url = store._connections.database.url
    return url.set(drivername="postgresql", query={}).render_as_string(hide_password=False)


class TestWithoutDatabase:
    def test_callers_are_told_and_later_go_on(self, proxy: Proxy, store: SQLAlchemySessionStore):
        stored = [store.append_event_with_sequence(event())]
        proxy.go_down()
        for operation in (
            lambda: store.append_event(event(id="refused")),
            lambda: store.save_session(session()),
            lambda: store.get_events("s"),
            lambda: store.get_latest_sequence("s"),
            lambda: store.get_events("s", after=1, wait_timeout=0.01),
        ):
            with pytest.raises(StorageUnavailable) as raised:
                operation()
            assert raised.value.code == "storage_connection_failed"
            assert SECRET not in f"{raised.value!r} {raised.value.details}"
            assert SECRET not in f"{raised.value.__cause__!r}"
        proxy.come_back()
        stored.append(store.append_event_with_sequence(event()))
        assert store.get_events("s") == stored

    def test_a_commit_whose_answer_never_comes_can_be_repeated(
        self, proxy: Proxy, store: SQLAlchemySessionStore
    ):
        given = event()
        proxy.cut_at_commit("after", then_down=True)
        with pytest.raises(StorageUnavailable):
            store.append_event(given)
        proxy.come_back()
        store.append_event(event())
        assert store.append_event_with_sequence(given).sequence_number == 1
        assert numbers(store) == [1, 2]

    def test_a_server_that_does_not_answer_is_not_asked_by_each(
        self, proxy: Proxy, store: SQLAlchemySessionStore
    ):
        proxy.go_down(silently=True)
        before = proxy.connected
        options = store._connections.database
        options.url = options.url.update_query_dict({"connect_timeout": "2"})  # type: ignore[misc]
        for _ in range(20):
            with pytest.raises(StorageUnavailable):
                store.get_latest_sequence("s")
        # Once; and again where the machine has stood still for longer than that holds.
        assert proxy.connected - before < 5
        proxy.go_down()
        proxy.come_back()
        assert patiently(store, event()).sequence_number == 1

    def test_threads_that_write_through_many_cuts(
        self, proxy: Proxy, store: SQLAlchemySessionStore
    ):
        done = threading.Event()

        def write(_: int) -> list[Event]:
            stored = []
            while not done.is_set():
                stored.append(patiently(store, event()))
            return stored

        with ThreadPoolExecutor(6) as threads:
            writing = [threads.submit(write, number) for number in range(6)]
            try:
                for number in range(12):
                    last = store.get_latest_sequence("s")
                    when: Literal["before", "after"] = "before" if number % 2 else "after"
                    proxy.cut_at_commit(when, then_down=number % 3 == 0)
                    eventually(lambda: proxy._cut_at is None)
                    proxy.come_back()
                    eventually(lambda last=last: store.get_latest_sequence("s") > last + 5)
            finally:
                done.set()
            stored = [each for one in writing for each in one.result(LONG)]
        assert sorted(each.sequence_number or 0 for each in stored) == list(
            range(1, len(stored) + 1)
        )
        assert {each.id: each for each in stored} == {
            each.id: each for each in store.get_events("s")
        }

    @pytest.mark.usefixtures("run_dir")
    def test_a_store_that_dies_meanwhile_comes_back_with_the_database(self, proxy: Proxy):
        child = Child(
            SQLAlchemySessionStore,
            {"url": proxy.url},
            name="sessions",
            backoff=Backoff(initial=0.02, maximum=0.1),
        )
        with (
            Supervisor([child], max_restarts=0).start() as tree,
            connect("sessions", SessionStore, timeout=LONG) as sessions,
        ):
            sessions.append_event(event())
            proxy.go_down()
            with pytest.raises(StorageUnavailable):
                sessions.get_latest_sequence("s")
            store = whereis("sessions")
            assert store is not None
            assert store.pid is not None
            os.kill(store.pid, signal.SIGKILL)
            refused = proxy.connected
            eventually(lambda: proxy.connected > refused + 2)
            assert tree.is_alive()
            proxy.come_back()
            assert sessions.append_event_with_sequence(event()).sequence_number == 2


class TestSQLite:
    def test_a_full_database(self, tmp_path: Path):
        with SQLAlchemySessionStore(f"sqlite:///{tmp_path}/sessions.db") as store:
            store.append_event(event())

            def limit(pages: int) -> None:
                store._connections.write(
                    lambda cursor: cursor.execute(f"PRAGMA max_page_count = {pages}")
                )

            limit(1)
            with pytest.raises(StorageError, match="full") as raised:
                store.append_events([event(data={"text": "x" * 10_000}) for _ in range(5)])
            assert raised.value.code == "storage_error"
            assert raised.value.details["sqlite_error"] == "SQLITE_FULL"
            assert numbers(store) == [1]
            limit(1_000_000)
            assert store.append_event_with_sequence(event()).sequence_number == 2
