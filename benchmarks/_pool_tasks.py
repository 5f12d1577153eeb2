"""What the workers of the pools that are compared do; imported by each of them."""

from __future__ import annotations

import os
import resource
import signal
import time
from typing import Any

__all__ = ["add_one", "die", "fill", "gib", "hang", "raise_unpicklable", "take", "take_memory"]

# What a worker may have beyond what it has, in bytes, where its memory is to run out.
_SPARE = 256 * 1024 * 1024


def add_one(number: int) -> int:
    return number + 1


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    while True:
        time.sleep(60)


class Unpicklable(Exception):
    """Can be pickled, and not be made again: what hangs some pools."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


def raise_unpicklable() -> None:
    raise Unpicklable("that is", "all")


def gib() -> bytes:
    return bytes(1 << 30)


def take_memory() -> int:
    """Take more memory than there is, under a limit of this process's own."""
    with open("/proc/self/statm") as file:
        have = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (have + _SPARE, before[1]))
    try:
        return len(bytearray(4 * _SPARE))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def take(array: Any) -> float:
    """Look at an array."""
    return float(array[0] + array[-1])


def fill(size: int) -> Any:
    """Make an array of so many bytes."""
    import numpy as np

    return np.ones(size // 8)
