"""A log record as bytes, for another process: text and numbers, never pickled. Pure.

Whatever else hangs on a record (``extra``) goes along where MessagePack can carry it, and as its
repr where not. A record that is too long loses its middle.
"""

from __future__ import annotations

import logging
from typing import Any

import msgpack

__all__ = ["RecordError", "pack_record", "unpack_record"]

# One record is one message on its socket, and is read with one read of 64 KiB.
_LARGEST = 60_000

# Characters of a message, of a traceback and of anything else.
_LONGEST_TEXT = 12_000
_LONGEST_EXTRA = 1_000
_MOST_ITEMS = 100
_DEEPEST = 3

# What is made anew from the rest, or has no meaning elsewhere.
_LEFT_OUT = frozenset({"args", "asctime", "exc_info", "message", "msg"})
_TEXTS = frozenset({"exc_text", "stack_info"})
# What every record has.
_OWN = frozenset(logging.makeLogRecord({}).__dict__)

_formatter = logging.Formatter()


class RecordError(Exception):
    """These bytes are no log record."""


def pack_record(record: logging.LogRecord) -> bytes:
    """The record as bytes.

    Raises:
        Exception: what its arguments raise when they are put into its message.
    """
    values = {
        key: _carried(value, _LONGEST_TEXT if key in _TEXTS else _LONGEST_EXTRA)
        for key, value in record.__dict__.items()
        if key not in _LEFT_OUT
    }
    values["msg"] = _cut(record.getMessage(), _LONGEST_TEXT)
    if record.exc_info and not record.exc_text:
        values["exc_text"] = _cut(_formatter.formatException(record.exc_info), _LONGEST_TEXT)
    packed = _pack(values)
    if len(packed) > _LARGEST:
        packed = _pack({key: _carried(values[key], _LONGEST_EXTRA) for key in _OWN & values.keys()})
    return packed


def unpack_record(data: bytes) -> logging.LogRecord:
    """The record that these bytes are.

    Raises:
        RecordError: they are none.
    """
    try:
        values = msgpack.unpackb(
            data, use_list=False, strict_map_key=False, unicode_errors="surrogatepass"
        )
        is_record = isinstance(values["name"], str) and isinstance(values["levelno"], int)
        if not is_record or not isinstance(values["msg"], str):
            raise RecordError(f"not a log record: {values!r:.200}")
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
        raise RecordError(f"not a log record: {error}") from error
    return logging.makeLogRecord(values)


def _pack(values: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb(values, unicode_errors="surrogatepass")
    return packed


def _carried(value: Any, longest: int, depth: int = 0) -> Any:
    """The value, or what is told of it where it cannot be carried."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return int(value)
    if isinstance(value, str):
        return _cut(str(value), longest)
    if depth < _DEEPEST and isinstance(value, (list, tuple)) and len(value) <= _MOST_ITEMS:
        return [_carried(item, longest, depth + 1) for item in value]
    if depth < _DEEPEST and isinstance(value, dict) and len(value) <= _MOST_ITEMS:
        return {str(key): _carried(item, longest, depth + 1) for key, item in value.items()}
    return _cut(_shown(value), longest)


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  what an object's own __repr__ raises
        return f"(it cannot be shown: {error!r})"


def _cut(text: str, longest: int) -> str:
    """The text without its middle, where it is too long: of a traceback, the end matters most."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} ... ({len(text) - longest} characters) ... {text[-half:]}"
