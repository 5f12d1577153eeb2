"""What is special to the store in memory, and to waiting in the same process."""

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dill
import pytest

from ports import ArtifactStore, SessionStore, StorageError
from ports._arguments import EventQuery
from stores import InMemorySessionStore
from tests.contracts.samples import at, event, run, session

CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("save_session", (session(),)),
    ("get_session", ("s",)),
    ("list_sessions", ()),
    ("delete_session", ("s",)),
    ("save_run", (run(),)),
    ("get_run", ("r",)),
    ("list_runs", ("s",)),
    ("get_active_run", ("s",)),
    ("append_event", (event(),)),
    ("append_event_with_sequence", (event(),)),
    ("append_events", ([event()],)),
    ("flush", (session(), run(), [])),
    ("get_events", ("s",)),
    ("get_latest_sequence", ("s",)),
]


@pytest.fixture
def store():
    with InMemorySessionStore() as store:
        yield store


def test_it_is_a_session_store_and_no_artifact_store(store: InMemorySessionStore):
    assert isinstance(store, SessionStore)
    assert not isinstance(store, ArtifactStore)


@pytest.mark.parametrize(("operation", "arguments"), CALLS)
def test_a_closed_store_says_so(operation: str, arguments: tuple[Any, ...]):
    store = InMemorySessionStore()
    store.close()
    store.close()
    with pytest.raises(StorageError, match="InMemorySessionStore is closed"):
        getattr(store, operation)(*arguments)


def test_the_calls_are_all_operations():
    assert {name for name, _ in CALLS} == set(SessionStore.__abstractmethods__)


def test_leaving_the_with_block_closes():
    with InMemorySessionStore() as store:
        store.save_session(session())
    with pytest.raises(StorageError):
        store.list_sessions()


def test_closing_ends_the_waits(store: InMemorySessionStore):
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(store.get_events, "s", wait_timeout=60) for _ in range(4)]
        store.close()
        for each in waiting:
            with pytest.raises(StorageError, match="closed"):
                each.result(60)


def test_a_watch_is_done_when_its_event_is_stored(store: InMemorySessionStore):
    future = store._watch_events(EventQuery.of("s", type="error_occurred"))
    store.append_event(event())
    store.append_event(event("t", type="error_occurred"))
    assert not future.done()
    stored = store.append_event_with_sequence(event(type="error_occurred"))
    assert future.result(0) == [stored]
    store._unwatch(future)
    assert future.result(0) == [stored]


def test_a_watch_is_done_at_once_when_its_event_is_there(store: InMemorySessionStore):
    stored = store.append_event_with_sequence(event())
    assert store._watch_events(EventQuery.of("s")).result(0) == [stored]
    _assert_nobody_waits(store)


def test_a_watch_heeds_its_limit(store: InMemorySessionStore):
    future = store._watch_events(EventQuery.of("s", limit=2))
    store.append_events([event(id=str(number)) for number in range(3)])
    assert [each.id for each in future.result(0)] == ["0", "1"]


def test_a_watch_that_is_given_up_is_cancelled(store: InMemorySessionStore):
    future = store._watch_events(EventQuery.of("s"))
    other = store._watch_events(EventQuery.of("s"))
    store._unwatch(future)
    store._unwatch(future)
    assert future.cancelled()
    store.append_event(event())
    assert len(other.result(0)) == 1
    _assert_nobody_waits(store)


def test_a_watch_that_was_cancelled_harms_nobody(store: InMemorySessionStore):
    cancelled = store._watch_events(EventQuery.of("s"))
    cancelled.cancel()
    other = store._watch_events(EventQuery.of("s"))
    store.append_event(event())
    assert len(other.result(0)) == 1
    store._watch_events(EventQuery.of("t")).cancel()
    store.close()


def test_a_wait_that_times_out_leaves_nothing_behind(store: InMemorySessionStore):
    assert store.get_events("s", wait_timeout=0.001) == []
    _assert_nobody_waits(store)


def test_a_watch_outlives_the_deletion_of_its_session(store: InMemorySessionStore):
    store.append_event(event())
    future = store._watch_events(EventQuery.of("s", type="error_occurred"))
    store.delete_session("s")
    assert not future.done()
    stored = store.append_event_with_sequence(event(type="error_occurred"))
    assert stored.sequence_number == 1
    assert future.result(0) == [stored]


def test_a_watch_of_a_closed_store(store: InMemorySessionStore):
    store.close()
    errors = []
    for _ in range(2):
        with pytest.raises(StorageError) as caught:
            store._watch_events(EventQuery.of("s"))
        errors.append(caught.value)
    assert errors[0] is not errors[1]


def test_deleting_leaves_nothing_behind(store: InMemorySessionStore):
    for number in range(3):
        store.save_session(session(id="s"))
        store.save_run(run("s", status="running", started_at=at(number)))
        store.append_events([event("s"), event("s")])
        store.delete_session("s")
    assert not store._events
    assert not store._logs
    assert not store._runs._by_id
    assert not store._runs._all
    assert not store._runs._running


def test_dill_carries_a_store_with_what_is_in_it(store: InMemorySessionStore):
    store.save_session(session(id="s"))
    stored = store.append_event_with_sequence(event())
    with dill.loads(dill.dumps(store)) as other:
        assert other.get_session("s") == store.get_session("s")
        assert other.get_events("s", wait_timeout=60) == [stored]
        other.append_event(event())
    assert store.get_latest_sequence("s") == 1


def test_waiters_miss_nothing_when_threads_switch_at_every_chance():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with InMemorySessionStore() as store, ThreadPoolExecutor(4) as threads:
            for number in range(200):
                name = f"s{number}"
                waiting = threads.submit(store.get_events, name, wait_timeout=60)
                stored = threads.submit(store.append_event_with_sequence, event(name))
                assert waiting.result(60) == [stored.result(60)]
            _assert_nobody_waits(store)
    finally:
        sys.setswitchinterval(before)


def test_a_store_that_serves_remote_callers_only_copies_nothing(store: InMemorySessionStore):
    store._copies = False
    saved, running, appended = session(id="s"), run("s", status="running"), event("s")
    store.flush(saved, running, [appended])
    assert store.get_session("s") is saved
    assert store.list_sessions()[0] is saved
    assert store.get_run(running.id) is running
    assert store.get_active_run("s") is running
    assert store.append_event_with_sequence(event("s", id=appended.id)) is appended
    assert store.get_events("s")[0] is appended
    assert appended.sequence_number == 1


def _assert_nobody_waits(store: InMemorySessionStore) -> None:
    assert not store._waiters._session_of
    assert not store._waiters._by_session
