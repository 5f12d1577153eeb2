"""JSON as text, with integers of any size.

The json module is as fast as it gets, but Python refuses to write or read a decimal integer of
more than 4,300 digits (a guard against quadratic conversions). The decimal module converts in less
than quadratic time and knows no such limit, so it takes over where the guard steps in.
"""

import json
import json.encoder
from collections.abc import Callable
from decimal import Decimal
from typing import Any

_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_decode = json.JSONDecoder().raw_decode


def _make_encode() -> Callable[[Any], str]:
    """Return `_encoder.encode`, if possible without its cost: it makes a C encoder at each call."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # an interpreter without it
        return _encoder.encode
    text = json.encoder.encode_basestring
    # Its arguments are those of JSONEncoder, in an order of their own; None: do not look for
    # cycles, which cannot be in what is checked for its depth.
    encode = make(None, _encoder.default, text, None, ":", ",", False, False, False)
    return lambda value: "".join(encode(value, 0))


_encode = _make_encode()


def dumps(value: Any) -> str:
    """Return JSON data as text.

    Raises:
        ValueError: `value` holds a number that is not finite.
        TypeError: `value` holds what is not JSON data.
    """
    if not value and type(value) is dict:
        return "{}"
    try:
        return _encode(value)
    except ValueError:
        return _encode_unlimited(value)


def loads(text: str) -> Any:
    """Return the data of a JSON text.

    Raises:
        ValueError: it is none.
    """
    if text == "{}":
        return {}
    try:
        value, end = _decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return json.loads(text, parse_int=_parse_integer)
    return value if end == len(text) else json.loads(text)


def _encode_unlimited(value: Any) -> str:
    if isinstance(value, dict):
        members = (f"{_encode(key)}:{_encode_unlimited(item)}" for key, item in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_encode_unlimited, value)) + "]"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(Decimal(value))
    return _encode(value)


def _parse_integer(digits: str) -> int:
    return int(Decimal(digits))
