"""Readers that wait hear of what other stores append to the same PostgreSQL database."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ports import SessionStore
from stores import SQLAlchemySessionStore
from stores._sql import _listening
from stores._sql._listening import _payloads, _said
from supervisor import Child, Supervisor, connect
from tests.contracts.samples import event
from tests.stores.postgresql import SERVER, empty_database
from tests.stores.proxy import Proxy
from tests.support import eventually

LONG = 60


@pytest.fixture
def url() -> Iterator[str]:
    with empty_database() as url:
        yield url


@pytest.fixture
def reading(url: str) -> Iterator[SQLAlchemySessionStore]:
    with SQLAlchemySessionStore(url) as store:
        yield store


@pytest.fixture
def writing(url: str) -> Iterator[SQLAlchemySessionStore]:
    with SQLAlchemySessionStore(url) as store:
        yield store


def waiters(store: SQLAlchemySessionStore) -> int:
    return len(store._waiters._session_of)


def count_searches(store: SQLAlchemySessionStore) -> list[str]:
    """Return a list to which every search of the store will be added."""
    searches: list[str] = []
    find = store._waiters._find
    store._waiters._find = lambda query: (searches.append(query.session_id), find(query))[1]
    return searches


def is_listening(store: SQLAlchemySessionStore) -> bool:
    return store._listener is not None and store._listener.is_listening


class TestWaiting:
    def test_readers_that_follow_another_store_miss_nothing(
        self, reading: SQLAlchemySessionStore, writing: SQLAlchemySessionStore
    ):
        def follow(_: int) -> list[int]:
            seen = [0]
            while seen[-1] < 60:
                found = reading.get_events("s", after=seen[-1], wait_timeout=LONG)
                seen += [each.sequence_number or 0 for each in found]
            return seen[1:]

        with ThreadPoolExecutor(8) as threads:
            following = [threads.submit(follow, number) for number in range(4)]
            for each in [
                threads.submit(lambda: [writing.append_event(event()) for _ in range(15)])
                for _ in range(4)
            ]:
                each.result(LONG)
            for each in following:
                assert each.result(LONG) == list(range(1, 61))

    def test_many_that_wait_cost_nothing(
        self, reading: SQLAlchemySessionStore, writing: SQLAlchemySessionStore
    ):
        searches = count_searches(reading)
        with ThreadPoolExecutor(40) as threads:
            waiting = [
                threads.submit(reading.get_events, f"s{number}", wait_timeout=LONG)
                for number in range(40)
            ]
            eventually(lambda: waiters(reading) == 40 and is_listening(reading))
            writing.append_event(event("s0"))
            assert len(waiting[0].result(LONG)) == 1
            before = len(searches)
            for number in range(20):
                writing.append_event(event(f"other{number}"))
            writing.append_event(event("s1"))
            assert len(waiting[1].result(LONG)) == 1
            assert searches[before:] == ["s1"]
            writing.append_events([event(f"s{number}") for number in range(2, 40)])
            for each in waiting[2:]:
                assert len(each.result(LONG)) == 1

    @pytest.mark.usefixtures("run_dir")
    def test_across_processes(self, url: str, writing: SQLAlchemySessionStore):
        tree = Supervisor([Child(SQLAlchemySessionStore, {"url": url}, name="sessions")])
        with (
            tree.start(),
            connect("sessions", SessionStore) as sessions,
            ThreadPoolExecutor(8) as threads,
        ):
            waiting = [
                threads.submit(sessions.get_events, "s", after=n, wait_timeout=LONG)
                for n in range(3)
            ]
            stored = [writing.append_event_with_sequence(event()) for _ in range(3)]
            assert waiting[2].result(LONG) == stored[2:]
            for each in waiting:
                assert each.result(LONG)[-1] in stored


class TestConnection:
    def test_there_is_none_before_somebody_waits(self, reading: SQLAlchemySessionStore):
        reading.append_event(event())
        reading.get_events("s", wait_timeout=LONG)
        reading.get_events("t")
        assert reading._listener is not None
        assert reading._listener._thread is None

    def test_a_lost_one_is_replaced_and_nothing_missed(
        self, url: str, writing: SQLAlchemySessionStore, caplog: pytest.LogCaptureFixture
    ):
        with (
            Proxy(url) as proxy,
            SQLAlchemySessionStore(proxy.url) as reading,
            ThreadPoolExecutor(1) as threads,
        ):
            waiting = threads.submit(reading.get_events, "s", wait_timeout=LONG)
            eventually(lambda: is_listening(reading))
            proxy.go_down()
            writing.append_event(event(id="meanwhile"))
            eventually(lambda: not is_listening(reading))
            proxy.come_back()
            assert [each.id for each in waiting.result(LONG)] == ["meanwhile"]
            waiting = threads.submit(reading.get_events, "s", after=1, wait_timeout=LONG)
            eventually(lambda: waiters(reading))
            writing.append_event(event(id="later"))
            assert [each.id for each in waiting.result(LONG)] == ["later"]
        assert "not listening to postgresql://" in caplog.text

    def test_one_that_the_server_ends(
        self, url: str, reading: SQLAlchemySessionStore, writing: SQLAlchemySessionStore
    ):
        psycopg = pytest.importorskip("psycopg")
        with ThreadPoolExecutor(1) as threads, psycopg.connect(SERVER, autocommit=True) as admin:
            waiting = threads.submit(reading.get_events, "s", wait_timeout=LONG)
            for _ in range(2):
                eventually(lambda: is_listening(reading))
                assert reading._listener is not None
                pid = reading._listener._connection.info.backend_pid
                admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
            writing.append_event(event())
            assert len(waiting.result(LONG)) == 1

    def test_closing_ends_the_wait_and_the_thread(self, url: str):
        store = SQLAlchemySessionStore(url)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(store.get_events, "s", wait_timeout=LONG)
            eventually(lambda: is_listening(store))
            store.close()
            store.close()
            assert "closed" in str(waiting.exception(LONG))

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
    def test_a_forked_process_has_one_of_its_own(
        self, reading: SQLAlchemySessionStore, writing: SQLAlchemySessionStore
    ):
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(reading.get_events, "s", wait_timeout=LONG)
            eventually(lambda: is_listening(reading))
            child = os.fork()
            if child == 0:
                try:
                    found = reading.get_events("s", wait_timeout=LONG)
                    reading.close()
                    os._exit(len(found) - 1)
                finally:
                    os._exit(2)
            writing.append_event(event())
            assert os.waitpid(child, 0)[1] == 0
            assert len(waiting.result(LONG)) == 1
            waiting = threads.submit(reading.get_events, "s", after=1, wait_timeout=LONG)
            eventually(lambda: waiters(reading))
            writing.append_event(event())
            assert len(waiting.result(LONG)) == 1


class TestAnnouncing:
    def test_nobody_is_told_where_nobody_listens(
        self, reading: SQLAlchemySessionStore, writing: SQLAlchemySessionStore
    ):
        psycopg = pytest.importorskip("psycopg")
        with psycopg.connect(SERVER, autocommit=True) as ear, ThreadPoolExecutor(1) as threads:
            ear.execute(_listening._LISTEN)
            mine = [f'"{writing._connections.origin}"', f'"{reading._connections.origin}"']

            def heard() -> int:
                said = ear.notifies(timeout=0)
                return sum(any(origin in each.payload for origin in mine) for each in said)

            # Another test may listen, beside this one, to the same server.
            with psycopg.connect(SERVER, autocommit=True) as other:
                alone = other.execute(
                    f"SELECT pg_try_advisory_lock({_listening._LOCK}) AS alone"
                ).fetchone()[0]
            writing.append_event(event())
            assert heard() == 0 or not alone
            waiting = threads.submit(reading.get_events, "t", wait_timeout=LONG)
            eventually(lambda: is_listening(reading))
            writing.append_event(event())
            eventually(heard)
            writing.append_event(event("t"))
            assert len(waiting.result(LONG)) == 1

    def test_many_sessions_at_once(
        self, reading: SQLAlchemySessionStore, writing: SQLAlchemySessionStore
    ):
        with ThreadPoolExecutor(2) as threads:
            waiting = [
                threads.submit(reading.get_events, session_id, wait_timeout=LONG)
                for session_id in ("s0", "s999")
            ]
            eventually(lambda: waiters(reading) == 2 and is_listening(reading))
            writing.append_events([event(f"s{number}") for number in range(1000)])
            for each in waiting:
                assert len(each.result(LONG)) == 1

    def test_what_is_said_is_heard(self):
        ids = ["s", "ä" * 1000, '"\\', *(f"ses_{number:032x}" for number in range(500))]
        payloads = list(_payloads("me", ids))
        assert all(len(payload.encode()) < 8000 for payload in payloads)
        heard = [_said(payload.encode()) for payload in payloads]
        assert [each for one in heard if one is not None for each in one[1]] == ids
        assert {one[0] for one in heard if one is not None} == {"me"}
        assert list(_payloads("me", [])) == []

    def test_an_id_that_does_not_fit_means_any(self):
        (payload,) = _payloads("me", ["s" * 9000])
        assert _said(payload.encode()) is None

    @pytest.mark.parametrize("payload", [b"", b"garbage", b"[]", b'["me",5]', b"7", b"\xff"])
    def test_what_strangers_say_may_mean_anything(self, payload: bytes):
        assert _said(payload) is None
