"""What is sent: frames of each kind of garbage, made at random from a seed. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgpack

__all__ = ["KINDS", "Piece"]

# The bytes to send, how many foreign descriptors go with them, and whether the sender goes on
# reading until the other side has closed.
Piece = tuple[bytes, int]

_OPERATIONS = (
    "echo",
    "pid",
    "get_session",
    "append_event",
    "lookup",
    "change",
    "which_children",
    "start_child",
    "child_exit",
    "describe",
)
_PRIVATE = (
    "__init__",
    "__class__",
    "_names",
    "_change",
    "__reduce__",
    "terminate",
    "on_start",
    "call_later",
    "stop_child.__globals__",
    "echo.__func__",
    "",
    "\0",
    "x" * 300,
)
_TYPES = ("os:system", "supervisor._exit:Exit", "builtins:eval", "ports._event:Event", ":", "a:b:c")


def _pack(*parts: Any) -> bytes:
    return bytes(msgpack.packb(list(parts), strict_types=False, unicode_errors="surrogatepass"))


def value(rng: random.Random, depth: int = 0) -> Any:
    """Any value that MessagePack carries, extensions of ours among it."""
    kinds = 9 if depth < 4 else 7
    match rng.randrange(kinds):
        case 0:
            return rng.choice((None, True, False))
        case 1:
            return rng.choice((0, -1, 1 << 31, (1 << 64) - 1, -(1 << 63), rng.randrange(1 << 40)))
        case 2:
            return rng.choice((0.0, float("nan"), float("inf"), -1e300))
        case 3:
            return rng.choice(("", "x" * rng.randrange(300), "\0", "\ud800", "../../etc"))
        case 4:
            return rng.randbytes(rng.randrange(200))
        case 5:
            return msgpack.ExtType(rng.randrange(0, 12), rng.randbytes(rng.randrange(40)))
        case 6:
            name = rng.choice(_TYPES)
            fields = [rng.choice((None, 1, "x", b"y")) for _ in range(rng.randrange(6))]
            return msgpack.ExtType(rng.choice((1, 2, 6, 7)), _pack(name, *fields))
        case 7:
            return [value(rng, depth + 1) for _ in range(rng.randrange(6))]
        case _:
            return {f"k{n}": value(rng, depth + 1) for n in range(rng.randrange(6))}


def request(rng: random.Random) -> bytes:
    """A whole request, with arguments that hardly any operation takes."""
    args = [value(rng) for _ in range(rng.randrange(4))]
    kwargs = {f"k{n}": value(rng) for n in range(rng.randrange(2))}
    extras = [value(rng) for _ in range(rng.randrange(3))] if rng.random() < 0.3 else []
    return _pack(0, rng.randrange(1 << 32), rng.choice(_OPERATIONS), [args, kwargs, *extras])


def _random(rng: random.Random) -> Piece:
    return rng.randbytes(rng.randrange(1, 2000)), 0


def _arguments(rng: random.Random) -> Piece:
    return request(rng), 0


def _mutated(rng: random.Random) -> Piece:
    data = bytearray(request(rng))
    for _ in range(rng.randrange(1, 6)):
        place = rng.randrange(len(data))
        match rng.randrange(3):
            case 0:
                data[place] = rng.randrange(256)
            case 1:
                del data[place : place + rng.randrange(1, 9)]
            case _:
                data[place:place] = rng.randbytes(rng.randrange(1, 9))
        if not data:
            return b"\xc1", 0
    return bytes(data), 0


def _shape(rng: random.Random) -> Piece:
    return _pack(*[value(rng) for _ in range(rng.randrange(6))]), 0


def _huge(rng: random.Random) -> Piece:
    head = rng.choice((b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"))
    size = rng.choice((0xFFFFFFFF, 0x7FFFFFFF, 64 << 20, (64 << 20) + 1, 1 << 20))
    before = rng.choice((b"", b"\x94\x00\x01\xa4echo\x92\x91"))
    return before + head + size.to_bytes(4, "big") + rng.randbytes(rng.randrange(5000)), 0


def _deep(rng: random.Random) -> Piece:
    depth = rng.choice((100, 600, 5_000, 100_000))
    nested = rng.choice((b"\x91", b"\x81\xa1k", b"\x81")) * depth + b"\xc0"
    return rng.choice((b"", b"\x94\x00\x01\xa4echo\x92\x91")) + nested + b"\x80", 0


def _half(rng: random.Random) -> Piece:
    data = request(rng)
    return data[: rng.randrange(1, len(data))], rng.randrange(3)


def _descriptors(rng: random.Random) -> Piece:
    count = rng.randrange(1, 5)
    fields = [
        rng.randrange(-1, count + 1),
        rng.choice((0, 5, 1 << 62, -1, "x")),
        rng.random() < 0.5,
    ]
    blob = msgpack.ExtType(4, _pack(*fields))
    return rng.choice((_pack(0, 1, "echo", [[blob], {}]), b"\xc1", request(rng))), count


def _private(rng: random.Random) -> Piece:
    return _pack(rng.choice((0, 0, 2)), 1, rng.choice(_PRIVATE), [[], {}]), 0


def _answers(rng: random.Random) -> Piece:
    answer = _pack(1, rng.randrange(100), value(rng), value(rng))
    cast = _pack(2, rng.choice(_OPERATIONS), [[value(rng)], {}])
    return rng.choice((answer, cast)), 0


def _many(rng: random.Random) -> Piece:
    return b"".join(request(rng) for _ in range(rng.randrange(2, 200))), 0


# Each kind of garbage, by its name in the figures.
KINDS: dict[str, Callable[[random.Random], Piece]] = {
    "random bytes": _random,
    "wrong arguments": _arguments,
    "mutated frames": _mutated,
    "wrong shapes": _shape,
    "huge lengths": _huge,
    "deep nesting": _deep,
    "half frames": _half,
    "foreign descriptors": _descriptors,
    "private names": _private,
    "answers and casts": _answers,
    "many at once": _many,
}
