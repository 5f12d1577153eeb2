"""Frames: cut out of a stream wherever it is torn."""

from __future__ import annotations

import itertools
import os
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor._wire.frames import (
    NOTIFICATION,
    REQUEST,
    RESPONSE,
    FrameError,
    FrameReader,
    read_header,
    request_prefix,
    response_prefix,
)

LIMIT = 1 << 20

FEW = settings(max_examples=50, deadline=None)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
frames = st.one_of(
    st.tuples(st.just(REQUEST), st.integers(0, 2**32 - 1), st.text(), values),
    st.tuples(st.just(RESPONSE), st.integers(0, 2**32 - 1), values, values),
    st.tuples(st.just(NOTIFICATION), st.text(), values),
)


def pack(frame: Any) -> bytes:
    return bytes(msgpack.packb(frame, unicode_errors="surrogatepass"))


def test_byte_by_byte() -> None:
    whole = [
        pack([0, 1, "echo", [[1], {}]]),
        pack([1, 1, None, "x" * 300]),
        pack([2, "c", [[], {}]]),
    ]
    reader, found = FrameReader(LIMIT), []
    for byte in b"".join(whole):
        found += reader.feed(bytes([byte]))
    assert [frame.data for frame in found] == whole


@FEW
@given(st.lists(frames, min_size=1, max_size=8), st.lists(st.integers(0, 10_000), max_size=20))
def test_cut_anywhere(messages: list[Any], cuts: list[int]) -> None:
    whole = [pack(message) for message in messages]
    stream = b"".join(whole)
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    reader, found = FrameReader(LIMIT), []
    for begin, end in itertools.pairwise(edges):
        if begin < end:
            found += reader.feed(stream[begin:end])
    assert [frame.data for frame in found] == whole


@FEW
@given(st.binary(min_size=1, max_size=200), st.integers(1, 50))
def test_any_bytes_are_frames_or_an_error(data: bytes, step: int) -> None:
    reader = FrameReader(LIMIT)
    found = b""
    try:
        for begin in range(0, len(data), step):
            found += b"".join(frame.data for frame in reader.feed(data[begin : begin + step]))
    except FrameError:
        return
    assert data.startswith(found)


@pytest.mark.parametrize("step", [1, 7, 100, 1000])
def test_the_limit(step: int) -> None:
    def feed(size: int) -> int:
        data = pack([0, 1, "e", b"x" * (size - 7)])
        assert len(data) == size
        reader = FrameReader(200)
        return sum(
            len(reader.feed(data[begin : begin + step])) for begin in range(0, len(data), step)
        )

    assert feed(200) == 1
    with pytest.raises(FrameError, match="200"):
        feed(201)


def test_the_limit_is_of_each_frame() -> None:
    data = pack([0, 1, "echo", b"x" * 100])
    assert len(FrameReader(150).feed(data * 50)) == 50


@pytest.mark.parametrize("data", [b"\xc1", b"\x91\xc1", b"\x91" * 100_000 + b"\xc0"])
def test_what_is_no_stream(data: bytes) -> None:
    with pytest.raises(FrameError):
        FrameReader(LIMIT).feed(data)


def _descriptor() -> int:
    return os.open(os.devnull, os.O_RDONLY)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_descriptors_go_with_the_last_frame_that_begins_in_their_bytes() -> None:
    small, large = pack([2, "a", 1]), pack([2, "b", b"x" * 300])
    for cut in (1, 5, 100, len(large)):
        descriptor = _descriptor()
        reader = FrameReader(LIMIT)
        found = reader.feed(small + large[:cut], [descriptor])
        if cut < len(large):
            found += reader.feed(large[cut:])
        assert [frame.data for frame in found] == [small, large]
        assert [list(frame.descriptors) for frame in found] == [[], [descriptor]]
        os.close(descriptor)


def test_descriptors_of_what_is_never_whole_are_closed() -> None:
    kept = _descriptor()
    reader = FrameReader(LIMIT)
    assert reader.feed(pack([2, "a", 1])[:-1], [kept]) == []
    reader.close()
    assert not _is_open(kept)

    lost = _descriptor()
    with pytest.raises(FrameError):
        FrameReader(LIMIT).feed(b"\xc1", [lost])
    assert not _is_open(lost)


def test_descriptors_in_the_middle_of_a_frame_are_garbage() -> None:
    first, second = _descriptor(), _descriptor()
    data = pack([2, "a", b"x" * 100])
    reader = FrameReader(LIMIT)
    reader.feed(data[:10], [first])
    with pytest.raises(FrameError, match="middle"):
        reader.feed(data[10:20], [second])
    assert not _is_open(first)
    assert not _is_open(second)


@FEW
@given(frames)
def test_headers(message: Any) -> None:
    header = read_header(pack(message))
    assert header.kind == message[0]
    assert header.id == (0 if message[0] == NOTIFICATION else message[1])
    assert header.operation == ("" if message[0] == RESPONSE else message[-2])
    # What stays the same when it is passed on: from the operation, or the error, on.
    rest = b"".join(pack(part) for part in message[1 if message[0] == NOTIFICATION else 2 :])
    assert pack(message)[header.body :] == rest


@pytest.mark.parametrize(
    "message",
    [
        5,
        "text",
        [],
        {},
        [0, 1, "x"],
        [1, 1, None],
        [2, "x"],
        [3, 1, "x", []],
        [None, 1, "x", []],
        [0, "1", "x", []],
        [0, -1, "x", []],
        [0, None, "x", []],
        [0, 1, 5, []],
        [0, 1, None, []],
        [2, 5, []],
        ["0", 1, "x", []],
        [True, 1, None, None],
        [0, True, "x", []],
    ],
    ids=repr,
)
def test_what_is_no_header(message: Any) -> None:
    with pytest.raises(FrameError):
        read_header(pack(message))


@FEW
@given(st.integers(1, 0xFFFFFFFF))
def test_the_prefix_of_a_request(call_id: int) -> None:
    header = read_header(request_prefix(call_id) + pack("name") + pack([[], {}]))
    assert (header.kind, header.id, header.operation) == (REQUEST, call_id, "name")


@FEW
@given(st.integers(0, 2**64 - 1))
def test_the_prefix_of_a_response(call_id: int) -> None:
    header = read_header(response_prefix(call_id) + b"\xc0\xc0")
    assert (header.kind, header.id) == (RESPONSE, call_id)
