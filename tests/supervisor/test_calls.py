"""Calls to one tree that all tests share: whatever goes wrong here, its processes live on."""

from __future__ import annotations

import datetime
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from supervisor import (
    BadCall,
    CallTimeout,
    Child,
    NoProcess,
    Ref,
    Supervisor,
    SupervisorRef,
    connect,
    whereis,
)
from tests.supervisor.conftest import fresh
from tests.supervisor.servers import (
    AsyncWorker,
    Marked,
    Plain,
    Refused,
    RefusedHarder,
    Worker,
    lines,
    task_that_waits,
)
from tests.support import eventually


@pytest.fixture(scope="module")
def shared(module_run_dir: Path) -> Iterator[SupervisorRef]:
    children = [
        Child(Worker, {"journal": str(module_run_dir.parent / "journal")}, name="w"),
        Child(Plain, name="plain"),
        Child(AsyncWorker, name="async"),
        Child(Worker, name="other"),
        Child(task_that_waits, name="task"),
    ]
    with Supervisor(children, name="top").start() as tree:
        yield tree


@pytest.fixture
def tree(shared: SupervisorRef) -> Iterator[SupervisorRef]:
    """The shared tree; every process of it must be the same afterwards."""
    with fresh(shared) as ref:
        before = [child.pid for child in ref.which_children()]
        yield ref
        assert [child.pid for child in ref.which_children()] == before


@pytest.fixture
def worker(tree: SupervisorRef) -> Iterator[Any]:
    with connect("w") as client:
        yield client


def test_a_signal_handler_may_call_while_its_thread_waits_for_an_answer(worker: Any) -> None:
    answers = []
    before = signal.signal(signal.SIGUSR1, lambda *_: answers.append(worker.echo("inner")))
    try:
        timer = threading.Timer(0.1, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
        timer.start()
        # It takes no other call meanwhile: so both wait, over connections of their own.
        assert worker.sleep(0.3) == worker.pid()
        assert worker.echo("outer") == "outer"
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert answers == ["inner"]


def test_a_timer_that_rings_does_not_put_off_the_end_of_a_call(tree: SupervisorRef) -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        with pytest.raises(CallTimeout):
            tree.child("async").call("wait_for", "never", timeout=0.2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    tree.child("async").call("open", "never")


def test_asynchronous_operations_begin_in_order_of_arrival(tree: SupervisorRef) -> None:
    ref = tree.child("async")
    for number in range(50):
        ref.cast("begin", number)
    assert ref.call("take_begun") == list(range(50))


def test_arguments_that_do_not_fit_below_a_wrapper_are_the_callers_fault(
    tree: SupervisorRef,
) -> None:
    ref = tree.child("async")
    with pytest.raises(BadCall, match="wrapped"):
        ref.call("wrapped", 1, 2)
    assert ref.call("wrapped", 1) == 1


VALUES = [
    None,
    True,
    False,
    0,
    -1,
    2**63,
    2**64,
    -(2**64),
    10**400,
    1.5,
    float("inf"),
    "",
    "text \x00 \U0001f600 \ud800",
    b"",
    b"bytes",
    [],
    [1, [2, [None, {"a": b"\x00"}]]],
    {"a": {"b": [1, 2]}},
    {1: "number", None: "none", False: "no"},
    datetime.datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=datetime.UTC),
    datetime.datetime(1901, 1, 1, tzinfo=datetime.UTC),
    datetime.datetime(2024, 1, 1, 12),
    [10**40, {"deep": [datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)]}],
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_arrive_as_they_were_sent(worker: Any, value: Any) -> None:
    assert worker.echo(value) == value
    assert type(worker.echo(value)) is type(value)
    assert worker.echo(named=value) == {"named": value}
    assert worker.echo([value, {"in": value}]) == [value, {"in": value}]


def test_tuples_arrive_as_lists(worker: Any) -> None:
    assert worker.echo((1, (2, 3))) == [1, [2, 3]]


def test_aware_datetimes_of_other_zones_keep_their_moment(worker: Any) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    moment = datetime.datetime(2024, 1, 1, tzinfo=zone)
    assert worker.echo(moment) == moment


@pytest.mark.parametrize("size", [0, 1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 3_000_000])
def test_binaries_of_any_size_by_position_by_name_and_in_lists(worker: Any, size: int) -> None:
    data = os.urandom(size)
    assert worker.echo(data) == data
    assert type(worker.echo(data)) is bytes
    assert worker.echo(named=data) == {"named": data}
    assert worker.echo([data, 1, data, b"small"]) == [data, 1, data, b"small"]
    assert worker.echo(named=[data, "x"]) == {"named": [data, "x"]}
    assert worker.echo({"inside": {"deep": [data]}}) == {"inside": {"deep": [data]}}
    assert worker.echo(bytearray(data)) == data
    assert worker.echo(memoryview(data)) == data
    assert worker.echo(memoryview(data)[::-1]) == data[::-1]


class Viewing:
    def view(self, size: int) -> memoryview:
        return memoryview(bytes(size))

    def array(self, size: int) -> bytearray:
        return bytearray(size)


@pytest.mark.parametrize("size", [0, 10, 64 * 1024, 1_000_000])
def test_a_memoryview_arrives_as_a_read_only_memoryview(tree: SupervisorRef, size: int) -> None:
    child = tree.start_child(Child(Viewing, restart="temporary"))
    try:
        view = child.call("view", size)
        assert isinstance(view, memoryview)
        assert view.readonly
        assert bytes(view) == bytes(size)
        array = child.call("array", size)
        assert type(array) is bytes
        assert array == bytes(size)
    finally:
        tree.terminate_child("Viewing")


def test_refs_travel(worker: Any, tree: SupervisorRef) -> None:
    ref = worker.own_ref()
    assert isinstance(ref, Ref)
    assert ref.call("pid") == worker.pid()
    assert worker.echo(tree).pid == tree.pid
    assert isinstance(worker.echo(tree), SupervisorRef)
    assert worker.own_name() == "w"


# --- the caller's fault --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    [
        "unknown",
        "_private",
        "__init__",
        "__class__",
        "on_start",
        "terminate",
        "name",
        "ref",
        "call_later",
        "stop",
        "close",
        "replies_with",
        "journal",
        "count",
        "",
        "x" * 256,
    ],
)
def test_what_is_no_operation_is_a_bad_call(tree: SupervisorRef, operation: str) -> None:
    with pytest.raises(BadCall):
        tree.child("w").call(operation)


