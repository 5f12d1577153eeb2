"""The event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from supervisor._loop import Loop, new_loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = new_loop()
    yield made
    made.close()
    made.close()
    assert made.is_closed()


def test_callbacks_in_order_and_timers_by_time(loop: Loop) -> None:
    done: list[object] = []
    loop.call_later(0.02, done.append, "later")
    loop.call_later(0.01, done.append, "sooner")
    loop.call_soon(done.append, 1)
    loop.call_soon(done.append, 2)
    loop.call_soon(done.append, "cancelled").cancel()
    loop.call_later(0, done.append, "never").cancel()
    loop.call_later(0.03, loop.stop)
    loop.run_forever()
    assert done == [1, 2, "sooner", "later"]


def test_very_late_timers_do_no_harm(loop: Loop) -> None:
    loop.call_later(1e9, loop.stop)
    loop.call_later(float("inf"), loop.stop)
    loop.call_later(0.01, loop.stop)
    loop.run_forever()


def test_many_cancelled_timers_are_swept_out(loop: Loop) -> None:
    for _ in range(1000):
        loop.call_later(1000, loop.stop).cancel()
    assert len(loop._timers) < 200
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_readers_and_writers(loop: Loop) -> None:
    one, other = socket.socketpair()
    with one, other:
        seen: list[bytes] = []

        def read() -> None:
            seen.append(other.recv(100))
            loop.remove_reader(other)
            loop.stop()

        def write() -> None:
            one.send(b"hello")
            loop.remove_writer(one)

        loop.add_reader(other, read)
        loop.add_writer(one, write)
        loop.run_forever()
        assert seen == [b"hello"]
        assert not loop.remove_reader(other)
        assert not loop.remove_writer(one)


def test_an_end_of_file_wakes_the_reader(loop: Loop) -> None:
    one, other = socket.socketpair()
    with other:
        loop.add_reader(other, loop.stop)
        one.close()
        loop.run_forever()
        loop.remove_reader(other)


def test_a_callback_that_fails_is_logged_and_the_loop_goes_on(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.call_soon(lambda: 1 / 0)
    one, other = socket.socketpair()
    with one, other:

        def fail() -> None:
            loop.remove_reader(other)
            raise RuntimeError("in a reader")

        loop.add_reader(other, fail)
        one.send(b"x")
        loop.call_later(0.01, loop.stop)
        loop.run_forever()
    assert "ZeroDivisionError" in caplog.text
    assert "in a reader" in caplog.text


def test_tasks_and_futures(loop: Loop) -> None:
    async def wait(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    async def main() -> list[float]:
        assert asyncio.get_running_loop() is loop
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait(100), 0.01)
        return await asyncio.gather(wait(0.01), wait(0), wait(0.005))

    assert loop.run_until_complete(main()) == [0.01, 0, 0.005]


def test_another_thread_wakes_it(loop: Loop) -> None:
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(loop.stop))
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()


def test_a_signal_wakes_it(loop: Loop) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    try:
        loop.add_signal_handler(signal.SIGUSR1, loop.stop)
        timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        loop.run_forever()
        timer.join()
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGUSR1, before)


def test_it_runs_once_at_a_time(loop: Loop) -> None:
    errors: list[BaseException] = []

    def again() -> None:
        try:
            loop.run_forever()
        except RuntimeError as error:
            errors.append(error)
        loop.stop()

    loop.call_soon(again)
    loop.run_forever()
    assert len(errors) == 1
