"""How calls are delivered, without a socket: each rule of ``_client/delivery.py``."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from signal import SIGKILL, SIGSEGV
from typing import Any

import pytest

from supervisor import CallTimeout, Exit, NoProcess, ProcessDown
from supervisor._client.delivery import (
    LinkLost,
    Request,
    Target,
    Unreachable,
    deadline_after,
    deliver,
    reach,
    run_blocking,
)
from supervisor._node import REGISTRY, ROOT, Node, ProcessPath
from supervisor._wire.frames import Frame

NODE = Node("n", "/nowhere")
KILLED = Exit("signal", signal=SIGKILL)
FAULT = Exit("signal", signal=SIGSEGV)
BUG = Exit("error", 1, error="a bug")


@dataclass
class Link:
    path: ProcessPath
    since: float = 0.0


@dataclass
class FakeTransport:
    """Answers from scripts; whatever it is asked is noted."""

    exchanges: deque[Any] = field(default_factory=deque)
    lookups: deque[Any] = field(default_factory=deque)
    statuses: deque[Any] = field(default_factory=deque)
    exits: deque[Any] = field(default_factory=deque)
    absent: dict[ProcessPath, int] = field(default_factory=dict)
    noted: list[Any] = field(default_factory=list)
    pauses: int = 0

    async def open(self, node: Node, path: ProcessPath, deadline: float | None) -> Link:
        if self.absent.get(path, 0):
            self.absent[path] -= 1
            raise Unreachable(str(path))
        self.noted.append(("open", path))
        return Link(path)

    async def exchange(self, link: Link, request: Request) -> Frame:
        self.noted.append(("exchange", link.path))
        return self._next(self.exchanges)

    async def ask(self, link: Link, operation: str, args: tuple[Any, ...], deadline: float) -> Any:
        self.noted.append((operation, link.path))
        scripts = {
            "lookup": self.lookups,
            "child_status": self.statuses,
            "child_exit": self.exits,
        }
        return self._next(scripts[operation])

    async def pause(self, seconds: float) -> None:
        self.pauses += 1

    @staticmethod
    def _next(script: deque[Any]) -> Any:
        step = script[0] if len(script) == 1 else script.popleft()
        if isinstance(step, BaseException):
            raise step
        return step() if callable(step) else step


ANSWER = Frame(b"answer")


def make(**scripts: Any) -> FakeTransport:
    built = {
        key: deque(value) if isinstance(value, list) else value for key, value in scripts.items()
    }
    return FakeTransport(**built)


def call(
    transport: FakeTransport,
    target: Target,
    *,
    retry: bool = True,
    idempotent: bool = False,
    timeout: float | None = 60.0,
) -> Frame:
    request = Request("op", b"", deadline_after(timeout), idempotent)
    return run_blocking(deliver(transport, target, request, retry=retry))


def at(path: ProcessPath = ("w",), **options: Any) -> Target:
    return Target(NODE, path=path, **options)


def named(name: str = "w") -> Target:
    return Target(NODE, name=name)


def lost_late(**options: Any) -> Callable[[], Any]:
    """A connection that breaks after the process has had the request for a while."""

    def step() -> Any:
        raise LinkLost(**options)

    return step


TAKEN = lost_late(taken=True)


def test_a_call_is_sent_once_and_answered() -> None:
    transport = make(exchanges=[ANSWER])
    assert call(transport, at()) is ANSWER
    assert transport.noted == [("open", ("w",)), ("exchange", ("w",))]


def test_a_name_is_looked_up_whenever_a_connection_is_made() -> None:
    transport = make(
        exchanges=[TAKEN, ANSWER],
        lookups=[[["a"], "server"], [["b", "c"], "server"]],
        exits=[KILLED],
    )
    assert call(transport, named(), idempotent=True) is ANSWER
    asked = [step for step in transport.noted if step[0] in ("lookup", "exchange")]
    assert asked == [
        ("lookup", REGISTRY),
        ("exchange", ("a",)),
        ("lookup", REGISTRY),
        ("exchange", ("b", "c")),
    ]


def test_an_unknown_name_is_no_process() -> None:
    with pytest.raises(NoProcess, match="'w'"):
        call(make(lookups=[None]), named())


def test_a_socket_that_is_not_there_is_waited_for_while_its_process_restarts() -> None:
    transport = make(
        exchanges=[ANSWER], statuses=[["restarting", None], ["running", 1]], absent={("w",): 3}
    )
    assert call(transport, at()) is ANSWER
    assert transport.pauses == 3


def test_where_the_supervisor_is_gone_too_its_own_is_asked() -> None:
    transport = make(
        exchanges=[ANSWER],
        statuses=[["restarting", None], ["running", 2]],
        absent={("a", "w"): 2, ("a",): 1},
    )
    assert call(transport, at(("a", "w"))) is ANSWER
    asked = [path for step, path in transport.noted if step == "child_status"]
    assert asked == [ROOT, ("a",), ("a",)] or asked[0] == ROOT


@pytest.mark.parametrize("status", ["stopped", "gone"])
def test_nobody_there_for_good_is_no_process_at_once(status: str) -> None:
    transport = make(statuses=[[status, None]], absent={("w",): 99})
    with pytest.raises(NoProcess, match=status):
        call(transport, at())
    assert transport.pauses == 0


@pytest.mark.parametrize("path", [ROOT, REGISTRY, ("w",)])
def test_a_node_without_its_root_is_not_running(path: ProcessPath) -> None:
    transport = make(absent={ROOT: 99, REGISTRY: 99, ("w",): 99})
    with pytest.raises(NoProcess, match="not running"):
        call(transport, at(path))


def test_the_registry_is_waited_for_while_the_root_holds_its_socket() -> None:
    transport = make(lookups=[LinkLost(taken=True), [["w"], "server"]], exchanges=[ANSWER])
    assert call(transport, named()) is ANSWER


def test_a_death_during_the_call_is_process_down_with_its_exit() -> None:
    transport = make(exchanges=[TAKEN], exits=[KILLED])
    with pytest.raises(ProcessDown) as caught:
        call(transport, at())
    assert caught.value.taken
    assert caught.value.exit == KILLED
    assert ("child_exit", ROOT) in transport.noted


def test_what_the_process_said_itself_counts_where_its_supervisor_is_gone() -> None:
    transport = make(exchanges=[lost_late(taken=True, exit=BUG)], absent={ROOT: 99})
    with pytest.raises(ProcessDown) as caught:
        call(transport, at())
    assert caught.value.exit == BUG


def test_of_the_root_nobody_can_say_why() -> None:
    with pytest.raises(ProcessDown) as caught:
        call(make(exchanges=[TAKEN]), at(ROOT))
    assert caught.value.exit is None


@pytest.mark.parametrize(
    ("idempotent", "retry", "again"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_what_is_sent_again(idempotent: bool, retry: bool, again: bool) -> None:
    transport = make(exchanges=[TAKEN, ANSWER], exits=[KILLED])
    if again:
        assert call(transport, at(), idempotent=idempotent, retry=retry) is ANSWER
    else:
        with pytest.raises(ProcessDown):
            call(transport, at(), idempotent=idempotent, retry=retry)


@pytest.mark.parametrize("exit", [FAULT, BUG])
def test_a_call_that_the_process_died_of_is_not_sent_again(exit: Exit) -> None:
    transport = make(exchanges=[TAKEN, ANSWER], exits=[exit])
    with pytest.raises(ProcessDown) as caught:
        call(transport, at(), idempotent=True)
    assert caught.value.exit == exit


@pytest.mark.parametrize("exit", [FAULT, BUG])
def test_one_that_was_not_taken_up_or_not_the_oldest_is(exit: Exit) -> None:
    for lost in (lost_late(taken=True, suspect=False), lost_late(taken=False)):
        transport = make(exchanges=[lost, ANSWER], exits=[exit])
        assert call(transport, at(), idempotent=True) is ANSWER


def test_a_request_that_was_lost_unread_at_once_was_no_call_yet() -> None:
    for lost in (LinkLost(taken=False), LinkLost(taken=True, sent=False)):
        transport = make(exchanges=[lost, ANSWER])
        assert call(transport, at(), retry=False) is ANSWER


def test_a_request_that_was_lost_unread_later_on_is_process_down() -> None:
    def later() -> Any:
        time.sleep(0.06)
        raise LinkLost(taken=False)

    with pytest.raises(ProcessDown) as caught:
        call(make(exchanges=[later], exits=[KILLED]), at())
    assert not caught.value.taken


def test_a_call_is_sent_a_handful_of_times_at_most() -> None:
    transport = make(exchanges=[TAKEN], exits=[KILLED])
    with pytest.raises(ProcessDown):
        call(transport, at(), idempotent=True)
    sent = [step for step in transport.noted if step[0] == "exchange"]
    assert 2 <= len(sent) <= 10


def test_one_that_is_gone_for_good_after_a_death_is_that_death() -> None:
    transport = make(
        exchanges=[TAKEN],
        exits=[KILLED],
        lookups=[[["w"], "server"], None],
    )
    with pytest.raises(ProcessDown):
        call(transport, named(), idempotent=True)


def test_one_run_of_a_process() -> None:
    transport = make(exchanges=[ANSWER], statuses=[["running", 7]])
    assert call(transport, at(instance=7)) is ANSWER
    with pytest.raises(NoProcess):
        call(make(exchanges=[ANSWER], statuses=[["running", 8]]), at(instance=7))
    with pytest.raises(NoProcess):
        call(make(exchanges=[ANSWER], statuses=[["restarting", None]]), at(instance=7))


def test_waiting_ends_at_the_deadline() -> None:
    transport = make(statuses=[["restarting", None]], absent={("w",): 10**9})
    with pytest.raises(CallTimeout):
        run_blocking(reach(transport, at(), time.monotonic() - 1))


def test_deadlines() -> None:
    assert deadline_after(None) is None
    assert deadline_after(float("inf")) is None
    assert deadline_after(1e18) is None
    soon = deadline_after(5)
    assert soon is not None
    assert abs(soon - time.monotonic() - 5) < 5
