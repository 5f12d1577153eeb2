"""Threads that carry out work: bounded, in turn where it is asked for, and never waited for."""

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from stores._s3._threads import Threads
from tests.support import PATIENCE, eventually


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads(3, "tests")
    yield threads
    threads.close()


def test_results_and_errors_are_the_futures(threads: Threads):
    assert threads.submit(lambda: 5).result(PATIENCE) == 5
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 // 0).result(PATIENCE)


def test_no_more_than_so_many_at_a_time(threads: Threads):
    running, most, lock = 0, 0, threading.Lock()
    go_on = threading.Event()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        go_on.wait(PATIENCE)
        with lock:
            running -= 1

    futures = [threads.submit(work) for _ in range(12)]
    eventually(lambda: running == 3)
    go_on.set()
    for future in futures:
        future.result(PATIENCE)
    assert most == 3


def test_a_thread_is_used_again(threads: Threads):
    idents = set()
    for _ in range(20):
        idents.add(threads.submit(threading.get_ident).result(PATIENCE))
        eventually(lambda: threads._idle == threads._started)
    assert len(idents) == 1


def test_what_has_the_same_turn_is_done_in_order_and_takes_one_thread(threads: Threads):
    go_on, done = threading.Event(), []
    turns = [threads.submit(lambda: go_on.wait(PATIENCE), turn="a")]
    turns += [
        threads.submit(lambda number=number: done.append(number), turn="a") for number in range(20)
    ]
    # The others are not held up by those that wait for their turn.
    for turn in (None, "b", "c", None):
        threads.submit(lambda: None, turn=turn).result(PATIENCE)
    assert done == []
    go_on.set()
    for future in turns:
        future.result(PATIENCE)
    assert done == list(range(20))
    assert threads._turns == {}


def test_a_turn_goes_on_after_an_error_and_what_was_cancelled(threads: Threads):
    go_on = threading.Event()
    threads.submit(lambda: go_on.wait(PATIENCE), turn="a")
    failing = threads.submit(lambda: 1 // 0, turn="a")
    cancelled = threads.submit(lambda: None, turn="a")
    last = threads.submit(lambda: "last", turn="a")
    assert cancelled.cancel()
    go_on.set()
    assert last.result(PATIENCE) == "last"
    with pytest.raises(ZeroDivisionError):
        failing.result(PATIENCE)


def test_closing_abandons_what_has_not_begun(threads: Threads):
    begun, go_on = threading.Event(), threading.Event()
    running = threads.submit(lambda: (begun.set(), go_on.wait(PATIENCE)), turn="a")
    assert begun.wait(PATIENCE)
    waiting = threads.submit(lambda: None, turn="a")
    threads.close()
    with pytest.raises(CancelledError):
        waiting.result(PATIENCE)
    go_on.set()
    running.result(PATIENCE)
    with pytest.raises(RuntimeError):
        threads.submit(lambda: None)
