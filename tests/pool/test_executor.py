"""What a pool does as an executor of concurrent.futures."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import itertools
import multiprocessing
import os
import pickle
import resource
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import multiprocess
import pytest

from supervisor import BadCall, PoolExecutor, RemoteError, SpecError, StartError
from tests.pool import work
from tests.support import eventually


def test_submit(shared: PoolExecutor) -> None:
    assert shared.submit(work.add, 2, other=3).result() == 5
    assert shared.submit(pow, 2, 5).result() == 32
    assert shared.submit(dict, self=1, fn=2).result() == {"self": 1, "fn": 2}
    assert shared.submit(work.pid_of).result() != os.getpid()


def test_functions_without_a_module_of_their_own(shared: PoolExecutor) -> None:
    factor = 3

    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

        def doubled(self) -> Point:
            return Point(2 * self.x)

    assert shared.submit(lambda x: x * factor, 5).result() == 15
    doubled = shared.submit(Point(4).doubled).result()
    assert isinstance(doubled, Point)
    assert doubled.x == 8
    assert list(shared.map(lambda n: n + 1, range(3))) == [1, 2, 3]


def test_a_closure_is_carried_as_it_is_now(shared: PoolExecutor) -> None:
    """Its bytes are kept between calls, but not beyond what they were made of."""
    state = 1
    items = [1]

    def read() -> tuple[int, list[int]]:
        return state, items

    assert shared.submit(read).result() == (1, [1])
    items.append(2)
    assert shared.submit(read).result() == (1, [1, 2])
    state = 2
    assert shared.submit(read).result() == (2, [1, 2])

    def only_state() -> int:
        return state

    assert [shared.submit(only_state).result() for _ in range(2)] == [2, 2]
    state = 3
    assert shared.submit(only_state).result() == 3


def test_a_coroutine_function_runs_to_its_end(shared: PoolExecutor) -> None:
    assert shared.submit(work.later, 7).result() == 7


@pytest.mark.parametrize("size", [10, 50_000, 5_000_000])
@pytest.mark.parametrize("kind", [bytes, bytearray, str, list])
def test_values_of_any_size(shared: PoolExecutor, kind: type, size: int) -> None:
    if kind is list:
        value: Any = list(range(size // 50))
    else:
        value = "x" * size if kind is str else kind(os.urandom(1000) * (size // 1000))
    result = shared.submit(work.identity, value).result()
    assert type(result) is kind
    assert result == value
    nested = {"deep": [value, (value,)]}
    assert shared.submit(work.identity, nested).result() == nested


def test_buffers_arrive_writable_and_leave_the_senders_alone(shared: PoolExecutor) -> None:
    sent = memoryview(bytearray(200_000))
    result = shared.submit(work.identity, sent).result()
    assert isinstance(result, memoryview)
    result[0] = 1
    assert sent[0] == 0


def test_many_large_values_take_no_descriptors(shared: PoolExecutor) -> None:
    """Neither those that wait, nor results that somebody keeps."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        sent = [bytearray(70_000) for _ in range(1000)]
        futures = [shared.submit(work.identity, memoryview(value)) for value in sent]
        results = [future.result() for future in futures]
        assert all(len(result) == 70_000 for result in results)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- exceptions --------------------------------------------------------------------------------


def test_an_exception_shows_where_it_comes_from(shared: PoolExecutor) -> None:
    future = shared.submit(work.fail, "that is wrong")
    with pytest.raises(ValueError, match="that is wrong") as caught:
        future.result()
    assert "in fail" in str(caught.value.__cause__)
    assert "work.py" in str(caught.value.__cause__)
    assert "_pool" not in str(caught.value.__cause__)
    local = shared.submit(lambda: work.fail("there")).exception()
    assert local is not None
    # Of code that was carried by value too, the line is shown.
    assert 'shared.submit(lambda: work.fail("there"))' in str(local.__cause__)
    assert shared.submit(sys.exit, 3).exception().code == 3  # type: ignore[union-attr]


def test_what_cannot_be_sent_back_concerns_that_task_alone(shared: PoolExecutor) -> None:
    others = [shared.submit(work.square, number) for number in range(5)]
    with pytest.raises(RemoteError, match="it hangs others") as lost:
        shared.submit(work.raise_unpicklable).result()
    assert lost.value.type == "tests.pool.work:Unpicklable"
    assert "raise_unpicklable" in str(lost.value.__cause__)
    with pytest.raises(RemoteError, match="lost argument") as unbuilt:
        shared.submit(work.raise_unbuildable).result()
    assert "could not be rebuilt here" in str(unbuilt.value.__cause__)
    with pytest.raises(pickle.PicklingError, match="the result, a generator"):
        shared.submit(work.lock).result()
    with pytest.raises(ValueError, match="not here") as unloaded:
        shared.submit(work.fails_to_load).result()
    assert "fails_to_load" in unloaded.value.__notes__[0]
    with pytest.raises(ValueError, match="not here"):
        shared.submit(work.identity, work.FailsToLoad()).result()
    assert [future.result() for future in others] == [0, 1, 4, 9, 16]


