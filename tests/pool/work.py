"""What the workers of these tests do."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn


def add(one: int, other: int = 0) -> int:
    return one + other


def square(number: int) -> int:
    return number * number


def identity(value: Any) -> Any:
    return value


def pid_of(*_: object) -> int:
    return os.getpid()


def fail(text: str) -> NoReturn:
    raise ValueError(text)


def die(how: str = "kill") -> None:
    """End the process in one of several ways."""
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        os._exit(3)
    elif how == "fault":
        ctypes.string_at(0)
    else:
        os.abort()


def die_until(path: str, times: int) -> int:
    """Die, but for the first so many times; what was done is written to a file."""
    with open(path, "ab") as file:
        file.write(b".")
    if os.path.getsize(path) <= times:
        die()
    return os.path.getsize(path)


def hold(begun: str, gate: str, value: Any = None) -> Any:
    """Say that it has begun, and wait until a file is there."""
    Path(begun).touch()
    while not os.path.exists(gate):
        time.sleep(0.005)
    return value


def hang(begun: str | None = None) -> NoReturn:
    if begun is not None:
        Path(begun).write_text(str(os.getpid()))
    while True:
        time.sleep(60)


def spin(begun: str) -> NoReturn:
    """Take all of a processor, deaf to what comes."""
    Path(begun).write_text(str(os.getpid()))
    while True:
        sum(range(10_000))


def append(path: str, text: str) -> None:
    """Write a line in one go."""
    with open(path, "a") as file:
        file.write(f"{text}\n")


def log(text: str) -> None:
    logging.getLogger("tests.pool").warning(text)


def say(text: str) -> None:
    sys.stdout.write(text)


async def later(value: Any) -> Any:
    return value


class Unpicklable(Exception):
    """Cannot be sent."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.generator = (number for number in range(3))


class Unbuildable(Exception):
    """Can be sent, and not be made again."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


def raise_unpicklable() -> NoReturn:
    raise Unpicklable("it hangs others")


def raise_unbuildable() -> NoReturn:
    raise Unbuildable("lost", "argument")


class FailsToLoad:
    """Cannot be made again."""

    def __reduce__(self) -> Any:
        return fail, ("not here",)


class DiesAtLoad:
    """Kills whoever makes it again."""

    def __reduce__(self) -> Any:
        return die, ()


class FailsToDump:
    """Cannot be sent."""

    def __reduce__(self) -> Any:
        raise ValueError("not from here")


def fails_to_load() -> FailsToLoad:
    return FailsToLoad()


def dies_at_dump() -> Any:
    class DiesAtDump:
        def __reduce__(self) -> Any:
            die()

    return DiesAtDump()


def lock() -> Any:
    return (number for number in range(3))


initialized: list[Any] = []


def initialize(*values: Any) -> None:
    initialized.extend(values)


def was_initialized() -> list[Any]:
    return initialized


def fail_to_initialize() -> NoReturn:
    raise RuntimeError("no database")


def threads() -> int:
    return threading.active_count()
