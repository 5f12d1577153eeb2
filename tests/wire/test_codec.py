"""Values, errors and blobs as bytes, and back."""

from __future__ import annotations

import datetime
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor import (
    Child,
    ChildExists,
    Exit,
    NameTaken,
    NodeRunning,
    ProcessDown,
    RemoteError,
    StartError,
)
from supervisor._wire.blob import Blob
from supervisor._wire.codec import CodecError, Decoder, GoingDown, encode, encode_error

FEW = settings(max_examples=50, deadline=None)

moments = st.datetimes(
    min_value=datetime.datetime(1800, 1, 1),
    max_value=datetime.datetime(2200, 1, 1),
    timezones=st.just(datetime.UTC),
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**64, 2**200)
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
    | moments,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@dataclass(frozen=True)
class Point:
    x: int
    y: Any

    def __to_wire__(self) -> tuple[object, ...]:
        return (self.x, self.y)

    @classmethod
    def __from_wire__(cls, values: list[Any]) -> Point:
        if values[0] < 0:
            raise ValueError("negative")
        return cls(*values)


class Plain(Exception):
    pass


class Rich(Exception):
    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


def there_and_back(value: Any) -> Any:
    return Decoder().decode(encode(value))


@FEW
@given(values)
def test_values(value: Any) -> None:
    assert there_and_back(value) == value


@FEW
@given(values, st.integers(0, 2**70))
def test_declared_types_in_any_place(value: Any, number: int) -> None:
    point = Point(number, value)
    assert there_and_back(point) == point
    assert there_and_back([point, {"p": Point(1, point)}]) == [point, {"p": Point(1, point)}]


@FEW
@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_codec_error(data: bytes) -> None:
    for payload in (data, bytes(msgpack.packb(msgpack.ExtType(data[0] % 10 if data else 1, data)))):
        try:
            Decoder().decode(payload)
        except CodecError:
            continue


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x", 1),
        KeyError("key"),
        Plain(),
        Rich("text", code=5),
        NameTaken("n"),
        NodeRunning("node", 7),
        StartError(("a", "b"), "why", "Traceback"),
        ProcessDown("process 'x'", Exit("signal", signal=signal.SIGKILL), True),
        ChildExists("id"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        FileNotFoundError(2, "No such file", "name"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors(error: BaseException) -> None:
    found = there_and_back(error)
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert repr(found) == repr(error) or isinstance(error, StartError)
    for name, value in vars(error).items():
        if not name.startswith("_"):
            assert getattr(found, name) == value
    if isinstance(error, StartError):
        assert found.child == error.child


def test_an_error_that_carries_what_cannot_be_encoded_still_says_what_it_says() -> None:
    error = Rich("text", code=object())  # type: ignore[arg-type]
    found = there_and_back(error)
    assert type(found) is Rich
    assert found.args == ("text",)
    assert "object at" in found.code


def test_an_error_of_an_unknown_class() -> None:
    payload = encode_error(Rich("text", code=5)).replace(b"test_codec:Rich", b"test_codec:Gone")
    found = Decoder().decode(msgpack.packb(msgpack.ExtType(2, payload)))
    assert isinstance(found, RemoteError)
    assert found.type.endswith(":Gone")
    assert found.details == {"code": 5}
    assert "text" in str(found)


def test_modules_are_imported_for_callers_only() -> None:
    data = bytes(msgpack.packb(msgpack.ExtType(2, msgpack.packb(["colorsys:Nothing", [], {}]))))
    sys.modules.pop("colorsys", None)
    assert isinstance(Decoder().decode(data), RemoteError)
    assert "colorsys" not in sys.modules
    assert isinstance(Decoder(importing=True).decode(data), RemoteError)
    assert "colorsys" in sys.modules


def test_a_type_that_refuses_its_fields_says_why() -> None:
    with pytest.raises(CodecError) as caught:
        Decoder().decode(encode(Point(1, 2)).replace(b"\x01\x02", b"\xff\x02"))
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, 1j, print, type, Path("x"), ...],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_encoded(value: Any) -> None:
    for wrapped in (value, [value], {"a": {"b": value}}, Point(1, value)):
        with pytest.raises(CodecError):
            encode(wrapped)


def test_specs_are_rebuilt_where_they_are_wanted_only() -> None:
    word = "captured"
    data = encode(Child(lambda: word, id="x"))
    with pytest.raises(CodecError):
        Decoder().decode(data)
    assert Decoder(specs=True).decode(data).target() == "captured"
    with pytest.raises(CodecError):
        encode(Child(print, args=((n for n in ()),), id="y"))


def test_going_down() -> None:
    down = GoingDown(True, Exit("error", 1, error="e", traceback="t"))
    assert there_and_back(down) == down


# --- blobs ---------------------------------------------------------------------------------------


def _pass(value: Any) -> Any:
    """Encode, pass the descriptors on as a socket would, and decode."""
    blobs: list[Blob] = []
    data = encode(value, blobs)
    return Decoder().decode(data, [os.dup(blob.fileno()) for blob in blobs])


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_blobs_arrive_whole(size: int) -> None:
    content = os.urandom(size)
    with Blob.of(content) as blob:
        found = _pass([[blob, 1], {"x": blob}])
    for arrived in (found[0][0], found[1]["x"]):
        assert arrived.take() == content


def test_a_blob_as_a_view() -> None:
    with Blob.of(b"content", as_view=True) as blob:
        arrived = _pass(blob)
    view = arrived.take()
    assert isinstance(view, memoryview)
    assert view.readonly
    assert view == b"content"
    with pytest.raises(ValueError, match="closed"):
        arrived.read()


@pytest.mark.parametrize("size", [-1, 8, 1 << 62, "x", None, 1.5])
def test_a_blob_that_promises_more_than_it_holds(size: Any) -> None:
    with Blob.of(b"content") as blob:
        blob.size = size
        with pytest.raises(CodecError):
            _pass(blob)


def test_blobs_need_their_descriptors() -> None:
    with Blob.of(b"content") as blob:
        data = encode(blob, [])
        with pytest.raises(CodecError):
            encode(blob)
    with pytest.raises(CodecError):
        Decoder().decode(data)
    with pytest.raises(CodecError):
        Decoder().decode(data.replace(b"\x93\x00", b"\x93\x01"), [os.open(os.devnull, os.O_RDONLY)])


def test_a_sealed_blob_cannot_be_changed_under_its_reader() -> None:
    with Blob.of(b"content") as blob, pytest.raises(OSError, match="permitted"):
        os.ftruncate(blob.fileno(), 1)


def test_of_views_of_any_shape() -> None:
    for view in (memoryview(bytearray(8)).cast("I"), memoryview(bytes(12)).cast("B", (3, 4))):
        with Blob.of(view) as blob:
            assert blob.size == view.nbytes
            assert blob.read() == view.tobytes()
