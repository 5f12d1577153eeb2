"""Several stores, processes and threads on one session: their histories, not only how they end."""

import itertools
import json
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ports import Event, StorageUnavailable
from stores import SQLAlchemySessionStore
from tests.stores.histories import Call, calls_of, check
from tests.stores.postgresql import SERVER, empty_database

THREADS = 3


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/sessions.db"
    else:
        with empty_database() as url:
            yield url


def work(store: SQLAlchemySessionStore, write: Callable[[list], None], is_over: Callable) -> None:
    """Append and read on several threads, and write down each call before and after it."""
    numbers = itertools.count()

    def one(thread: int) -> None:
        for turn in itertools.count(thread):
            if is_over():
                return
            number = next(numbers)
            if turn % 4 == 3:
                write([number, time.monotonic_ns(), []])
                found = store.get_events("s")
            else:
                given = [Event(type="message_sent", session_id="s") for _ in range(1 + turn % 3)]
                write([number, time.monotonic_ns(), [each.id for each in given]])
                found = append(store, given, is_over)
            write([number, time.monotonic_ns(), [each.sequence_number for each in found]])

    threads = [threading.Thread(target=one, args=(number,)) for number in range(THREADS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def append(store: SQLAlchemySessionStore, given: list[Event], is_over: Callable) -> list[Event]:
    while True:
        try:
            if len(given) == 1:
                return [store.append_event_with_sequence(given[0])]
            return store.append_events(given)
        except StorageUnavailable:
            if is_over():
                raise


class Worker:
    """A process with a store of its own, which works until it is killed or told to stop."""

    def __init__(self, url: str) -> None:
        self._history, theirs = os.pipe()
        stop, self._stop = os.pipe()
        self.lines: list[list] = []
        self._rest = b""
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(self._stop)
                self._work(url, theirs, stop)
                status = 0
            finally:
                os._exit(status)
        os.close(theirs)
        os.close(stop)

    def _work(self, url: str, history: int, stop: int) -> None:
        def write(line: list) -> None:
            data = json.dumps(line).encode() + b"\n"
            with lock:
                while data:
                    data = data[os.write(history, data) :]

        lock = threading.Lock()
        with SQLAlchemySessionStore(url, synchronous="NORMAL", busy_timeout=60) as store:
            work(store, write, lambda: select.select([stop], [], [], 0)[0])

    def read(self, *, until: int | None = None) -> None:
        """Read on until there are so many lines, or until the process ends."""
        while until is None or len(self.lines) < until:
            data = os.read(self._history, 1 << 16)
            if not data:
                assert until is None, "the process has ended"
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.lines += map(json.loads, lines)

    def end(self, signal_: int | None = None) -> list[Call]:
        """Kill it, or let it end; return its history."""
        # Not by closing it: processes that were forked later have it open, too.
        os.write(self._stop, b".")
        os.close(self._stop)
        if signal_ is not None:
            os.kill(self.pid, signal_)
        self.read()
        os.close(self._history)
        _, status = os.waitpid(self.pid, 0)
        assert signal_ is not None or status == 0
        return calls_of(self.lines)


def stored_in(url: str) -> list[tuple[str, int]]:
    with SQLAlchemySessionStore(url, busy_timeout=60) as store:
        return [(each.id, each.sequence_number or 0) for each in store.get_events("s")]


def test_processes_that_are_killed_in_the_middle(url: str):
    SQLAlchemySessionStore(url).close()
    calls: list[Call] = []
    workers = [Worker(url) for _ in range(3)]
    try:
        for victim in range(4):
            for each in workers:
                each.read(until=len(each.lines) + 20)
            calls += workers.pop(0).end(signal.SIGKILL)
            if victim < 2:
                workers.append(Worker(url))
    finally:
        for each in workers:
            calls += each.end()
    check(calls, stored_in(url))
    assert len([call for call in calls if call.answered is not None]) >= 80


def test_backends_that_are_killed_in_the_middle():
    psycopg = pytest.importorskip("psycopg")
    with empty_database() as url:
        name = f"regrow-{os.getpid()}"
        named = f"{url}&application_name={name}"
        SQLAlchemySessionStore(url).close()
        workers = [Worker(named) for _ in range(2)]
        calls: list[Call] = []
        try:
            with psycopg.connect(SERVER, autocommit=True) as admin:
                for _ in range(8):
                    for each in workers:
                        each.read(until=len(each.lines) + 12)
                    admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE application_name = %s",
                        (name,),
                    )
        finally:
            for each in workers:
                calls += each.end()
        check(calls, stored_in(url))


def test_several_stores_in_one_process(url: str):
    calls: list[Call] = []
    stores = [SQLAlchemySessionStore(url, busy_timeout=60) for _ in range(2)]
    histories: list[list[list]] = [[] for _ in stores]
    begun = [
        threading.Thread(target=work, args=(store, history.append, lambda: len(histories[0]) > 250))
        for store, history in zip(stores, histories, strict=True)
    ]
    for each in begun:
        each.start()
    for each in begun:
        each.join()
    for store, history in zip(stores, histories, strict=True):
        store.close()
        calls += calls_of(history)
    check(calls, stored_in(url))


class TestCheck:
    """The check itself would notice."""

    CALLS = (
        Call(("a",), 0, 10, (1,)),
        Call(("b", "c"), 5, 20, (2, 3)),
        Call((), 21, 30, (1, 2, 3)),
        Call(("d",), 25, 40, (4,)),
        Call(("lost",), 35),
        Call((), 41, 50, (1, 2, 3, 4, 5)),
    )
    STORED = (("a", 1), ("b", 2), ("c", 3), ("d", 4), ("lost", 5))

    def test_what_is_right(self):
        check(self.CALLS, self.STORED)
        check(self.CALLS[:5], self.STORED[:4])

    @pytest.mark.parametrize(
        "stored",
        [
            (("a", 1), ("b", 2), ("c", 3), ("d", 5), ("lost", 4)),
            (("a", 1), ("b", 2), ("c", 3), ("lost", 5)),
            (("a", 1), ("b", 2), ("c", 3)),
            (*STORED, ("a", 6)),
            (*STORED, ("e", 6)),
            (("b", 1), ("c", 2), ("a", 3), ("d", 4), ("lost", 5)),
        ],
    )
    def test_what_is_stored_wrongly(self, stored: tuple[tuple[str, int], ...]):
        with pytest.raises(AssertionError):
            check(self.CALLS, stored)

    @pytest.mark.parametrize(
        ("index", "change"),
        [
            (1, {"numbers": (3, 2)}),
            (2, {"numbers": (1, 2)}),
            (2, {"numbers": (1, 3)}),
            (2, {"numbers": (1, 2, 3, 4), "answered": 24}),
            (3, {"answered": 34, "called": 0, "numbers": (5,)}),
            (4, {"called": 0, "answered": 2, "numbers": (5,)}),
            (5, {"numbers": (1, 2, 3)}),
        ],
    )
    def test_what_was_told_wrongly(self, index: int, change: dict):
        calls = list(self.CALLS)
        calls[index] = replace(calls[index], **change)
        with pytest.raises(AssertionError):
            check(calls, self.STORED)