@pytest.mark.parametrize("operation", ["close", "_private", "__init__", "shown", "attribute"])
def test_what_is_no_operation_of_a_plain_class(tree: SupervisorRef, operation: str) -> None:
    with pytest.raises(BadCall):
        tree.child("plain").call(operation)


def test_names_of_hooks_are_operations_of_a_plain_class(tree: SupervisorRef) -> None:
    assert tree.child("plain").call("stop") == "an operation: this is no Server"
    assert tree.child("plain").call("name") == "mine"


def test_wrong_arguments_are_a_bad_call(worker: Any) -> None:
    for args, kwargs in [
        ((), {}),
        ((1,), {}),
        ((1, 2, 3), {}),
        ((1, 2), {"fourth": 4}),
        ((), {"first": 1, "second": 2}),
    ]:
        with pytest.raises(BadCall):
            worker.two(*args, **kwargs)
    assert worker.two(1, 2, third=3) == [1, 2, 3]


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, 1j, lambda: None, datetime.date(2024, 1, 1), [object()], {"a": object()}],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_encoded_is_a_bad_call(worker: Any, value: object) -> None:
    with pytest.raises(BadCall):
        worker.echo(value)
    with pytest.raises(BadCall):
        worker.echo(named=value)


def test_a_structure_that_contains_itself_is_a_bad_call(worker: Any) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(BadCall):
        worker.echo(loop)


def test_deep_nesting_is_a_bad_call_or_arrives(worker: Any) -> None:
    for depth in (100, 400, 600, 2000):
        value: list[Any] = []
        for _ in range(depth):
            value = [value]
        try:
            assert worker.echo(value) == value
        except BadCall:
            continue


def test_a_frame_over_the_limit_is_a_bad_call(worker: Any) -> None:
    with pytest.raises(BadCall, match=str(64 * 1024 * 1024)):
        worker.echo({"inline": bytes(64 * 1024 * 1024)})
    with pytest.raises(BadCall):
        worker.echo("x" * (64 * 1024 * 1024))


@pytest.mark.parametrize("timeout", ["1", float("nan"), True])
def test_a_timeout_that_is_none_is_a_bad_call(tree: SupervisorRef, timeout: Any) -> None:
    with pytest.raises(BadCall):
        tree.child("w").call("pid", timeout=timeout)


