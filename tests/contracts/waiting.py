"""The contract of session stores: waiting for events, and many callers at once."""

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier

import pytest

from ports import Event, SessionStore
from tests.contracts.samples import at, event, run, session

# Longer than any test may take: a wait that is not ended by its event fails.
LONG = 60


@pytest.fixture
def threads():
    with ThreadPoolExecutor(16) as executor:
        yield executor


class TestWaiting:
    def test_what_is_there_is_returned_at_once(self, session_store: SessionStore):
        stored = session_store.append_event_with_sequence(event())
        assert session_store.get_events("s", wait_timeout=LONG) == [stored]

    @pytest.mark.parametrize("seconds", [0, 0.0, 0.01])
    def test_the_result_is_empty_if_nothing_came(self, session_store: SessionStore, seconds: float):
        assert session_store.get_events("s", wait_timeout=seconds) == []
        session_store.append_event(event())
        assert session_store.get_events("s", after=1, wait_timeout=seconds) == []

    @pytest.mark.parametrize("filters", [{"limit": 0}, {"before": 1}, {"type": []}])
    def test_what_no_event_can_match_is_not_waited_for(
        self, session_store: SessionStore, filters: dict
    ):
        assert session_store.get_events("s", wait_timeout=LONG, **filters) == []

    # Whether the event comes before or after the wait begins is up to the threads; the result must
    # be the same, and repetition makes both happen.
    @pytest.mark.parametrize("_", range(5))
    def test_an_empty_result_waits_for_a_session_that_is_not(
        self, session_store: SessionStore, threads: ThreadPoolExecutor, _: int
    ):
        waiting = threads.submit(session_store.get_events, "unknown", wait_timeout=LONG)
        stored = session_store.append_event_with_sequence(event("unknown"))
        assert waiting.result(LONG) == [stored]

    @pytest.mark.parametrize("append", ["append_event", "append_events", "flush"])
    def test_every_way_to_append_ends_a_wait(
        self, session_store: SessionStore, threads: ThreadPoolExecutor, append: str
    ):
        waiting = threads.submit(session_store.get_events, "s", wait_timeout=LONG)
        given = event()
        if append == "append_event":
            session_store.append_event(given)
        elif append == "append_events":
            session_store.append_events([event("t"), given])
        else:
            session_store.flush(session(id="s"), run("s"), [given])
        assert [each.id for each in waiting.result(LONG)] == [given.id]

    @pytest.mark.parametrize(
        "filters",
        [
            {"after": 2},
            {"type": "error_occurred"},
            {"type": ["error_occurred", "error_recovered"]},
            {"run_id": "r"},
            {"since": at(5)},
            {"after": 1, "run_id": "r", "type": ["error_occurred"], "since": at(1), "limit": 5},
        ],
    )
    def test_only_a_match_ends_a_wait(
        self, session_store: SessionStore, threads: ThreadPoolExecutor, filters: dict
    ):
        session_store.append_event(event(timestamp=at(0)))
        waiting = threads.submit(session_store.get_events, "s", wait_timeout=LONG, **filters)
        session_store.append_event(event("t", type="error_occurred", run_id="r", timestamp=at(9)))
        session_store.append_event(event(timestamp=at(0)))
        session_store.append_event(
            event(id="it", type="error_occurred", run_id="r", timestamp=at(9))
        )
        assert [each.id for each in waiting.result(LONG)] == ["it"]

    def test_the_calls_of_others_go_on_meanwhile(
        self, session_store: SessionStore, threads: ThreadPoolExecutor
    ):
        waiting = [
            threads.submit(session_store.get_events, "s", wait_timeout=LONG) for _ in range(8)
        ]
        for number in range(50):
            session_store.save_session(session(id=f"other{number}"))
            session_store.append_event(event(f"other{number}"))
        assert len(session_store.list_sessions()) == 50
        assert not any(each.done() for each in waiting)
        stored = session_store.append_event_with_sequence(event())
        assert [each.result(LONG) for each in waiting] == [[stored]] * 8

    def test_those_who_wait_get_their_own_copies(
        self, session_store: SessionStore, threads: ThreadPoolExecutor
    ):
        waiting: list[Future[list[Event]]] = [
            threads.submit(session_store.get_events, "s", wait_timeout=LONG) for _ in range(2)
        ]
        session_store.append_event(event(data={"list": []}))
        waiting[0].result(LONG)[0].data["list"].append(1)
        assert waiting[1].result(LONG)[0].data == {"list": []}
        assert session_store.get_events("s")[0].data == {"list": []}

    def test_an_id_again_does_not_end_a_wait(
        self, session_store: SessionStore, threads: ThreadPoolExecutor
    ):
        stored = session_store.append_event_with_sequence(event())
        waiting = threads.submit(session_store.get_events, "s", after=1, wait_timeout=LONG)
        session_store.append_event(stored)
        new = session_store.append_event_with_sequence(event())
        assert waiting.result(LONG) == [new]

    def test_a_reader_that_follows_misses_nothing(
        self, session_store: SessionStore, threads: ThreadPoolExecutor
    ):
        def follow() -> list[int | None]:
            seen: list[int | None] = []
            while len(seen) < 100:
                found = session_store.get_events("s", after=len(seen), wait_timeout=LONG)
                seen += [each.sequence_number for each in found]
            return seen

        following = [threads.submit(follow) for _ in range(3)]
        for _ in range(100):
            session_store.append_event(event())
        for each in following:
            assert each.result(LONG) == list(range(1, 101))

    def test_readers_that_follow_many_writers_miss_nothing(
        self, session_store: SessionStore, threads: ThreadPoolExecutor
    ):
        def follow() -> list[int]:
            seen = [0]
            while seen[-1] < 240:
                found = session_store.get_events("s", after=seen[-1], wait_timeout=LONG)
                seen += [each.sequence_number or 0 for each in found]
            return seen[1:]

        def write(_: int) -> None:
            for _ in range(30):
                session_store.append_event(event())

        following = [threads.submit(follow) for _ in range(4)]
        list(threads.map(write, range(8)))
        for each in following:
            assert each.result(LONG) == list(range(1, 241))


