"""The contract of queries: searching, counting and adding up across sessions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ports import (
    EVENT_TYPES,
    Cost,
    CostSummary,
    InvalidCursor,
    InvalidEventType,
    InvalidStatus,
    SessionExport,
    SessionNotFound,
    SessionStats,
    Usage,
    UsageSummary,
    ValidationError,
)
from tests.contracts.samples import AWKWARD_JSON, at, event, run, session

ORDERS = {
    "search_sessions": (
        "created_at_asc",
        "created_at_desc",
        "updated_at_asc",
        "updated_at_desc",
    ),
    "search_runs": ("started_at_asc", "started_at_desc"),
    "search_events": ("timestamp_asc", "timestamp_desc", "sequence_asc", "sequence_desc"),
}
SEARCHES = [(name, order) for name, orders in ORDERS.items() for order in orders]


def ids(page: Any) -> list[str]:
    return [each.id for each in page.items]


def pages(search: Any, **arguments: Any) -> list[list[str]]:
    """The ids on every page."""
    found = []
    cursor = None
    while True:
        page = search(**arguments, cursor=cursor)
        found.append(ids(page))
        cursor = page.cursor
        if cursor is None:
            return found


def fill(store: Any) -> None:
    """Several of everything, at moments of which some are the same."""
    for number in range(7):
        store.save_session(
            session(id=f"s{number}", created_at=at(number // 2), updated_at=at(-(number // 3)))
        )
        store.save_run(run(f"s{number % 3}", id=f"r{number}", started_at=at(number // 2)))
        store.append_event(event(f"s{number % 3}", id=f"e{number}", timestamp=at(number // 2)))


class TestPages:
    def test_pages_have_everything_once_and_in_order(self, session_store: Any):
        fill(session_store)
        for operation, order in SEARCHES:
            self._check_pages(getattr(session_store, operation), order)

    def _check_pages(self, search: Any, order: str) -> None:
        [everything] = pages(search, order_by=order, limit=None)
        assert len(everything) == 7
        for limit in (1, 2, 3, 6):
            parts = pages(search, order_by=order, limit=limit)
            assert [len(part) for part in parts[:-1]] == [limit] * (len(parts) - 1)
            assert [id_ for part in parts for id_ in part] == everything
        assert pages(search, order_by=order, limit=7) == [everything]
        if order.endswith("_desc"):
            assert pages(search, order_by=order.replace("_desc", "_asc"), limit=2**70) == [
                everything[::-1]
            ]

    def test_of_the_same_moment_what_was_inserted_first_comes_first(self, session_store: Any):
        for id_ in ("b", "a", "c"):
            session_store.save_session(session(id=id_, created_at=at(0)))
            session_store.save_run(run("b", id=id_, started_at=at(0)))
        session_store.save_session(session(id="b", created_at=at(0), status="active"))
        session_store.save_run(run("b", id="b", started_at=at(0), status="failed"))
        for order, expected in (("asc", ["b", "a", "c"]), ("desc", ["c", "a", "b"])):
            sessions = session_store.search_sessions(order_by=f"created_at_{order}")
            runs = session_store.search_runs(order_by=f"started_at_{order}")
            assert ids(sessions) == ids(runs) == expected

    def test_events_of_the_same_moment_are_in_the_order_of_session_and_number(
        self, session_store: Any
    ):
        for id_, of in (("1", "ä"), ("2", "a"), ("3", "Z"), ("4", "a"), ("5", "\U0001f600")):
            session_store.append_event(event(of, id=id_, timestamp=at(0)))
        for order in ("timestamp_asc", "sequence_asc"):
            assert ids(session_store.search_events(order_by=order)) == ["3", "2", "4", "1", "5"]

    def test_the_default_orders(self, session_store: Any):
        fill(session_store)
        for operation, order in (
            ("search_sessions", "updated_at_desc"),
            ("search_runs", "started_at_desc"),
            ("search_events", "timestamp_asc"),
        ):
            search = getattr(session_store, operation)
            assert ids(search()) == ids(search(order_by=order))

    def test_limits_and_totals(self, session_store: Any):
        searches = [getattr(session_store, operation) for operation in ORDERS]
        for search in searches:
            empty = search(with_total=True)
            assert (empty.items, empty.cursor, empty.total) == ([], None, 0)
        fill(session_store)
        for search in searches:
            none = search(limit=0, with_total=True)
            assert (none.items, none.cursor, none.total) == ([], None, 7)
            first = search(limit=5, with_total=True)
            assert (len(first.items), first.total) == (5, 7)
            second = search(limit=5, cursor=first.cursor, with_total=True)
            assert (len(second.items), second.cursor, second.total) == (2, None, 7)
            assert search(limit=5).total is None

    def test_what_comes_in_between_neither_repeats_nor_hides_anything(self, session_store: Any):
        fill(session_store)
        first = session_store.search_sessions(order_by="created_at_asc", limit=3)
        session_store.save_session(session(id="early", created_at=at(-100)))
        session_store.save_session(session(id="late", created_at=at(100)))
        session_store.delete_session(first.items[-1].id)
        rest = session_store.search_sessions(
            order_by="created_at_asc", limit=None, cursor=first.cursor
        )
        assert ids(first) + ids(rest) == [f"s{number}" for number in range(7)] + ["late"]

    def test_a_cursor_belongs_to_its_search(self, session_store: Any):
        fill(session_store)
        cursors = {
            search: getattr(session_store, search[0])(order_by=search[1], limit=2).cursor
            for search in SEARCHES
        }
        for operation, order in SEARCHES:
            search = getattr(session_store, operation)
            for of, cursor in cursors.items():
                if of != (operation, order):
                    with pytest.raises(InvalidCursor) as caught:
                        search(order_by=order, cursor=cursor)
                    assert caught.value.code == "invalid_cursor"
                    assert caught.value.details["field"] == "cursor"
            cursor = cursors[operation, order]
            with pytest.raises(InvalidCursor):
                search(order_by=order, cursor=cursor, since=at(0))
            # What is asked for page by page may change.
            assert len(search(order_by=order, cursor=cursor, limit=1, with_total=True).items) == 1

    def test_a_cursor_that_was_tampered_with(self, session_store: Any):
        fill(session_store)
        cursor = session_store.search_events(limit=2).cursor
        tampered = [
            cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
            for place in range(len(cursor))
        ]
        for bad in [
            "",
            "x",
            "é",
            "\ud800",
            "a b",
            cursor + "=",
            cursor + "A",
            " " + cursor,
            cursor[1:],
            cursor[:-1],
            cursor.swapcase(),
            "A" * 100,
            "A" * 10_000,
            *tampered,
        ]:
            with pytest.raises(InvalidCursor):
                session_store.search_events(limit=2, cursor=bad)

    def test_filters_in_another_order_are_the_same_search(self, session_store: Any):
        fill(session_store)
        cursor = session_store.search_sessions(
            agent_id=["agent", "b"], tags=(), limit=2, order_by="created_at_asc"
        ).cursor
        rest = session_store.search_sessions(
            agent_id=["b", "agent", "b"], tags=[], order_by="created_at_asc", cursor=cursor
        )
        assert ids(rest) == ["s2", "s3", "s4", "s5", "s6"]


SESSIONS_FOUND: list[tuple[dict[str, Any], str]] = [
    ({}, "abcd"),
    ({"agent_id": "one"}, "ab"),
    ({"agent_id": ["one", "two", "none"]}, "abc"),
    ({"agent_id": []}, ""),
    ({"status": "active"}, "a"),
    ({"status": ["active", "failed"]}, "acd"),
    ({"provider": "p"}, "ab"),
    ({"provider": ["q", ""]}, "bc"),
    ({"provider": "none"}, ""),
    ({"tags": "red"}, "abd"),
    ({"tags": ["red", "blue"]}, "bd"),
    ({"tags": ["blue", "red", "green", "'\"\\,[]"]}, "d"),
    ({"tags": ["re"]}, ""),
    ({"tags": []}, "abcd"),
    ({"since": at(1)}, "bcd"),
    ({"until": at(1)}, "a"),
    ({"since": at(1), "until": at(2)}, "b"),
    ({"since": at(2), "until": at(1)}, ""),
    ({"include_deleted": True}, "abcde"),
    ({"agent_id": "two", "status": "failed", "since": at(2)}, "c"),
]


class TestSearchingSessions:
    def test_filters(self, session_store: Any):
        fields: dict[str, dict[str, Any]] = {
            "a": {"agent_id": "one", "status": "active", "tags": ["red"]},
            "b": {"agent_id": "one", "status": "paused", "tags": ["blue", "red"]},
            "c": {"agent_id": "two", "status": "failed", "tags": []},
            "d": {
                "agent_id": "\u00fcber",
                "status": "failed",
                "tags": ["red", "green", "blue", "'\"\\,[]", "red"],
            },
            "e": {"agent_id": "two", "deleted_at": at(9), "tags": ["blue"]},
        }
        for number, (id_, given) in enumerate(fields.items()):
            session_store.save_session(session(id=id_, created_at=at(number), **given))
        for of, provider in (
            ("a", "p"),
            ("b", "p"),
            ("b", "p"),
            ("b", "q"),
            ("c", ""),
            ("d", None),
        ):
            session_store.save_run(run(of, provider=provider))
        for filters, expected in SESSIONS_FOUND:
            page = session_store.search_sessions(
                order_by="created_at_asc", with_total=True, **filters
            )
            assert ids(page) == list(expected)
            assert page.total == len(expected)

    def test_a_session_is_returned_with_every_field(self, session_store: Any):
        saved = session(metadata=AWKWARD_JSON, tags=["x"], parent_session_id="p", updated_at=at(3))
        session_store.save_session(saved)
        assert session_store.search_sessions().items == [saved]

    def test_the_ends_of_time(self, session_store: Any):
        first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        session_store.save_session(session(id="a", created_at=first))
        session_store.save_session(session(id="b", created_at=last))
        assert ids(session_store.search_sessions(since=last)) == ["b"]
        assert ids(session_store.search_sessions(until=last)) == ["a"]
        assert pages(session_store.search_sessions, order_by="created_at_desc", limit=1) == [
            ["b"],
            ["a"],
        ]


RUNS_FOUND: list[tuple[dict[str, Any], str]] = [
    ({}, "abcd"),
    ({"session_id": "s"}, "ab"),
    ({"session_id": ["s", "t"]}, "abc"),
    ({"agent_id": "agent"}, "ab"),
    ({"agent_id": ["agent", "other"]}, "abc"),
    ({"status": ["running", "failed"]}, "bc"),
    ({"provider": "p"}, "ad"),
    ({"provider": ("p", "q")}, "abd"),
    ({"since": at(1), "until": at(3)}, "bc"),
    ({"since": at(1) + timedelta(microseconds=1)}, "cd"),
    ({"session_id": (), "provider": "p"}, ""),
]


class TestSearchingRuns:
    def test_filters(self, session_store: Any):
        session_store.save_session(session(id="s"))
        session_store.save_session(session(id="t", agent_id="other", deleted_at=at(0)))
        for number, (of, status, provider) in enumerate(
            [
                ("s", "pending", "p"),
                ("s", "running", "q"),
                ("t", "failed", None),
                ("u", "timeout", "p"),
            ]
        ):
            session_store.save_run(
                run(of, id="abcd"[number], status=status, provider=provider, started_at=at(number))
            )
        for filters, expected in RUNS_FOUND:
            page = session_store.search_runs(order_by="started_at_asc", with_total=True, **filters)
            assert ids(page) == list(expected)
            assert page.total == len(expected)
            assert session_store.get_usage_summary(**filters).run_count == len(expected)
            assert session_store.get_cost_summary(**filters).run_count == len(expected)

    def test_a_run_is_returned_with_every_field(self, session_store: Any):
        saved = run(input=AWKWARD_JSON, output=[1], provider_metadata={"model": "m"}, cost_usd=0.1)
        session_store.save_run(saved)
        assert session_store.search_runs().items == [saved]


EVENTS_FOUND: list[tuple[dict[str, Any], str]] = [
    ({}, "abcde"),
    ({"session_id": "s"}, "abc"),
    ({"session_id": ["t", "u"]}, "de"),
    ({"agent_id": "agent"}, "abc"),
    ({"run_id": "r"}, "be"),
    ({"run_id": ["r", "q"]}, "bce"),
    ({"type": "message_sent"}, "ad"),
    ({"type": ["message_sent", "error_occurred"]}, "abd"),
    ({"type": sorted(EVENT_TYPES)}, "abcde"),
    ({"type": []}, ""),
    ({"provider": "p"}, "ad"),
    ({"correlation_id": "x"}, "ac"),
    ({"correlation_id": ["x", ""]}, "acd"),
    ({"since": at(1), "until": at(3)}, "bc"),
    ({"session_id": "s", "type": "message_sent", "provider": "p"}, "a"),
]


class TestSearchingEvents:
    def test_filters(self, session_store: Any):
        session_store.save_session(session(id="s"))
        session_store.save_session(session(id="t", agent_id="other"))
        for number, (of, fields) in enumerate(
            [
                ("s", {"provider": "p", "correlation_id": "x"}),
                ("s", {"type": "error_occurred", "run_id": "r"}),
                ("s", {"type": "turn_completed", "run_id": "q", "correlation_id": "x"}),
                ("t", {"provider": "p", "correlation_id": ""}),
                ("u", {"type": "run_started", "run_id": "r"}),
            ]
        ):
            session_store.append_event(
                event(of, id="abcde"[number], timestamp=at(number), **fields)
            )
        for filters, expected in EVENTS_FOUND:
            page = session_store.search_events(with_total=True, **filters)
            assert ids(page) == list(expected)
            assert page.total == session_store.count_events(**filters) == len(expected)

    def test_an_event_is_returned_with_every_field(self, session_store: Any):
        stored = session_store.append_event_with_sequence(
            event(data=AWKWARD_JSON, metadata={"a": 1}, schema_version=2**70)
        )
        assert session_store.search_events().items == [stored]


SUMS: list[tuple[list[Any], Any]] = [
    ([1, 2, 3], 6),
    ([2**63 - 1, 2**63 - 1, 1], 2**64 - 1),
    ([10**5000, 1, -(10**5000)], 1),
    ([0.1] * 10, 1.0),
    ([0.1, 0.2], 0.3),
    ([1, 0.5], 1.5),
    ([1e308, 1e308], 2 * 10**308),
    ([1e308, 5e-324, -1e308], 5e-324),
    ([1e16, 1.0, -1e16], 1.0),
    ([1e22, 1], 1e22),
    ([-0.0], 0.0),
    ([0.5, -0.5], 0.0),
    ([2**53, 1, 1.0], float(2**53 + 2)),
]


class TestSummaries:
    def test_of_nothing(self, session_store: Any):
        assert session_store.get_usage_summary() == UsageSummary()
        assert session_store.get_cost_summary() == CostSummary()

    def test_usage_is_added_up_by_name_and_provider(self, session_store: Any):
        for provider, usage in (
            ("p", {"input_tokens": 10, "output_tokens": 5, "nested": {"x": 1}}),
            ("p", {"input_tokens": 1, "cached": 7, "text": "5", "yes": True, "none": None}),
            ("q", {"input_tokens": 2**70, "a.b \"c'": -3, "": 1}),
            (None, {}),
        ):
            session_store.save_run(run(provider=provider, token_usage=usage))
        assert session_store.get_usage_summary() == UsageSummary(
            run_count=4,
            token_totals={
                "": 1,
                "a.b \"c'": -3,
                "cached": 7,
                "input_tokens": 11 + 2**70,
                "output_tokens": 5,
            },
            by_provider={
                None: Usage(run_count=1),
                "p": Usage(
                    run_count=2,
                    token_totals={"cached": 7, "input_tokens": 11, "output_tokens": 5},
                ),
                "q": Usage(
                    run_count=1, token_totals={"": 1, "a.b \"c'": -3, "input_tokens": 2**70}
                ),
            },
        )

    def test_numbers_are_added_up_exactly(self, session_store: Any):
        for of, (numbers, _) in enumerate(SUMS):
            for number in numbers:
                session_store.save_run(run(f"s{of}", token_usage={"n": number}, cost_usd=number))
        for of, (_, total) in enumerate(SUMS):
            tokens = session_store.get_usage_summary(session_id=f"s{of}").token_totals["n"]
            cost = session_store.get_cost_summary(session_id=f"s{of}").total_cost_usd
            assert (repr_of(tokens), repr_of(cost)) == (repr_of(total), repr_of(total))

    def test_costs_by_provider_and_model(self, session_store: Any):
        for provider, model, cost in (
            ("p", "m", 0.1),
            ("p", "m", 0.2),
            ("p", "n", None),
            ("q", "m", 3),
            (None, None, 1),
            (None, ["no text"], None),
        ):
            metadata = {} if model is None else {"model": model, "other": 1}
            session_store.save_run(
                run(provider=provider, provider_metadata=metadata, cost_usd=cost)
            )
        assert session_store.get_cost_summary() == CostSummary(
            run_count=6,
            runs_without_cost=2,
            total_cost_usd=4.3,
            by_provider={
                None: Cost(run_count=2, runs_without_cost=1, total_cost_usd=1),
                "p": Cost(run_count=3, runs_without_cost=1, total_cost_usd=0.3),
                "q": Cost(run_count=1, total_cost_usd=3),
            },
            by_model={
                None: Cost(run_count=2, runs_without_cost=1, total_cost_usd=1),
                "m": Cost(run_count=3, total_cost_usd=3.3),
                "n": Cost(run_count=1, runs_without_cost=1, total_cost_usd=0),
            },
        )

    def test_the_stats_of_a_session(self, session_store: Any):
        session_store.save_session(session(id="s", deleted_at=at(0)))
        assert session_store.get_session_stats("s") == SessionStats(session_id="s")
        session_store.save_run(
            run(status="failed", provider="q", token_usage={"n": 2**64}, cost_usd=0.1)
        )
        session_store.save_run(
            run(status="failed", provider="p", token_usage={"n": 1}, cost_usd=0.2)
        )
        session_store.save_run(run(status="pending"))
        session_store.save_run(run("t", provider="r"))
        for minutes in (3, 1, 2):
            session_store.append_event(event(timestamp=at(minutes)))
        assert session_store.get_session_stats("s") == SessionStats(
            session_id="s",
            event_count=3,
            latest_sequence=3,
            run_count=3,
            status_counts={"failed": 2, "pending": 1},
            providers_used=["p", "q"],
            token_totals={"n": 2**64 + 1},
            total_cost_usd=0.3,
            first_event_at=at(1),
            last_event_at=at(3),
        )

    def test_the_stats_of_a_session_that_is_not(self, session_store: Any):
        session_store.save_run(run("s"))
        for operation in ("get_session_stats", "export_session"):
            with pytest.raises(SessionNotFound, match="no-such-session"):
                getattr(session_store, operation)("no-such-session")

    def test_an_export_has_everything_of_its_session(self, session_store: Any):
        saved = session(id="s", metadata=AWKWARD_JSON)
        session_store.save_session(saved)
        assert session_store.export_session("s") == SessionExport(session=saved)
        runs = [run(id=f"r{number}", started_at=at(-number)) for number in range(3)]
        for each in [*runs, run("t")]:
            session_store.save_run(each)
        events = session_store.append_events([event(id=f"e{number}") for number in range(3)])
        session_store.append_event(event("t"))
        export = session_store.export_session("s")
        assert export == SessionExport(session=saved, runs=runs[::-1], events=events)
        assert SessionExport.from_map(export.to_map()) == export


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("search_sessions", {"agent_id": ""}, "agent_id"),
    ("search_sessions", {"agent_id": [5]}, "agent_id"),
    ("search_sessions", {"provider": {"a": 1}}, "provider"),
    ("search_sessions", {"tags": "a\0"}, "tags"),
    ("search_sessions", {"since": datetime(2024, 1, 1)}, "since"),
    ("search_sessions", {"until": "2024-01-01"}, "until"),
    ("search_sessions", {"include_deleted": 1}, "include_deleted"),
    ("search_sessions", {"order_by": "started_at_asc"}, "order_by"),
    ("search_sessions", {"order_by": None}, "order_by"),
    ("search_sessions", {"limit": -1}, "limit"),
    ("search_sessions", {"limit": "1"}, "limit"),
    ("search_sessions", {"cursor": 5}, "cursor"),
    ("search_sessions", {"with_total": None}, "with_total"),
    ("search_runs", {"session_id": ""}, "session_id"),
    ("search_runs", {"order_by": "created_at_asc"}, "order_by"),
    ("search_runs", {"limit": True}, "limit"),
    ("search_events", {"run_id": 5}, "run_id"),
    ("search_events", {"correlation_id": b"x"}, "correlation_id"),
    ("search_events", {"order_by": ["timestamp_asc"]}, "order_by"),
    ("count_events", {"since": 0}, "since"),
    ("get_usage_summary", {"until": datetime(2024, 1, 1)}, "until"),
    ("get_cost_summary", {"provider": 1.5}, "provider"),
    ("get_session_stats", {"session_id": ""}, "session_id"),
    ("export_session", {"session_id": None}, "session_id"),
]


class TestWrongQueries:
    @pytest.fixture(autouse=True)
    def _lives_on(self, session_store: Any):
        session_store.save_session(session(id="before"))
        yield
        assert ids(session_store.search_sessions()) == ["before"]

    def test_arguments_that_cannot_be(self, session_store: Any):
        for operation, arguments, field in REFUSED:
            with pytest.raises(ValidationError) as caught:
                getattr(session_store, operation)(**arguments)
            assert caught.value.details["field"] == field
            assert caught.value.details["allowed"]

    def test_unknown_statuses_and_types(self, session_store: Any):
        for status in ("running", "", ["active", "timeout"], 5):
            with pytest.raises(InvalidStatus):
                session_store.search_sessions(status=status)
        for operation in ("search_runs", "get_usage_summary", "get_cost_summary"):
            with pytest.raises(InvalidStatus):
                getattr(session_store, operation)(status=["active"])
        for operation in ("search_events", "count_events"):
            with pytest.raises(InvalidEventType):
                getattr(session_store, operation)(type=["message_sent", "unknown"])


def repr_of(number: Any) -> str:
    """What tells 1 from 1.0, and is not refused for integers of thousands of digits."""
    return hex(number) if isinstance(number, int) else repr(number)
