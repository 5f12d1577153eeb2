"""What the fields of sessions, runs and events may hold: the same by every way of making one."""

import pickle
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import Enum, IntEnum, StrEnum
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from ports import Event, InvalidEventType, InvalidStatus, Run, Session, ValidationError
from tests.contracts.samples import NOON, event, nested, run, session

REQUIRED: dict[type, dict[str, Any]] = {
    Session: {"agent_id": "agent"},
    Run: {"session_id": "s"},
    Event: {"session_id": "s", "type": "message_sent"},
}


def by_constructor(kind: Any, fields: dict[str, Any]) -> Any:
    return kind(**{**REQUIRED[kind], **fields})


def by_map(kind: Any, fields: dict[str, Any]) -> Any:
    return kind.from_map({**REQUIRED[kind], **fields})


def by_wire(kind: Any, fields: dict[str, Any]) -> Any:
    values = dict(zip(kind.__dataclass_fields__, kind(**REQUIRED[kind]).__to_wire__(), strict=True))
    return kind.__from_wire__([*{**values, **fields}.values()])


WAYS = [by_constructor, by_map, by_wire]

NOT_A_TEXT = [5, True, b"x", ["x"], {"x": 1}, "a\0b", "\ud800", "ok\udfff"]
NOT_AN_ID = [*NOT_A_TEXT, ""]
NOT_A_MOMENT = [5, 1.5, True, [], "yesterday", "", "2024-01-01T00:00:00", datetime(2024, 1, 1)]
CYCLE: list[Any] = []
CYCLE.append(CYCLE)
NOT_JSON = [
    b"bytes",
    bytearray(b"x"),
    float("nan"),
    float("inf"),
    -float("inf"),
    "a\0b",
    "\ud800",
    {1: 2},
    {None: 1},
    {b"k": 1},
    {"\0": 1},
    {"\udc00": 1},
    {1, 2},
    object(),
    NOON,
    1j,
    CYCLE,
    nested(257),
    nested(100_000),
    [{"a": [b"x"]}],
    Enum("Colour", ["RED"]).RED,
]
NOT_A_MAP = [None, 5, True, "text", [], [["a", 1]], b"", *({"x": value} for value in NOT_JSON)]
NOT_A_COUNT = [-1, 1.0, 1.5, "1", True, False, None, [1]]
NOT_A_NUMBER = ["1", True, float("nan"), float("inf"), [], 1j]

BAD: list[tuple[type, str, list[Any]]] = [
    (Session, "id", [None, *NOT_AN_ID]),
    (Session, "agent_id", [None, *NOT_AN_ID]),
    (Session, "status", [None, 5, "", "running", "Pending", b"pending", ["pending"]]),
    (Session, "parent_session_id", NOT_AN_ID),
    (Session, "metadata", NOT_A_MAP),
    (Session, "context", NOT_A_MAP),
    (Session, "tags", [None, 5, "tag", {"a"}, {"a": 1}, [1], [None], ["a\0"], ["\ud800"], [["a"]]]),
    (Session, "created_at", [None, *NOT_A_MOMENT]),
    (Session, "updated_at", [None, *NOT_A_MOMENT]),
    (Session, "deleted_at", NOT_A_MOMENT),
    (Run, "id", [None, *NOT_AN_ID]),
    (Run, "session_id", [None, *NOT_AN_ID]),
    (Run, "status", [None, 5, "", "active", "Running", ["running"]]),
    (Run, "input", NOT_JSON),
    (Run, "output", NOT_JSON),
    (Run, "error", NOT_JSON),
    (Run, "metadata", NOT_A_MAP),
    (Run, "turn_count", NOT_A_COUNT),
    (Run, "token_usage", NOT_A_MAP),
    (Run, "started_at", [None, *NOT_A_MOMENT]),
    (Run, "ended_at", NOT_A_MOMENT),
    (Run, "provider", NOT_A_TEXT),
    (Run, "provider_metadata", NOT_A_MAP),
    (Run, "cost_usd", NOT_A_NUMBER),
    (Event, "id", [None, *NOT_AN_ID]),
    (Event, "type", [None, 5, "", "unknown", "Message_sent", ["message_sent"]]),
    (Event, "timestamp", [None, *NOT_A_MOMENT]),
    (Event, "session_id", [None, *NOT_AN_ID]),
    (Event, "run_id", NOT_AN_ID),
    (Event, "sequence_number", [0, *(each for each in NOT_A_COUNT if each is not None)]),
    (Event, "data", NOT_A_MAP),
    (Event, "metadata", NOT_A_MAP),
    (Event, "schema_version", [0, *NOT_A_COUNT]),
    (Event, "provider", NOT_A_TEXT),
    (Event, "correlation_id", NOT_A_TEXT),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("kind", "name", "values"), BAD, ids=[f"{kind.__name__}.{name}" for kind, name, _ in BAD]
)
def test_what_a_field_cannot_hold_is_refused(way: Any, kind: type, name: str, values: list[Any]):
    expected = {"status": InvalidStatus, "type": InvalidEventType}.get(name, ValidationError)
    for value in values:
        with pytest.raises(ValidationError) as caught:
            way(kind, {name: value})
        assert type(caught.value) is expected, value
        assert caught.value.message.startswith(f"{kind.__name__}.{name}")
        assert caught.value.details["field"].startswith(f"{kind.__name__}.{name}")
        assert caught.value.details["allowed"]
        caught.value.message.encode()  # can be printed and sent
        pickle.dumps(caught.value)


def test_the_table_of_bad_values_has_every_field():
    covered = {(kind, name) for kind, name, _ in BAD}
    assert covered == {(kind, name) for kind in REQUIRED for name in kind.__dataclass_fields__}