# --- wrong use ---------------------------------------------------------------------------------


def test_what_cannot_be_carried_is_refused_at_the_call(shared: PoolExecutor) -> None:
    with pytest.raises(BadCall, match="an argument of identity cannot be carried"):
        shared.submit(work.identity, work.FailsToDump())
    generator = (number for number in range(3))
    with pytest.raises(BadCall, match="cannot be carried to another process"):
        shared.submit(lambda: next(generator))
    with pytest.raises(BadCall, match="must be callable, not 3"):
        shared.submit(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        shared.submit()  # type: ignore[call-arg]


def test_wrong_arguments_are_refused_at_the_call(shared: PoolExecutor) -> None:
    for args, kwargs in [((), {}), ((1, 2, 3), {}), ((1,), {"wrong": 2})]:
        with pytest.raises(BadCall, match="add does not take these arguments"):
            shared.submit(work.add, *args, **kwargs)
    with pytest.raises(BadCall, match="square does not take these arguments"):
        shared.map(work.square, [1], [2])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"max_workers": 0}, "max_workers must be greater than 0"),
        ({"max_workers": -1}, "max_workers must be greater than 0"),
        ({"max_workers": 1.5}, "max_workers must be"),
        ({"max_workers": True}, "max_workers must be"),
        ({"max_tasks_per_child": 0}, "max_tasks_per_child must be a whole number of at least 1"),
        ({"retries": -1}, "retries must be a whole number of at least 0"),
        ({"timeout": 0}, "timeout must be seconds, more than 0"),
        ({"timeout": "5"}, "timeout must be seconds"),
        ({"queue_size": 0}, "queue_size must be a whole number of at least 1"),
        ({"when_full": "drop"}, "when_full must be one of 'block', 'raise'"),
        ({"initializer": 5}, "initializer must be callable"),
        ({"initializer": work.square, "initargs": ()}, "does not take these arguments"),
        ({"initargs": (1,)}, "initargs must be empty"),
        ({"mp_context": "fork"}, "mp_context must be a context of multiprocessing"),
        ({"node": ""}, "node must be a string"),
    ],
)
def test_wrong_settings(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        PoolExecutor(**wrong)


def test_wrong_options(shared: PoolExecutor) -> None:
    for wrong in ({"retries": -1}, {"timeout": -1.0}, {"priority": "high"}, {"when_full": 1}):
        with pytest.raises(SpecError, match=next(iter(wrong))):
            shared.options(**wrong)  # type: ignore[arg-type]
    for wrong_map in ({"chunksize": 0}, {"chunksize": -1}, {"buffersize": 0}, {"on_done": 1}):
        with pytest.raises(SpecError, match=next(iter(wrong_map))):
            shared.map(work.square, [1], **wrong_map)  # type: ignore[arg-type]


def test_use_after_shutdown(run_dir: Path) -> None:
    executor = PoolExecutor(1)
    futures = [executor.submit(work.square, number) for number in range(100)]
    executor.shutdown()
    # It has waited for what was on its way.
    assert [future.result(0) for future in futures] == [number**2 for number in range(100)]
    executor.shutdown()
    for use in (executor.submit, executor.map):
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            use(work.square, [1])
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.options(retries=1).submit(work.square, 1)
    unused = PoolExecutor(1)
    unused.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        unused.submit(work.square, 1)


def test_use_in_a_forked_child(shared: PoolExecutor) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        said = b"nothing"
        try:
            shared.submit(work.square, 1)
        except RuntimeError as error:
            said = str(error).encode()
        os.write(write, said)
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as file:
        assert "which this one was forked from" in file.read()
    assert shared.submit(work.square, 3).result() == 9


# --- initializers, start methods, max_tasks ----------------------------------------------------


def test_the_initializer_runs_once_in_each_worker(run_dir: Path) -> None:
    with PoolExecutor(2, initializer=work.initialize, initargs=(1, 2)) as executor:
        found = [executor.submit(work.was_initialized) for _ in range(10)]
        assert [future.result() for future in found] == [[1, 2]] * 10


def test_an_initializer_that_fails(run_dir: Path) -> None:
    with PoolExecutor(1, initializer=work.fail_to_initialize) as executor:
        with pytest.raises(StartError, match="no database") as caught:
            executor.submit(work.square, 1)
        assert "in fail_to_initialize" in (caught.value.traceback or "")


def test_a_context_chooses_the_start_method(run_dir: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with PoolExecutor(1, mp_context=context) as executor:
        assert executor.submit(work.square, 3).result() == 9
    for library in (multiprocessing, multiprocess):
        for method in ("fork", "forkserver", "spawn"):
            PoolExecutor(1, mp_context=library.get_context(method)).shutdown()


def test_a_worker_is_replaced_after_so_many_tasks(run_dir: Path) -> None:
    with PoolExecutor(1, max_tasks_per_child=3) as executor:
        pids = list(executor.map(work.pid_of, range(9)))
    assert [len(set(pids[at : at + 3])) for at in (0, 3, 6)] == [1, 1, 1]
    assert len(set(pids)) == 3


# --- waiting, cancelling, shutting down --------------------------------------------------------


def test_wait_and_as_completed(shared: PoolExecutor, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    slow = shared.submit(work.hold, str(tmp_path / "begun"), str(gate), "slow")
    fast = shared.submit(work.square, 2)
    done, left = concurrent.futures.wait([slow, fast], return_when="FIRST_COMPLETED")
    assert (done, left) == ({fast}, {slow})
    gate.touch()
    assert {future.result() for future in concurrent.futures.as_completed([slow, fast])} == {
        "slow",
        4,
    }


def test_shutdown_cancels_what_was_not_begun(run_dir: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    executor = PoolExecutor(1)
    first = executor.submit(work.hold, str(tmp_path / "begun"), str(gate))
    waiting = [executor.submit(work.square, number) for number in range(5)]
    eventually(first.running)
    executor.shutdown(wait=False, cancel_futures=True)
    done, _ = concurrent.futures.wait(waiting, timeout=20)
    assert len(done) == 5
    assert all(future.cancelled() for future in waiting)
    gate.touch()
    assert first.result() is None
    executor.shutdown()


def test_shutdown_cancels_nothing_that_a_free_worker_could_have(run_dir: Path) -> None:
    executor = PoolExecutor(2)
    futures = [executor.submit(work.pid_of) for _ in range(2)]
    executor.shutdown(cancel_futures=True)
    assert all(future.result(0) for future in futures)


def test_an_executor_that_nobody_has_any_more_ends(run_dir: Path) -> None:
    before = set(threading.enumerate())
    executor = PoolExecutor(1)
    future = executor.submit(work.square, 3)
    gone = weakref.ref(executor)
    del executor
    gc.collect()
    assert gone() is None
    assert future.result() == 9
    eventually(lambda: set(threading.enumerate()) <= before)


def test_results_are_not_kept(shared: PoolExecutor) -> None:
    class Kept:
        pass

    argument = Kept()
    gone = weakref.ref(argument)
    future = shared.submit(work.identity, argument)
    result = weakref.ref(future.result())
    del argument, future
    eventually(lambda: gone() is None and result() is None)


def test_a_callback_may_submit_and_shut_down(run_dir: Path) -> None:
    executor = PoolExecutor(1)
    second: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def go_on(future: Any) -> None:
        executor.submit(work.square, future.result()).add_done_callback(end)

    def end(future: Any) -> None:
        executor.shutdown()
        second.set_result(future.result())

    executor.submit(work.square, 2).add_done_callback(go_on)
    assert second.result(20) == 16
    executor.shutdown()


# --- map ---------------------------------------------------------------------------------------


def test_map(shared: PoolExecutor) -> None:
    assert list(shared.map(work.square, range(10))) == [n * n for n in range(10)]
    assert list(shared.map(work.add, range(5), range(5, 100))) == [5, 7, 9, 11, 13]
    assert list(shared.map(work.square, range(10), chunksize=3)) == [n * n for n in range(10)]
    assert list(shared.map(work.square, [])) == []
    assert sorted(shared.map(work.square, range(10), ordered=False)) == [n * n for n in range(10)]


def test_map_begins_without_being_asked(shared: PoolExecutor, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    results = shared.map(work.append, [str(path)] * 3, "abc")
    eventually(lambda: path.exists() and len(path.read_text()) == 6)
    assert list(results) == [None] * 3


def test_map_over_endless_input(shared: PoolExecutor) -> None:
    read = 0

    def numbers() -> Any:
        nonlocal read
        while True:
            yield read
            read += 1

    results = shared.map(work.square, numbers())
    assert [next(results) for _ in range(1000)] == [n * n for n in range(1000)]
    assert read < 2000
    results.close()
    small = shared.map(work.square, itertools.count(), buffersize=2)
    assert list(itertools.islice(small, 5)) == [0, 1, 4, 9, 16]


def test_map_raises_where_the_result_would_be(shared: PoolExecutor) -> None:
    results = shared.map(divmod, [1, 1, 1], [1, 0, 1])
    assert next(results) == (1, 0)
    with pytest.raises(ZeroDivisionError):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_map_timeout(shared: PoolExecutor, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    results = shared.map(work.hold, [str(tmp_path / "begun")], [str(gate)], timeout=0.1)
    with pytest.raises(TimeoutError):
        next(results)
    gate.touch()
    for timeout in ("soon", True, float("nan")):
        with pytest.raises(SpecError, match="map: timeout must be seconds"):
            shared.map(work.square, [1], timeout=timeout)  # type: ignore[arg-type]


def test_progress(shared: PoolExecutor) -> None:
    """What tqdm and rich ask of what they iterate over: its length, where it has one."""
    done: list[Any] = []
    results = shared.map(work.square, range(20), ordered=False, on_done=done.append)
    assert len(results) == 20
    assert len(list(results)) == 20
    eventually(lambda: len(done) == 20)
    assert max(future.result() for future in done) == 361
    assert len(shared.map(work.add, [1, 2], [3])) == 1
    with pytest.raises(TypeError, match="no length"):
        len(shared.map(work.square, iter([1])))


# --- async -------------------------------------------------------------------------------------


def test_async(shared: PoolExecutor, tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await shared.run(work.add, 1, other=2) == 3
        assert await loop.run_in_executor(shared, work.square, 5) == 25
        assert await asyncio.gather(*(shared.run(work.square, n) for n in range(20))) == [
            n * n for n in range(20)
        ]
        assert [result async for result in shared.map(work.square, range(5))] == [0, 1, 4, 9, 16]
        unordered = shared.map(work.square, range(5), ordered=False)
        assert sorted([result async for result in unordered]) == [0, 1, 4, 9, 16]
        with pytest.raises(ValueError, match="wrong"):
            await shared.run(work.fail, "wrong")
        begun = tmp_path / "begun"
        task = asyncio.ensure_future(shared.run(work.hang, str(begun)))
        while not begun.exists() or not begun.read_text():
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        worker = int(begun.read_text())
        while os.path.exists(f"/proc/{worker}"):
            await asyncio.sleep(0.005)

    asyncio.run(main())


def test_async_starts_the_pool_without_holding_up_the_loop(run_dir: Path) -> None:
    async def main() -> int:
        executor = PoolExecutor(1)
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        turning = asyncio.ensure_future(turn())
        assert await executor.run(work.square, 4) == 16
        turning.cancel()
        executor.shutdown()
        return turns

    assert asyncio.run(main()) > 10


# --- output ------------------------------------------------------------------------------------


def test_logs_and_lines_reach_the_caller(
    shared: PoolExecutor, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [f"{number} " + "x" * 500 for number in range(20)]
    assert len(list(shared.map(print, texts))) == 20
    shared.submit(work.log, "from afar").result()
    shared.submit(work.say, "no end of line").result()
    out = ""

    def all_is_there() -> bool:
        nonlocal out
        out += capsys.readouterr().out
        return out.count("\n") == 21

    eventually(all_is_there)
    assert sorted(out.splitlines()) == sorted([*texts, "no end of line"])
    eventually(lambda: "from afar" in caplog.text)
    assert caplog.records[-1].name == "tests.pool"


SCRIPT = """
import sys, time
from supervisor import PoolExecutor

class Point:
    def __init__(self, x): self.x = x

def moved(point, by): return Point(point.x + by)

def slowly(text):
    time.sleep(0.2)
    print(text)

executor = PoolExecutor(2)
point = executor.submit(moved, Point(1), 2).result()
assert isinstance(point, Point) and point.x == 3
try:
    executor.submit(lambda: 1 / 0).result()
except ZeroDivisionError as error:
    assert "lambda" in str(error.__cause__)
from multiprocessing import get_context
with get_context("fork").Manager() as manager:
    queue = manager.Queue()
    executor.submit(queue.put, 5).result()
    assert queue.get() == 5
for text in ("apple", "pear"):
    executor.submit(slowly, text)
"""


def test_a_script_that_ends_without_shutdown(run_dir: Path) -> None:
    """It needs no guard, its classes stay the same, and it waits for what it has submitted."""
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert sorted(ended.stdout.split()) == ["apple", "pear"]
    assert ended.stderr == ""
