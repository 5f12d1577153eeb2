"""What every backend makes of the arguments of its operations; refusals are in the contracts."""

import ctypes
from array import array
from datetime import timedelta, timezone
from typing import Any

import pytest

from ports import ValidationError
from ports._arguments import EventQuery, artifact_data, artifact_key, events_argument, wait_argument
from tests.contracts.samples import NOON, at, event


@pytest.mark.parametrize(
    ("value", "expected"), [(None, None), (0, 0.0), (1, 1.0), (0.5, 0.5), (10**400, 1e9)]
)
def test_a_wait_is_a_float_that_locks_accept(value: Any, expected: float | None):
    seconds = wait_argument(value)
    assert seconds == expected
    assert seconds is None or type(seconds) is float


def test_events_may_come_from_any_iterable():
    given = [event(), event()]
    assert events_argument(tuple(given)) == given
    assert events_argument(iter(given)) == given
    for value in ({"a": given[0]}, "", object()):
        if value != "":
            with pytest.raises(ValidationError):
                events_argument(value)


def test_since_is_compared_in_utc():
    query = EventQuery.of("s", since=NOON.astimezone(timezone(timedelta(hours=-3))))
    assert query.since == NOON
    assert query.since is not None
    assert query.since.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("filters", "matches"),
    [
        ({}, True),
        ({"after": 2}, True),
        ({"after": 3}, False),
        ({"before": 4}, True),
        ({"before": 3}, False),
        ({"run_id": "r"}, True),
        ({"run_id": "R"}, False),
        ({"type": {"message_sent", "policy_violation"}}, True),
        ({"type": frozenset({"policy_violation"})}, False),
        ({"since": NOON}, True),
        ({"since": at(0.001)}, False),
    ],
)
def test_a_query_matches(filters: dict[str, Any], matches: bool):
    stored = event(sequence_number=3, run_id="r", timestamp=NOON)
    assert EventQuery.of("s", **filters).matches(stored) is matches
    assert not EventQuery.of("t", **filters).matches(stored)


@pytest.mark.parametrize(
    ("filters", "never"),
    [
        ({}, False),
        ({"limit": 0}, True),
        ({"limit": 1}, False),
        ({"type": ()}, True),
        ({"type": "message_sent"}, False),
        ({"before": 0}, True),
        ({"before": 1}, True),
        ({"before": 2}, False),
        ({"after": 5, "before": 6}, True),
        ({"after": 5, "before": 7}, False),
    ],
)
def test_a_query_that_nothing_can_match(filters: dict[str, Any], never: bool):
    assert EventQuery.of("s", **filters).never_matches is never


def test_data_is_not_copied_where_it_is_in_one_piece():
    data = bytearray(b"abcdefgh")
    for given in (data, memoryview(data), memoryview(data).cast("H"), [memoryview(data)]):
        (view,) = artifact_data(given)
        assert (view.format, view.ndim) == ("B", 1)
        data[0] ^= 1
        assert view == data


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (array("I"), b""),
        (memoryview(b"abcd")[::2], b"ac"),
        (memoryview(bytearray(4)).cast("B", (2, 2)), bytes(4)),
        ((ctypes.c_uint16 * 2)(1, 2), array("H", [1, 2]).tobytes()),
        ((b"a", b"b"), b"ab"),
    ],
)
def test_data_in_other_shapes(given: Any, expected: bytes):
    views = artifact_data(given)
    assert b"".join(views) == expected
    assert all((view.format, view.ndim) == ("B", 1) for view in views)


def test_a_key_becomes_a_plain_string():
    class Key(str):
        __slots__ = ()

    assert type(artifact_key(Key("key"))) is str
