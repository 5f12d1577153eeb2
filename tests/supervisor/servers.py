"""Servers and tasks that do what they are told, in the processes of the trees that tests start."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from supervisor import Exit, Server, connect, connect_async, idempotent


class Refused(Exception):
    """What Worker declares: it carries more than its arguments."""

    def __init__(self, message: str, *, code: int, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = details or {}


class RefusedHarder(Refused):
    """Declared by inheritance."""


def note(journal: str | None, line: str) -> None:
    """Add a line to a file; lines of several processes do not mix."""
    if journal is not None:
        with open(journal, "ab", buffering=0) as file:
            file.write(f"{line}\n".encode())


def lines(journal: str | os.PathLike[str]) -> list[str]:
    """What was noted."""
    path = Path(journal)
    return path.read_text().splitlines() if path.exists() else []


class Worker(Server):
    """Does what it is asked to."""

    replies_with = (Refused,)

    def __init__(self, journal: str | None = None, label: str = "worker") -> None:
        self.journal = journal
        self.label = label
        self.count = 0
        note(journal, f"start {label}")

    def terminate(self, exit: Exit) -> None:
        note(self.journal, f"terminate {self.label} {exit.reason}")

    def close(self) -> None:
        note(self.journal, f"close {self.label}")

    # --- what is there to see -------------------------------------------------------------------

    def echo(self, value: Any = None, **named: Any) -> Any:
        return named or value

    def pid(self) -> int:
        return os.getpid()

    def increment(self, by: int = 1) -> int:
        self.count += by
        return self.count

    def two(self, first: int, second: int, /, *, third: int = 0) -> list[int]:
        return [first, second, third]

    def noted(self, line: str) -> None:
        note(self.journal, line)

    def descriptors(self) -> dict[int, str]:
        found = {}
        for entry in os.listdir("/proc/self/fd"):
            try:
                found[int(entry)] = os.readlink(f"/proc/self/fd/{entry}")
            except FileNotFoundError:
                continue
        return found

    def ignores_interrupt(self) -> bool:
        return signal.getsignal(signal.SIGINT) is signal.SIG_IGN

    def own_name(self) -> str | None:
        return self.name

    def own_ref(self) -> Any:
        return self.ref

    # --- how it goes wrong ------------------------------------------------------------------------

    def refuse(self, message: str, code: int) -> None:
        raise Refused(message, code=code, details={"given": [message, code]})

    def refuse_harder(self) -> None:
        raise RefusedHarder("no", code=2)

    def fail(self, message: str = "a bug") -> None:
        raise RuntimeError(message)

    def fail_with_type_error(self) -> None:
        raise TypeError("a bug inside, not the caller's")

    def die(self, number: int = signal.SIGKILL) -> None:
        os.kill(os.getpid(), number)
        time.sleep(30)

    def leave(self, code: int) -> None:
        os._exit(code)

    def exit(self, code: int) -> None:
        sys.exit(code)

    def not_encodable(self) -> object:
        return object()

    def sleep(self, seconds: float) -> int:
        time.sleep(seconds)
        return os.getpid()

    def sleep_noted(self, seconds: float, line: str) -> str:
        note(self.journal, line)
        time.sleep(seconds)
        return line

    # --- what a server can do ---------------------------------------------------------------------

    def stop_self(self) -> str:
        self.stop()
        return "bye"

    def later(self, seconds: float, line: str) -> None:
        self.call_later(seconds, self.noted, line)

    def fail_later(self) -> None:
        self.call_later(0, self.fail)

    def call_self(self) -> str:
        try:
            self.ref.call("pid", timeout=20)
        except Exception as error:
            return type(error).__name__
        return "answered"

    def call_other(self, name: str, operation: str, *args: Any) -> Any:
        with connect(name) as client:
            return getattr(client, operation)(*args)

    def call_self_in_thread(self) -> concurrent.futures.Future[int]:
        done: concurrent.futures.Future[int] = concurrent.futures.Future()
        ref = self.ref
        threading.Thread(target=lambda: done.set_result(ref.call("pid"))).start()
        return done

    def child_calls_parent(self) -> concurrent.futures.Future[int]:
        """Fork, and let the child call this very server."""
        done: concurrent.futures.Future[int] = concurrent.futures.Future()
        ref = self.ref
        pid = os.fork()
        if not pid:
            try:
                os._exit(0 if ref.call("increment", 10) >= 10 else 1)
            except BaseException:
                os._exit(2)
        waiter = threading.Thread(
            target=lambda: done.set_result(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        )
        waiter.start()
        return done

    def spawn_sleeper(self, *, session: bool = False) -> int:
        """Start a process, and forget about it."""
        process = subprocess.Popen(["sleep", "600"], start_new_session=session)
        process.returncode = 0
        return process.pid

    def spawn_orphan(self) -> int:
        """Start a process whose parent ends at once."""
        script = "sleep 600 >/dev/null & echo $!"
        shell = subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, check=True)
        return int(shell.stdout)

    def spawn_short_orphan(self) -> int:
        """The same, of one that ends soon."""
        script = "sleep 0.1 >/dev/null & echo $!"
        shell = subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, check=True)
        return int(shell.stdout)


class Marked(Worker):
    """The interface and the server: some operations may be sent again."""

    @idempotent
    def read(self, journal: str | None = None) -> int:
        note(journal, "read")
        return os.getpid()

    @idempotent
    def poison(self, journal: str, number: int) -> None:
        """Die of the call: by a bug, or by a signal."""
        note(journal, "poison")
        if not number:
            raise RuntimeError("poisoned")
        os.kill(os.getpid(), number)
        time.sleep(30)

    @idempotent
    def slow_once(self, journal: str) -> int:
        """Hang the first time, answer the second."""
        note(journal, f"slow {os.getpid()}")
        if len(lines(journal)) == 1:
            time.sleep(60)
        return os.getpid()


def passes_on(operation: Any) -> Any:
    """A decorator whose wrapper takes whatever it is called with."""

    @functools.wraps(operation)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await operation(*args, **kwargs)

    return wrapper


class AsyncWorker(Server):
    """Its operations run beside each other."""

    replies_with = (Refused,)

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.begun: list[int] = []

    async def begin(self, number: int) -> None:
        self.begun.append(number)
        await asyncio.sleep(0)

    def take_begun(self) -> list[int]:
        begun, self.begun = self.begun, []
        return begun

    @passes_on
    async def wrapped(self, number: int) -> int:
        return number

    async def wait_for(self, gate: str) -> str:
        await self.gates.setdefault(gate, asyncio.Event()).wait()
        return gate

    def open(self, gate: str) -> None:
        self.gates.setdefault(gate, asyncio.Event()).set()

    def waiting(self) -> list[str]:
        return sorted(name for name, gate in self.gates.items() if not gate.is_set())

    async def echo(self, value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    async def refuse(self) -> None:
        await asyncio.sleep(0)
        raise Refused("later", code=3)

    async def fail(self) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("an asynchronous bug")

    async def stop_self(self) -> str:
        self.stop()
        await asyncio.sleep(0.05)
        return "bye"

    async def call_self(self) -> int:
        async with await connect_async(self.ref) as client:
            return await client.pid()

    def pid(self) -> int:
        return os.getpid()


class Plain:
    """No base class; ``close`` is its orderly end."""

    def __init__(self, journal: str | None = None) -> None:
        self.journal = journal
        self.attribute = 5

    @property
    def shown(self) -> int:
        raise RuntimeError("a property is not looked at")

    def stop(self) -> str:
        return "an operation: this is no Server"

    def name(self) -> str:
        return "mine"

    def pid(self) -> int:
        return os.getpid()

    def close(self) -> None:
        note(self.journal, "close plain")

    def _private(self) -> None: ...


class Slow(Server):
    """Takes its time to start, or to stop."""

    def __init__(self, start: float = 0, stop: float = 0, journal: str | None = None) -> None:
        note(journal, f"starting {os.getpid()}")
        time.sleep(start)
        self._stop = stop

    def terminate(self, exit: Exit) -> None:
        time.sleep(self._stop)

    def pid(self) -> int:
        return os.getpid()


class EndsSlowly(Server):
    """Says when it has begun to end."""

    def __init__(self, journal: str) -> None:
        self._journal = journal

    def terminate(self, exit: Exit) -> None:
        note(self._journal, f"ending {os.getpid()}")
        time.sleep(0.1)

    def pid(self) -> int:
        return os.getpid()

    def fail(self) -> None:
        raise RuntimeError("a bug")

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class FailsToStart:
    def __init__(self, message: str = "no start") -> None:
        raise ValueError(message)


class FailsInHook(Server):
    def on_start(self) -> None:
        raise ValueError("no start in the hook")


class DiesAtStart:
    def __init__(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class FailsAfterwards(Server):
    """Starts once; whoever comes after it in its journal does not."""

    def __init__(self, journal: str) -> None:
        note(journal, "try")
        if len(lines(journal)) > 1:
            raise ValueError("not again")

    def die(self) -> None:
        os._exit(9)


class FailsToEnd(Server):
    def __init__(self, journal: str) -> None:
        self.journal = journal

    def terminate(self, exit: Exit) -> None:
        note(self.journal, f"terminate {exit.reason}")
        raise RuntimeError("cannot end")


def task_that_returns(journal: str | None = None) -> None:
    note(journal, "task")


def task_that_waits(journal: str | None = None, label: str = "task") -> None:
    note(journal, f"start {label}")
    try:
        while True:
            time.sleep(60)
    except SystemExit:
        note(journal, f"SystemExit {label} {threading.current_thread() is threading.main_thread()}")
        raise


def task_that_ignores_sigterm(journal: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(journal, f"deaf {os.getpid()}")
    while True:
        time.sleep(60)


def task_that_raises() -> None:
    raise RuntimeError("a bug in a task")


def task_that_exits(code: Any) -> None:
    sys.exit(code)


def task_that_dies(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def task_once(flag: str) -> None:
    """Fail the first time, and end in order the second."""
    if not Path(flag).exists():
        Path(flag).touch()
        raise RuntimeError("the first time")


async def async_task(journal: str) -> None:
    await asyncio.sleep(0)
    note(journal, "async task")