@pytest.mark.parametrize("timeout", [1e6, 1e12, float("inf"), None])
def test_long_timeouts(tree: SupervisorRef, timeout: Any) -> None:
    assert tree.child("w").call("echo", 1, timeout=timeout) == 1
    with connect("w", timeout=timeout) as client:
        assert client.echo(2) == 2


@pytest.mark.parametrize("name", ["", "x" * 256, 5, None, b"w"])
def test_what_is_no_name_is_refused(tree: SupervisorRef, name: Any) -> None:
    with pytest.raises(BadCall):
        connect(name)


def test_an_unknown_name_is_no_process_at_the_first_call(tree: SupervisorRef) -> None:
    with connect("nobody") as client, pytest.raises(NoProcess, match="nobody"):
        client.anything()
    assert whereis("nobody") is None


def test_a_node_that_does_not_run_is_no_process(tree: SupervisorRef) -> None:
    with connect("w", node="elsewhere") as client, pytest.raises(NoProcess, match="elsewhere"):
        client.anything()


def test_a_task_answers_no_calls(tree: SupervisorRef) -> None:
    with pytest.raises((BadCall, NoProcess)):
        connect("task").anything()
    assert whereis("task") is not None


# --- the operation's fault -----------------------------------------------------------------------


def test_a_declared_error_is_raised_again_whole(worker: Any) -> None:
    with pytest.raises(Refused) as caught:
        worker.refuse("too late", 7)
    assert type(caught.value) is Refused
    assert caught.value.args == ("too late",)
    assert caught.value.message == "too late"
    assert caught.value.code == 7
    assert caught.value.details == {"given": ["too late", 7]}


def test_a_subclass_of_a_declared_error_keeps_its_type(worker: Any) -> None:
    with pytest.raises(RefusedHarder) as caught:
        worker.refuse_harder()
    assert caught.value.code == 2


def test_a_declared_error_of_an_asynchronous_operation(tree: SupervisorRef) -> None:
    with pytest.raises(Refused) as caught:
        tree.child("async").call("refuse")
    assert caught.value.code == 3


# --- time ----------------------------------------------------------------------------------------


def test_no_answer_in_time(tree: SupervisorRef) -> None:
    with connect("w", timeout=0.1) as client:
        with pytest.raises(CallTimeout) as caught:
            client.sleep(0.5)
        assert isinstance(caught.value, TimeoutError)
        eventually(lambda: _answers(client))


def _answers(client: Any) -> bool:
    try:
        return bool(client.echo("there") == "there")
    except CallTimeout:
        return False


def test_a_late_answer_is_never_given_to_the_next_call(tree: SupervisorRef) -> None:
    ref = tree.child("w")
    with pytest.raises(CallTimeout):
        ref.call("sleep", 0.2, timeout=0.05)
    assert ref.call("echo", "mine") == "mine"
    assert ref.call("echo", "mine too") == "mine too"


def test_a_call_whose_caller_has_given_up_is_not_carried_out(tree: SupervisorRef) -> None:
    ref, blocked = (
        tree.child("w"),
        threading.Thread(target=tree.child("w").call, args=("sleep", 0.4)),
    )
    count = ref.call("increment", 0)
    blocked.start()
    eventually(lambda: _is_busy(ref))
    with pytest.raises(CallTimeout):
        ref.call("increment", timeout=0.05)
    blocked.join()
    assert ref.call("increment", 0) == count


def _is_busy(ref: Ref) -> bool:
    try:
        ref.call("echo", timeout=0.02)
    except CallTimeout:
        return True
    return False


@pytest.mark.parametrize("timeout", [0, -1, 1e-9])
def test_no_time_at_all_is_a_timeout(tree: SupervisorRef, timeout: float) -> None:
    with pytest.raises(CallTimeout):
        tree.child("w").call("pid", timeout=timeout)


# --- casts ---------------------------------------------------------------------------------------


def test_a_cast_is_carried_out(tree: SupervisorRef, shared: SupervisorRef) -> None:
    ref = tree.child("w")
    count = ref.call("increment", 0)
    ref.cast("increment", 5)
    assert ref.call("increment", 0) == count + 5


def test_a_bad_cast_harms_nobody(tree: SupervisorRef) -> None:
    ref = tree.child("w")
    ref.cast("unknown")
    ref.cast("two", 1)
    ref.cast("_private")
    ref.cast("stop")
    ref.cast("refuse", "nobody hears", 1)
    assert ref.call("echo", 1) == 1
    with pytest.raises(BadCall):
        ref.cast("echo", object())
    tree.cast("which_children")
    tree.cast("unknown")
    tree.registry().cast("unknown")
    assert tree.which_children()