class TestConcurrency:
    def test_sixteen_threads_append_without_gap_or_repeat(
        self, session_store: SessionStore, threads: ThreadPoolExecutor
    ):
        start = Barrier(16)

        def append() -> list[int | None]:
            start.wait(LONG)
            numbers = []
            for _ in range(10):
                numbers.append(session_store.append_event_with_sequence(event()).sequence_number)
                stored = session_store.append_events([event(), event()])
                numbers += [each.sequence_number for each in stored]
            return numbers

        results = [each.result(LONG) for each in [threads.submit(append) for _ in range(16)]]
        assert sorted(number for numbers in results for number in numbers) == list(range(1, 481))
        for numbers in results:
            assert numbers == sorted(numbers)
        stored = [each.sequence_number for each in session_store.get_events("s")]
        assert stored == list(range(1, 481))

    def test_a_batch_is_not_interleaved_with_others(
        self, session_store: SessionStore, threads: ThreadPoolExecutor
    ):
        def append(_: int) -> list[int]:
            stored = session_store.append_events([event() for _ in range(20)])
            return [each.sequence_number or 0 for each in stored]

        for numbers in threads.map(append, range(16)):
            assert numbers == list(range(numbers[0], numbers[0] + 20))

    def test_one_event_appended_by_all_is_stored_once(
        self, session_store: SessionStore, threads: ThreadPoolExecutor
    ):
        start = Barrier(16)
        given = event()

        def append() -> Event:
            start.wait(LONG)
            return session_store.append_event_with_sequence(given)

        results = [each.result(LONG) for each in [threads.submit(append) for _ in range(16)]]
        assert all(each == results[0] for each in results)
        assert session_store.get_latest_sequence("s") == 1

    def test_one_session_saved_by_all_is_listed_once(
        self, session_store: SessionStore, threads: ThreadPoolExecutor
    ):
        saved = [session(id="s", metadata={"by": number}) for number in range(64)]
        for each in [threads.submit(session_store.save_session, one) for one in saved]:
            each.result(LONG)
        (kept,) = session_store.list_sessions()
        assert kept in saved
