"""Sessions, runs and events survive every way in which they are stored and sent."""

import copy
import json
import pickle
from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ports import Event, Run, Session, ValidationError
from tests.contracts.samples import AWKWARD_JSON, event, run, session
from tests.strategies import events, runs, sessions

anything = st.one_of(sessions, runs, events)


def _same(one: Any, other: Any) -> bool:
    return one == other and _kinds(one.__to_wire__()) == _kinds(other.__to_wire__())


def _kinds(value: Any) -> Any:
    """Return the types of a value and of all that is in it: 1, 1.0 and True are equal."""
    if isinstance(value, dict):
        return dict, [(name, _kinds(each)) for name, each in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [_kinds(each) for each in value]
    return type(value)


@given(anything)
def test_a_map_is_json_and_lossless(original: Session | Run | Event):
    text = json.dumps(original.to_map(), allow_nan=False)
    assert _same(type(original).from_map(json.loads(text)), original)


@given(anything)
def test_a_map_has_every_field(original: Session | Run | Event):
    assert list(original.to_map()) == list(original.__dataclass_fields__)
    assert tuple(getattr(original, name) for name in original.to_map()) == original.__to_wire__()


@given(anything)
def test_the_wire_is_lossless(original: Session | Run | Event):
    # Integers beyond 64 bits are the codec's affair.
    def encode_large(value: object) -> msgpack.ExtType:
        return msgpack.ExtType(1, str(value).encode())

    frame = msgpack.packb(original.__to_wire__(), datetime=True, default=encode_large)
    values = msgpack.unpackb(frame, timestamp=3, ext_hook=lambda _, data: int(data))
    assert _same(type(original).__from_wire__(values), original)


@given(anything)
def test_copies_are_equal(original: Session | Run | Event):
    for other in (
        original.copy(),
        copy.copy(original),
        copy.deepcopy(original),
        pickle.loads(pickle.dumps(original)),
        replace(original),
    ):
        assert _same(other, original)
        assert hash(other) == hash(original)


@pytest.mark.parametrize(
    "original",
    [
        session(metadata=AWKWARD_JSON),
        run(input=AWKWARD_JSON, output=[AWKWARD_JSON]),
        event(data=AWKWARD_JSON),
    ],
)
def test_what_json_can_carry_passes(original: Session | Run | Event):
    assert _same(type(original).from_map(original.to_map()), original)
    assert _same(type(original).__from_wire__(original.__to_wire__()), original)


@pytest.mark.parametrize(
    ("original", "name"),
    [
        (session(metadata={"list": [1]}), "metadata"),
        (session(context={"list": [1]}), "context"),
        (run(input={"list": [1]}), "input"),
        (run(output={"list": [1]}), "output"),
        (run(error={"list": [1]}), "error"),
        (run(token_usage={"list": [1]}), "token_usage"),
        (run(provider_metadata={"list": [1]}), "provider_metadata"),
        (event(data={"list": [1]}), "data"),
        (event(metadata={"list": [1]}), "metadata"),
    ],
)
def test_nothing_is_shared_with_copies_and_maps(original: Any, name: str):
    made = type(original).from_map(original.to_map())
    for other in (original.copy(), copy.deepcopy(original), replace(original), made):
        getattr(other, name)["list"].append(2)
    original.to_map()[name]["list"].append(3)
    assert getattr(original, name) == {"list": [1]}
    given_map = original.to_map()
    made = type(original).from_map(given_map)
    given_map[name]["list"].append(4)
    assert getattr(made, name) == {"list": [1]}


def test_a_map_does_not_share_the_tags():
    original = session(tags=["a"])
    original.to_map()["tags"].append("b")
    original.copy().tags.append("c")
    assert original.tags == ["a"]


@pytest.mark.parametrize("kind", [Session, Run, Event])
@pytest.mark.parametrize("values", [[], (), [1], ["x"] * 99, None, 5, "text", {"id": "x"}, b"xx"])
def test_the_wire_needs_the_right_number_of_values(kind: Any, values: Any):
    with pytest.raises(ValidationError, match=kind.__name__):
        kind.__from_wire__(values)
