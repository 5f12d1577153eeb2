"""What is put is sent as it is, however it is cut into buffers and parts."""

import hashlib
import os

from hypothesis import given
from hypothesis import strategies as st

from stores._s3 import _payload
from stores._s3._payload import Payload


@given(st.lists(st.binary(max_size=9), max_size=6), st.integers(0, 60), st.integers(0, 60))
def test_any_range_of_any_buffers(parts: list[bytes], start: int, length: int):
    whole = b"".join(parts)
    payload = Payload([memoryview(part) for part in parts])
    assert payload.size == len(whole)
    start = min(start, len(whole))
    end = min(start + length, len(whole))
    expected = whole[start:end]
    assert b"".join(payload.pieces(start, end)) == expected
    assert payload.digest("md5", start, end).digest() == hashlib.md5(expected).digest()
    assert payload.body(start, end) == expected
    file = _payload._Window(payload, start, end)
    assert file.read(3) + file.read() == expected
    assert (file.tell(), file.read(1)) == (len(expected), b"")
    assert file.seek(0, os.SEEK_END) == len(expected)
    assert file.seek(0) == 0
    assert b"".join(iter(lambda: file.read(2), b"")) == expected
    file.seek(len(expected) // 2)
    assert file.read() == expected[len(expected) // 2 :]


def test_large_data_is_not_copied():
    payload = Payload([memoryview(bytes(_payload._COPIED)), memoryview(b"x")])
    assert isinstance(payload.body(), _payload._Window)
    assert isinstance(payload.body(1), bytes)
