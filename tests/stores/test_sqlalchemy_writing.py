"""Writing many operations in one transaction, and keeping every value as it was."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from ports import (
    Event,
    Run,
    Session,
    SessionStore,
    StorageError,
    StoreError,
    ValidationError,
)
from stores import SQLAlchemySessionStore
from stores._sql._group import GroupCommit
from stores._sql._json import dumps, loads
from stores._sql._writes import Outcome, Write, Written
from supervisor import Child, Supervisor, connect
from tests import strategies
from tests.contracts.samples import event, run, session
from tests.stores.postgresql import empty_database, empty_store
from tests.support import eventually

LONG = 60


STORES: dict[str, Callable[[Path], AbstractContextManager[SQLAlchemySessionStore]]] = {
    "sqlite": lambda folder: SQLAlchemySessionStore(f"sqlite:///{folder}/sessions.db"),
    "sqlite_memory": lambda _: SQLAlchemySessionStore("sqlite:///:memory:"),
    "postgresql": lambda _: empty_store(),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SQLAlchemySessionStore]:
    with STORES[request.param](tmp_path) as store:
        yield store


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SQLAlchemySessionStore]:
    """A store whose database others can open as well."""
    with STORES[request.param](tmp_path) as store:
        yield store


def numbers(store: SQLAlchemySessionStore, session_id: str = "s") -> list[int | None]:
    return [each.sequence_number for each in store.get_events(session_id)]


class TestBatches:
    def test_each_operation_has_its_own_result(self, store: SQLAlchemySessionStore):
        one, two, three, four = (event() for _ in range(4))
        results = store._write_batch(
            [
                ("save_session", (session(id="s"),), {}),
                ("append_event", (one,), {}),
                ("append_event_with_sequence", (), {"event": two}),
                ("save_run", (run(id="r"),), {}),
                ("append_events", ([three, four],), {}),
                ("flush", (session(id="t"), run("t"), [event("t")]), {}),
            ]
        )
        assert results[:2] == [None, None]
        assert results[2].sequence_number == 2
        assert [each.sequence_number for each in results[4]] == [3, 4]
        assert results[3] is results[5] is None
        assert numbers(store) == [1, 2, 3, 4]
        assert numbers(store, "t") == [1]
        assert [each.id for each in store.list_sessions()] == ["s", "t"]
        assert store.get_run("r").session_id == "s"

    def test_they_are_carried_out_in_their_order(self, store: SQLAlchemySessionStore):
        store.append_event(event(id="before"))
        again = event(id="again")
        results = store._write_batch(
            [
                ("append_event_with_sequence", (again.copy(),), {}),
                ("delete_session", ("s",), {}),
                ("append_event_with_sequence", (again.copy(),), {}),
                ("append_event_with_sequence", (event(),), {}),
                ("save_session", (session(id="s", agent_id="old"),), {}),
                ("save_session", (session(id="s", agent_id="new"),), {}),
                ("delete_session", ("other",), {}),
            ]
        )
        assert [results[each].sequence_number for each in (0, 2, 3)] == [2, 1, 2]
        assert numbers(store) == [1, 2]
        assert store.get_session("s").agent_id == "new"

    def test_one_deleted_at_the_end_is_gone(self, store: SQLAlchemySessionStore):
        store._write_batch(
            [
                ("append_event", (event(),), {}),
                ("save_session", (session(id="s"),), {}),
                ("delete_session", ("s",), {}),
            ]
        )
        assert store.get_latest_sequence("s") == 0
        assert store.list_sessions(include_deleted=True) == []
        assert store.append_event_with_sequence(event()).sequence_number == 1

    def test_an_id_that_comes_again(self, store: SQLAlchemySessionStore):
        stored = store.append_event_with_sequence(event(id="old", data={"first": True}))
        new = event(id="new")
        results = store._write_batch(
            [
                ("append_event_with_sequence", (event(id="old"),), {}),
                ("append_event_with_sequence", (new.copy(),), {}),
                ("append_event_with_sequence", (replace(new, session_id="other"),), {}),
                ("append_events", ([event(id="last"), new.copy(), event("t", id="old")],), {}),
            ]
        )
        assert results[0] == stored
        assert results[1] == results[2] == replace(new, sequence_number=2)
        assert [each.id for each in results[3]] == ["last", "new", "old"]
        assert numbers(store) == [1, 2, 3]
        results[1].data["mine"] = True
        assert results[2].data == {}

    def test_many_ids_that_come_again(self, store: SQLAlchemySessionStore):
        given = [event() for _ in range(173)]
        stored = store.append_events(given[:120])
        again = store.append_events(given)
        assert again[:120] == stored
        assert [each.sequence_number for each in again] == list(range(1, 174))

    def test_a_wrong_one_fails_alone(self, store: SQLAlchemySessionStore):
        bad = event()
        bad.data["bytes"] = b""
        results = store._write_batch(
            [
                ("append_event", (event(),), {}),
                ("append_event", ("no event",), {}),
                ("delete_session", ("",), {}),
                ("append_event", (event(),), {}),
            ]
        )
        assert [type(each) for each in results] == [
            type(None),
            ValidationError,
            ValidationError,
            type(None),
        ]
        with pytest.raises(ValidationError):
            store.append_event(bad)
        assert numbers(store) == [1, 2]

    def test_one_that_the_database_refuses_fails_alone(self, store: SQLAlchemySessionStore):
        refused = _refusing(store)
        results = store._write_batch(
            [
                ("append_event", (event(),), {}),
                ("flush", (session(id="s"), run(id="r"), [event(), event(run_id=refused)]), {}),
                ("append_event_with_sequence", (event(),), {}),
            ]
        )
        assert results[0] is None
        assert type(results[1]) is StorageError
        assert results[2].sequence_number == 2
        assert numbers(store) == [1, 2]
        assert store.list_sessions() == []

    def test_all_or_nothing(self, store: SQLAlchemySessionStore):
        store.append_event(event())
        refused = _refusing(store)
        with pytest.raises(StorageError, match="refused by a trigger"):
            store.append_events([event(), event("t"), event(run_id=refused), event()])
        with pytest.raises(StorageError, match="refused by a trigger"):
            store.flush(session(id="s"), run("s"), [event(), event(run_id=refused)])
        assert numbers(store) == [1]
        assert numbers(store, "t") == []
        assert store.list_sessions() == []
        assert store.list_runs("s") == []
        assert store.append_event_with_sequence(event()).sequence_number == 2

    def test_none_at_all(self, store: SQLAlchemySessionStore):
        assert store._write_batch([]) == []
        assert store.append_events([]) == []

    def test_what_is_no_operation(self, store: SQLAlchemySessionStore):
        with pytest.raises(KeyError):
            store._write_batch([("get_session", ("s",), {})])
        with pytest.raises(TypeError):
            store._write_batch([("append_event", (event(),), {}), ("append_event", (), {})])
        assert numbers(store) == []


def _refusing(store: SQLAlchemySessionStore) -> str:
    """Have the database refuse events with a certain run id; return that id."""
    on = "CREATE TRIGGER refusing BEFORE INSERT ON regrow_events"
    if store._connections.database.url.drivername.startswith("postgresql"):
        body = "BEGIN RAISE EXCEPTION 'refused by a trigger'; END"
        statements = [
            f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
            f"{on} FOR EACH ROW WHEN (NEW.run_id = 'refused') EXECUTE FUNCTION refuse()",
        ]
    else:
        body = "BEGIN SELECT RAISE(ABORT, 'refused by a trigger'); END"
        statements = [f"{on} WHEN NEW.run_id = 'refused' {body}"]
    for statement in statements:
        store._connections.write(lambda cursor, sql=statement: cursor.execute(sql))
    return "refused"


class TestStoresSideBySide:
    def test_two_on_one_database_number_without_gap_or_repeat(self, shared: SQLAlchemySessionStore):
        with SQLAlchemySessionStore(shared._connections.database.url, busy_timeout=LONG) as other:
            same = [event() for _ in range(20)]

            def append(by: SQLAlchemySessionStore) -> list[int | None]:
                given = [
                    by.append_events([event("a"), event("b"), event("a")])[0] for _ in range(10)
                ]
                given += [by.append_event_with_sequence(each) for each in same]
                return [each.sequence_number for each in given[10:]]

            with ThreadPoolExecutor(8) as threads:
                results = list(threads.map(append, [shared, other] * 4))
        assert all(each == results[0] for each in results)
        assert numbers(shared) == list(range(1, 21))
        assert numbers(shared, "a") == list(range(1, 161))
        assert numbers(shared, "b") == list(range(1, 81))

    def test_a_deletion_beside_appends_leaves_no_gap(self, shared: SQLAlchemySessionStore):
        with SQLAlchemySessionStore(shared._connections.database.url, busy_timeout=LONG) as other:
            with ThreadPoolExecutor(4) as threads:
                appending = [
                    threads.submit(lambda: [shared.append_event(event()) for _ in range(40)])
                    for _ in range(2)
                ]
                deleting = [
                    threads.submit(lambda: [other.delete_session("s") for _ in range(40)])
                    for _ in range(2)
                ]
                for each in (*appending, *deleting):
                    each.result(LONG)
            last = shared.get_latest_sequence("s")
            assert numbers(shared) == list(range(1, last + 1))

    def test_the_end_of_a_wait_brings_what_another_store_appended(
        self, shared: SQLAlchemySessionStore
    ):
        with SQLAlchemySessionStore(shared._connections.database.url) as other:
            watch = shared._watch_events

            def watch_and_append(query):
                future = watch(query)
                other.append_event(event(id="e"))
                return future

            shared._watch_events = watch_and_append  # type: ignore[method-assign]
            assert [each.id for each in shared.get_events("s", wait_timeout=0.01)] == ["e"]


class TestDurability:
    def test_sqlite_waits_for_the_disk_unless_told_otherwise(self, tmp_path: Path):
        def synchronous(**options: str) -> int:
            with SQLAlchemySessionStore(f"sqlite:///{tmp_path}/s.db", **options) as store:
                return store._rows("PRAGMA synchronous", ())[0][0]

        # 1 and 2 are SQLite's numbers of NORMAL and FULL.
        assert synchronous() == 2
        assert synchronous(synchronous="NORMAL") == 1

    def test_postgresql_waits_for_the_disk_whatever_its_default_is(self):
        with empty_database() as url:
            careless = url + "%20-csynchronous_commit%3Doff"
            with SQLAlchemySessionStore(careless) as store:
                assert store._rows("SHOW synchronous_commit", ()) == [("on",)]

    @pytest.mark.usefixtures("run_dir")
    def test_what_waits_in_a_mailbox_shares_a_transaction(self):
        """Each event is stamped with the transaction that stored it: `xmin`."""
        psycopg = pytest.importorskip("psycopg")
        with empty_database() as url:
            tree = Supervisor([Child(SQLAlchemySessionStore, {"url": url}, name="sessions")])
            with (
                tree.start(),
                connect("sessions", SessionStore, timeout=LONG) as sessions,
                psycopg.connect(url) as other,
                ThreadPoolExecutor(16) as threads,
            ):
                sessions.append_event(event(id="first"))
                # Holds the store up in its next transaction, until there are more to come.
                other.execute("SELECT * FROM regrow_sequences FOR UPDATE")
                given = [event(id=str(number)) for number in range(15)]
                appending = [
                    threads.submit(sessions.append_event_with_sequence, each) for each in given
                ]
                again = threads.submit(sessions.append_event, event(id="first"))
                waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                with psycopg.connect(url, autocommit=True) as watching:
                    eventually(lambda: watching.execute(waiting).fetchone()[0])
                assert not any(each.done() for each in appending)
                other.rollback()
                numbers = {each.result(LONG).sequence_number for each in appending}
                assert again.result(LONG) is None
                other.rollback()
                (transactions,) = other.execute(
                    "SELECT count(DISTINCT xmin::text) FROM regrow_events WHERE id <> 'first'"
                ).fetchone()
        assert numbers == set(range(2, 17))
        assert transactions < 15


class TestSharing:
    """The group commit by itself, with a `commit` that does as it is told."""

    def test_who_comes_during_a_transaction_shares_the_next_one(self):
        batches: list[int] = []
        first_began, go_on = threading.Event(), threading.Event()

        def commit(writes: list[Write]) -> list[Outcome]:
            batches.append(len(writes))
            first_began.set()
            go_on.wait(LONG)
            return [Written() for _ in writes]

        group = GroupCommit(commit)  # type: ignore[arg-type]
        with ThreadPoolExecutor(9) as threads:
            turns = [threads.submit(group.write, Write())]
            first_began.wait(LONG)
            turns += [threads.submit(group.write, Write()) for _ in range(8)]
            while len(group._waiting) < 8:
                pass
            go_on.set()
            for turn in turns:
                assert isinstance(turn.result(LONG), Written)
        assert batches == [1, 8]

    def test_an_interrupted_leader_leaves_an_error_to_the_others_and_hands_over(self):
        calls = 0
        began, go_on = threading.Event(), threading.Event()

        def commit(writes: list[Write]) -> list[Outcome]:
            nonlocal calls
            calls += 1
            if calls == 1:
                began.set()
                go_on.wait(LONG)
            if calls == 2:
                raise KeyboardInterrupt
            return [Written() for _ in writes]

        group = GroupCommit(commit)  # type: ignore[arg-type]
        with ThreadPoolExecutor(4) as threads:
            first = threads.submit(group.write, Write())
            began.wait(LONG)
            others = [threads.submit(group.write, Write()) for _ in range(3)]
            while len(group._waiting) < 3:
                pass
            go_on.set()
            assert isinstance(first.result(LONG), Written)
            ends = [turn.exception(LONG) or turn.result(LONG) for turn in others]
            assert sum(isinstance(end, KeyboardInterrupt) for end in ends) == 1
            assert sum(isinstance(end, StoreError) for end in ends) == 2
            assert isinstance(threads.submit(group.write, Write()).result(LONG), Written)


class TestValues:
    @given(strategies.json)
    def test_json_comes_back_as_it_was(self, value: object):
        assert repr(loads(dumps(value))) == repr(value)

    @pytest.mark.parametrize("digits", [4299, 4300, 4301, 20_000])
    def test_integers_of_any_size(self, digits: int):
        number = -(10**digits) + 7
        for value in (number, [number, {"a": [number, 1.5, None, True, "x"]}]):
            assert loads(dumps(value)) == value

    @pytest.mark.parametrize("text", ["", "{", "{} {}", "[1,]", "nonsense"])
    def test_what_is_no_json(self, text: str):
        with pytest.raises(ValueError, match=r"Expecting|Extra|delimiter"):
            loads(text)

    @pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": b""}, object()])
    def test_what_json_cannot_be_made_of(self, value: object):
        with pytest.raises((ValueError, TypeError)):
            dumps(value)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(session=strategies.sessions, run=strategies.runs, event=strategies.events)
    def test_every_field_comes_back_as_it_was(
        self, store: SQLAlchemySessionStore, session: Session, run: Run, event: Event
    ):
        store.delete_session(event.session_id)
        store.flush(session, run, [event])
        assert store.get_session(session.id).to_map() == session.to_map()
        assert store.get_run(run.id).to_map() == run.to_map()
        (stored,) = store.append_events([event])
        assert stored in store.get_events(stored.session_id, type=stored.type)
