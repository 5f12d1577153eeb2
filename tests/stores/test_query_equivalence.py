"""A database answers queries as memory does, whatever is stored and asked; and page by page too."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ports import EVENT_TYPES, RUN_STATUSES, SESSION_STATUSES, Event, Run, Session
from ports._filters import EVENT_ORDERS, RUN_ORDERS, SESSION_ORDERS
from stores import InMemorySessionStore, SQLAlchemySessionStore
from tests import strategies
from tests.contracts.samples import at, event, run, session

# Few of each, so that they meet; and some that sort or are quoted in their own ways.
IDS = ["a", "B", "ä", "\U0001f600", "a'b"]
SESSION_IDS = ["s", "S", "ß", "\uffff", "\U00010000"]
TEXTS = ["", "p", "P", '"', "[]", "p,q", "\u2028"]
TYPES = ["message_sent", "message_streamed", "error_occurred"]

ids, session_ids, texts = map(st.sampled_from, (IDS, SESSION_IDS, TEXTS))
moments = st.integers(0, 5).map(at) | strategies.moments
usages = st.dictionaries(
    st.sampled_from(["input_tokens", "", 'a.b"c', "$.x", "ü"]),
    strategies.numbers | st.sampled_from([True, None, "5", [1], {"n": 1}, 2**63, -(2**63), 0.1]),
    max_size=3,
)
sessions = st.builds(
    session,
    id=session_ids,
    agent_id=ids,
    status=st.sampled_from(sorted(SESSION_STATUSES)),
    tags=st.lists(texts, max_size=3),
    created_at=moments,
    updated_at=moments,
    deleted_at=st.none() | moments,
)
runs = st.builds(
    run,
    st.sampled_from(SESSION_IDS),
    id=st.sampled_from([*IDS, "r1", "r2", "r3"]),
    status=st.sampled_from(sorted(RUN_STATUSES)),
    provider=st.none() | texts,
    provider_metadata=st.sampled_from([{}, {"model": "m"}, {"model": ""}, {"model": 5}]),
    token_usage=usages,
    cost_usd=st.none() | strategies.numbers,
    started_at=moments,
)
events = st.builds(
    event,
    st.sampled_from(SESSION_IDS),
    id=st.uuids().map(str),
    type=st.sampled_from(TYPES),
    timestamp=moments,
    run_id=st.none() | ids,
    provider=st.none() | texts,
    correlation_id=st.none() | texts,
)
stored = st.lists(sessions | runs | events, max_size=25)


def _some(values: list[str]) -> Any:
    return st.sampled_from(values) | st.lists(st.sampled_from(values), max_size=3)


def _filters(**each: Any) -> Any:
    return st.fixed_dictionaries({}, optional=each)


times = {"since": moments, "until": moments}
of_sessions = _filters(
    agent_id=_some(IDS),
    status=_some(sorted(SESSION_STATUSES)),
    provider=_some(TEXTS),
    tags=_some(TEXTS),
    include_deleted=st.booleans(),
    **times,
)
of_runs = _filters(
    session_id=_some(SESSION_IDS),
    agent_id=_some(IDS),
    status=_some(sorted(RUN_STATUSES)),
    provider=_some(TEXTS),
    **times,
)
of_events = _filters(
    session_id=_some(SESSION_IDS),
    agent_id=_some(IDS),
    run_id=_some(IDS),
    type=_some(sorted(EVENT_TYPES)),
    provider=_some(TEXTS),
    correlation_id=_some(TEXTS),
    **times,
)


@pytest.fixture(scope="module")
def database() -> Iterator[SQLAlchemySessionStore]:
    with SQLAlchemySessionStore("sqlite:///:memory:") as store:
        yield store


def _store(store: Any, item: Session | Run | Event) -> None:
    if isinstance(item, Session):
        store.save_session(item)
    elif isinstance(item, Run):
        store.save_run(item)
    else:
        store.append_event(item)


def _clear(database: SQLAlchemySessionStore) -> None:
    for session_id in SESSION_IDS:
        database.delete_session(session_id)


def _pages(search: Any, **arguments: Any) -> list[Any]:
    found = []
    cursor = None
    while True:
        page = search(**arguments, cursor=cursor)
        found.append(page)
        cursor = page.cursor
        if cursor is None:
            return found


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(stored, st.data())
def test_a_database_answers_as_memory_does(
    database: SQLAlchemySessionStore, items: list[Session | Run | Event], data: st.DataObject
):
    _clear(database)
    with InMemorySessionStore() as memory:
        for item in items:
            _store(memory, item)
            _store(database, item)
        for _ in range(4):
            _compare_a_search(memory, database, data)
        wanted = data.draw(of_runs)
        assert _exactly(memory.get_usage_summary(**wanted)) == _exactly(
            database.get_usage_summary(**wanted)
        )
        assert _exactly(memory.get_cost_summary(**wanted)) == _exactly(
            database.get_cost_summary(**wanted)
        )
        for item in memory.search_sessions(include_deleted=True, limit=None).items:
            assert _exactly(memory.get_session_stats(item.id)) == _exactly(
                database.get_session_stats(item.id)
            )
            assert memory.export_session(item.id) == database.export_session(item.id)
        assert memory.health_check() == database.health_check()


def _compare_a_search(memory: Any, database: Any, data: st.DataObject) -> None:
    operation, filters, orders = data.draw(
        st.sampled_from(
            [
                ("search_sessions", of_sessions, SESSION_ORDERS),
                ("search_runs", of_runs, RUN_ORDERS),
                ("search_events", of_events, EVENT_ORDERS),
            ]
        )
    )
    wanted = data.draw(filters)
    paging = {
        "order_by": data.draw(st.sampled_from(sorted(orders))),
        "limit": data.draw(st.integers(1, 5)),
        "with_total": True,
    }
    by_memory = _pages(getattr(memory, operation), **wanted, **paging)
    by_database = _pages(getattr(database, operation), **wanted, **paging)
    assert [page.items for page in by_memory] == [page.items for page in by_database]
    assert {page.total for page in [*by_memory, *by_database]} == {
        sum(len(page.items) for page in by_memory)
    }
    if operation == "search_events":
        assert memory.count_events(**wanted) == database.count_events(**wanted)
        assert memory.count_events(**wanted) == by_memory[0].total


def _exactly(record: Any) -> str:
    """Tell 1 from 1.0, and show integers of any size."""
    return _shown(record.to_map())


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return str([(key, _shown(each)) for key, each in value.items()])
    if isinstance(value, list):
        return str(list(map(_shown, value)))
    return hex(value) if type(value) is int else repr(value)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize(
    ("operation", "order"),
    [
        ("search_sessions", "created_at_asc"),
        ("search_sessions", "created_at_desc"),
        ("search_runs", "started_at_desc"),
        ("search_events", "timestamp_asc"),
        ("search_events", "sequence_desc"),
    ],
)
def test_pages_hold_everything_once_while_others_write(
    kind: str, operation: str, order: str, tmp_path: Path
):
    def open_store() -> Any:
        if kind == "memory":
            return InMemorySessionStore()
        return SQLAlchemySessionStore(f"sqlite:///{tmp_path}/sessions.db", synchronous="OFF")

    with open_store() as store, ThreadPoolExecutor(2) as threads:
        for number in range(60):
            _put(store, operation, f"there {number}", number)
        there = {item.id for item in getattr(store, operation)(limit=None, order_by=order).items}

        def write(offset: int) -> None:
            for number in range(100):
                _put(store, operation, f"new {offset} {number}", 7 * number % 60)

        writing = [threads.submit(write, offset) for offset in range(2)]
        pages = _pages(getattr(store, operation), order_by=order, limit=4)
        found = [item.id for page in pages for item in page.items]
        assert len(found) == len(set(found))
        assert there <= set(found)
        for each in writing:
            each.result()


def _put(store: Any, operation: str, id_: str, number: int) -> None:
    moment = at(number // 3)
    if operation == "search_sessions":
        store.save_session(session(id=id_, created_at=moment))
    elif operation == "search_runs":
        store.save_run(run(id=id_, started_at=moment))
    else:
        store.append_event(event(f"s{number % 3}", id=id_, timestamp=moment))