def test_a_cast_with_a_large_binary(tree: SupervisorRef) -> None:
    ref = tree.child("w")
    ref.cast("echo", bytes(1_000_000))
    assert ref.call("echo", 1) == 1


# --- whom one calls ------------------------------------------------------------------------------


def test_a_server_that_calls_itself_gets_an_error_at_once(worker: Any) -> None:
    assert worker.call_self() == "BadCall"


def test_a_thread_of_a_server_may_call_it(worker: Any) -> None:
    assert worker.call_self_in_thread() == worker.pid()


def test_a_forked_child_of_a_server_may_call_it(worker: Any) -> None:
    assert worker.child_calls_parent() == 0


def test_an_asynchronous_operation_may_call_its_own_server(tree: SupervisorRef) -> None:
    ref = tree.child("async")
    assert ref.call("call_self") == ref.call("pid")


def test_a_server_finds_others_of_its_node_by_name(worker: Any) -> None:
    assert worker.call_other("other", "echo", 5) == 5


def test_the_interface_says_what_the_client_has(tree: SupervisorRef) -> None:
    with connect("w", Marked) as client:
        assert client.echo(1) == 1
        with pytest.raises(AttributeError, match="unknown"):
            _ = client.unknown
        with pytest.raises(BadCall):
            client.read()
    with pytest.raises(BadCall):
        connect("w", "no interface")  # type: ignore[call-overload]


def test_a_client_can_be_used_again_after_close(tree: SupervisorRef) -> None:
    client = connect("w")
    pid = client.pid()
    client.close()
    client.close()
    assert client.pid() == pid
    client.close()


def test_connect_takes_a_ref(tree: SupervisorRef) -> None:
    with connect(tree.child("w")) as client:
        assert client.own_name() == "w"


# --- many at once --------------------------------------------------------------------------------


def test_many_threads_share_a_client(worker: Any) -> None:
    def calls(number: int) -> list[Any]:
        return [worker.echo([number, turn]) for turn in range(50)]

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(calls, range(16)))
    assert results == [[[number, turn] for turn in range(50)] for number in range(16)]


def test_operations_run_one_at_a_time_in_order_of_arrival(
    tree: SupervisorRef, module_run_dir: Path
) -> None:
    journal = module_run_dir.parent / "journal"
    ref = tree.child("w")
    for number in range(100):
        ref.cast("noted", f"in order {number}")
    ref.call("pid")
    noted = [line for line in lines(journal) if line.startswith("in order")]
    assert noted == [f"in order {number}" for number in range(100)]


def test_asynchronous_operations_run_beside_each_other(tree: SupervisorRef) -> None:
    ref = tree.child("async")
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(ref.call, "wait_for", gate) for gate in "abc"]
        eventually(lambda: ref.call("waiting") == ["a", "b", "c"])
        assert ref.call("echo", 1) == 1
        for gate in "cab":
            ref.call("open", gate)
        assert [future.result() for future in futures] == ["a", "b", "c"]


def test_a_forked_child_shares_nothing_with_its_parent(worker: Any) -> None:
    before = worker.increment()
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(writer, str(worker.increment()).encode())
            worker.close()
        finally:
            os._exit(0)
    os.close(writer)
    assert worker.echo("parent") == "parent"
    with os.fdopen(reader) as file:
        assert int(file.read()) == before + 1
    os.waitpid(pid, 0)
    assert worker.increment() == before + 2


def test_call_later_runs_in_turn(worker: Any, module_run_dir: Path) -> None:
    worker.later(0.05, "later")
    worker.later(0, "soon")
    journal = module_run_dir.parent / "journal"
    eventually(lambda: [line for line in lines(journal) if line in ("soon", "later")][1:])
    assert [line for line in lines(journal) if line in ("soon", "later")] == ["soon", "later"]


def test_wait_timeout_stretches_the_clients_timeout(tree: SupervisorRef) -> None:
    class Waiting:
        def wait(self, seconds: float, *, wait_timeout: float | None = None) -> str:
            time.sleep(seconds)
            return "waited"

    child = tree.start_child(Child(Waiting, restart="temporary"))
    try:
        with connect(child, Waiting, timeout=0.1) as client:
            assert client.wait(0.3, wait_timeout=5) == "waited"
            with pytest.raises(CallTimeout):
                client.wait(0.3)
    finally:
        tree.terminate_child("Waiting")