@pytest.mark.parametrize("kind", REQUIRED)
def test_a_required_argument_left_out(kind: Any):
    for missing in REQUIRED[kind]:
        rest = {name: value for name, value in REQUIRED[kind].items() if name != missing}
        with pytest.raises(TypeError, match=missing):
            kind(**rest)
        with pytest.raises(ValidationError, match=missing):
            kind.from_map(rest)


@pytest.mark.parametrize("kind", REQUIRED)
@pytest.mark.parametrize("data", [None, 5, "text", [], [("agent_id", "a")]])
def test_a_map_must_be_one(kind: Any, data: Any):
    with pytest.raises(ValidationError):
        kind.from_map(data)


@pytest.mark.parametrize("kind", REQUIRED)
def test_what_is_absent_from_a_map_gets_its_default(kind: Any):
    made = kind.from_map({**REQUIRED[kind], "of a later version": 1})
    plain = kind(**REQUIRED[kind])
    varying = {"id", "created_at", "updated_at", "started_at", "timestamp"}
    assert {name: value for name, value in made.to_map().items() if name not in varying} == {
        name: value for name, value in plain.to_map().items() if name not in varying
    }


def test_an_error_says_where_in_the_data_the_value_is():
    with pytest.raises(ValidationError) as caught:
        session(metadata={"a": [0, {"b": b"x"}]})
    assert caught.value.details["field"] == "Session.metadata['a'][1]['b']"
    assert "b'x'" in caught.value.message


def test_an_error_names_what_is_allowed():
    with pytest.raises(InvalidStatus, match=r"'bogus'.*active, cancelled, completed"):
        session(status="bogus")


def test_an_error_about_a_huge_integer_can_be_shown():
    with pytest.raises(ValidationError):
        run(turn_count=-(10**5000))


class Shifty(tzinfo):
    """A time zone that knows no offset."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None


class Status(StrEnum):
    ACTIVE = "active"


class Number(IntEnum):
    TWO = 2


class Ratio(float):
    pass


class Moment(datetime):
    pass


class Pair(NamedTuple):
    first: int
    second: int


@pytest.mark.parametrize(
    "zone", [timezone(timedelta(hours=5, minutes=30)), ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")]
)
@pytest.mark.parametrize("way", WAYS)
def test_other_time_zones_become_utc(way: Any, zone: tzinfo):
    made = way(Session, {"created_at": NOON.astimezone(zone)})
    assert made.created_at == NOON
    assert made.created_at.tzinfo is UTC


def test_moments_in_maps_are_text_in_iso_8601():
    assert session(created_at=NOON).to_map()["created_at"] == "2024-05-17T12:00:00.123456+00:00"
    for text in ("2024-05-17T12:00:00.123456Z", "2024-05-17T14:00:00.123456+02:00"):
        assert Session.from_map({"agent_id": "a", "created_at": text}).created_at == NOON


def test_a_datetime_whose_zone_has_no_offset_is_naive():
    with pytest.raises(ValidationError):
        session(created_at=datetime(2024, 1, 1, tzinfo=Shifty()))


def test_a_moment_beyond_the_calendar_in_utc():
    with pytest.raises(ValidationError):
        session(created_at=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))))


@pytest.mark.parametrize("way", WAYS)
def test_subclasses_become_plain_values(way: Any):
    data = {
        Status.ACTIVE: OrderedDict(a=Number.TWO, b=Ratio(0.5)),
        "tuple": (1, (2,), Pair(3, 4)),
    }
    made = way(
        Session,
        {
            "agent_id": Status.ACTIVE,
            "status": Status.ACTIVE,
            "metadata": data,
            "tags": (Status.ACTIVE,),
            "created_at": Moment.fromisoformat(NOON.isoformat()),
        },
    )
    assert repr(made.metadata) == "{'active': {'a': 2, 'b': 0.5}, 'tuple': [1, [2], [3, 4]]}"
    assert repr((made.agent_id, made.status, made.tags)) == "('active', 'active', ['active'])"
    assert type(made.created_at) is datetime
    counted = way(Run, {"turn_count": Number.TWO, "cost_usd": Ratio(0.5)})
    assert (type(counted.turn_count), type(counted.cost_usd)) == (int, float)


def test_nesting_goes_as_deep_as_promised():
    assert run(input=nested(256)).input == nested(256)
    assert session(metadata={"x": nested(255)}).metadata == {"x": nested(255)}


def test_an_object_keeps_its_own_copy_of_what_it_was_given():
    data, tags = {"list": [{}]}, ["a"]
    made = session(metadata=data, context=data, tags=tags)
    data["list"].append({})
    data["list"][0]["x"] = 1
    tags.append("b")
    assert (made.metadata, made.context, made.tags) == ({"list": [{}]}, {"list": [{}]}, ["a"])
    made.metadata["list"].append(1)
    assert made.context == {"list": [{}]}


@pytest.mark.parametrize("made", [session(), run(), event()])
def test_an_object_never_changes(made: Any):
    for name in made.__dataclass_fields__:
        with pytest.raises(AttributeError):
            setattr(made, name, None)
        with pytest.raises(AttributeError):
            delattr(made, name)


@pytest.mark.parametrize("kind", REQUIRED)
def test_arguments_are_by_keyword_only(kind: Any):
    with pytest.raises(TypeError):
        kind("x")


def test_equality_is_by_value():
    one = session(id="s", created_at=NOON)
    assert one == session(id="s", created_at=NOON)
    assert one != session(id="s", created_at=NOON, tags=["a"])
    assert one != one.to_map()
    assert {one: 1}[session(id="s", created_at=NOON)] == 1
