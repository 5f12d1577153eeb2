"""The decisions of a pool against a model: any history, and no task is lost, doubled or blamed."""

from __future__ import annotations

import signal
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from supervisor import Exit
from supervisor._pool.actions import Admit, End, GiveUp, Limits, Recall, Refuse, Settle, Start
from supervisor._pool.core import Core
from supervisor._pool.tasks import Crashed, Done, Task, TimedOut, Worker
from tests.core.settings import MODEL

KILLED = Exit("signal", signal=signal.SIGKILL)


@dataclass
class Process:
    """A worker as it is: what lies in its socket, and what it is at."""

    id: str
    ready: bool = False
    socket: deque[int] = field(default_factory=deque)
    current: int | None = None


@dataclass
class Known:
    """What the test knows of a task, by its own book-keeping."""

    task: Task
    begun: int = 0
    deaths: int = 0
    answered: int = 0
    cancelled: bool = False
    refused: bool = False
    admitted: bool = False
    outcome: Any = None


class Driver:
    """Does what a core says, without processes."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.core = Core(limits, random=lambda: 0.5)
        self.now = 0.0
        self.processes: dict[str, Process] = {}
        self.tasks: dict[int, Known] = {}
        self.given: list[int] = []
        self.gave_up: str | None = None
        self.number = 0
        for _ in range(limits.size):
            self.start()
            self.ready(f"w{self.number}")

    def start(self) -> None:
        self.number += 1
        self.processes[f"w{self.number}"] = Process(f"w{self.number}")
        self.core.worker_started(f"w{self.number}")

    def ready(self, id: str) -> None:
        self.processes[id].ready = True
        self.core.worker_ready(id, self.now)

    def submit(self, caller: str, *, wait: bool = True, **options: Any) -> Known:
        id = len(self.tasks) + 1
        task = Task(id, caller, id, f"task {id}", None, **options)
        known = self.tasks[id] = Known(task)
        self.core.submit(task, wait=wait)
        self.pump()
        return known

    def pump(self) -> None:
        for _ in range(100):
            given = self.core.pump(self.now)
            actions = self.core.take()
            for action in actions:
                self.do(action)
            for worker, task in given:
                self.hand(worker, task)
            if not given and not any(isinstance(action, Recall) for action in actions):
                return
        raise AssertionError("the core never comes to rest")

    def hand(self, worker: Worker, task: Task) -> None:
        if worker.ending is not None or task.state == "settled":
            self.core.not_given(worker, task)
            return
        self.given.append(task.id)
        self.processes[worker.id].socket.append(task.id)

    def do(self, action: Any) -> None:
        match action:
            case Start():
                assert len(self.processes) < self.limits.max_size + len(self.ending())
                self.start()
            case Recall(worker):
                back = list(self.processes[worker.id].socket)
                self.processes[worker.id].socket.clear()
                self.core.recalled(worker, back)
            case End(worker, _):
                assert worker.ending is not None
            case Admit(task):
                assert not self.tasks[task.id].admitted
                self.tasks[task.id].admitted = True
            case Refuse(task):
                self.tasks[task.id].refused = True
            case Settle(task, outcome):
                known = self.tasks[task.id]
                assert known.outcome is None, "settled twice"
                assert not known.cancelled, "settled after it was cancelled"
                known.outcome = outcome
            case GiveUp(error):
                self.gave_up = error

    def ending(self) -> list[Worker]:
        return [worker for worker in self.core.workers if worker.ending is not None]

    # --- what processes do ---------------------------------------------------------------------

    def begin(self, id: str) -> None:
        process = self.processes[id]
        process.current = process.socket.popleft()
        self.tasks[process.current].begun += 1

    def answer(self, id: str) -> None:
        process = self.processes[id]
        task_id, process.current = process.current, None
        assert task_id is not None
        self.tasks[task_id].answered += 1
        worker = self.core.worker(id)
        assert worker is not None
        self.core.finished(worker, task_id, "result", self.now)
        self.pump()

    def die(self, id: str, exit: Exit = KILLED) -> None:
        process = self.processes.pop(id)
        if process.current is not None:
            self.tasks[process.current].deaths += 1
        if process.ready:
            self.core.worker_gone(id, exit, list(process.socket), self.now)
        else:
            self.core.worker_failed(id, exit, self.now)
        self.pump()


class AgainstModel(RuleBasedStateMachine):
    @initialize(
        size=st.integers(1, 3),
        more=st.integers(0, 2),
        queue_size=st.sampled_from([None, None, 1, 3]),
    )
    def boot(self, size: int, more: int, queue_size: int | None) -> None:
        self.driver = Driver(Limits(size, size + more, queue_size, idle_timeout=5.0))
        self.driver.pump()

    @rule(
        caller=st.sampled_from("ab"),
        wait=st.booleans(),
        retries=st.integers(0, 2),
        priority=st.sampled_from([0, 0, 0, 1]),
        timeout=st.sampled_from([None, None, 1.0]),
    )
    def submit(self, caller: str, wait: bool, **options: Any) -> None:
        self.driver.submit(caller, wait=wait, **options)

    def pick(self, data: Any, wanted: Any) -> str | None:
        ids = [id for id, process in self.driver.processes.items() if wanted(process)]
        return data.draw(st.sampled_from(ids)) if ids else None

    @rule(data=st.data())
    def begin(self, data: Any) -> None:
        id = self.pick(data, lambda process: process.socket and process.current is None)
        if id is not None:
            self.driver.begin(id)

    @rule(data=st.data())
    def answer(self, data: Any) -> None:
        id = self.pick(data, lambda process: process.current is not None)
        if id is not None:
            self.driver.answer(id)

    @rule(data=st.data())
    def become_ready(self, data: Any) -> None:
        id = self.pick(data, lambda process: not process.ready)
        if id is not None:
            self.driver.ready(id)
            self.driver.pump()

    @rule(data=st.data())
    def die(self, data: Any) -> None:
        id = self.pick(data, lambda process: process.ready)
        if id is not None:
            self.driver.die(id)

    @rule()
    def those_that_were_ended_die(self) -> None:
        for worker in self.driver.ending():
            self.driver.die(worker.id)

    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        known = [known for known in self.driver.tasks.values() if known.task.state != "settled"]
        if known:
            chosen = data.draw(st.sampled_from(known))
            chosen.cancelled = True
            self.driver.core.cancel(chosen.task)
            self.driver.pump()

    @rule()
    def caller_leaves(self) -> None:
        mine = [known for known in self.driver.tasks.values() if known.task.caller == "b"]
        for known in mine:
            known.cancelled |= known.task.state != "settled"
        self.driver.core.remove_caller("b", [known.task for known in mine])
        self.driver.pump()

    @rule(seconds=st.sampled_from([0.0005, 0.01, 1.0, 6.0]))
    def time_goes_by(self, seconds: float) -> None:
        driver = self.driver
        until = driver.now + seconds
        for _ in range(1000):
            at = driver.core.wake_at
            if at is None or at > until:
                break
            driver.now = max(at, driver.now)
            driver.pump()
        driver.now = until
        driver.pump()

    @invariant()
    def nothing_is_blamed_for_what_it_has_not_done(self) -> None:
        for known in self.driver.tasks.values():
            task = known.task
            assert task.crashes <= known.deaths
            match known.outcome:
                case Crashed(_, attempts):
                    assert attempts == task.retries + 1 == task.crashes
                case Done(_):
                    assert known.answered == 1
                case TimedOut():
                    assert task.timeout is not None
                    assert known.deaths >= 0
            assert known.begun <= task.retries + 1 or task.unloaded

    @invariant()
    def who_has_nothing_to_do_is_given_what_waits(self) -> None:
        driver = self.driver
        if driver.gave_up:
            return
        idle = [w for w in driver.core.workers if w.is_ready and not w.held and not w.ending]
        assert not (idle and driver.core.waiting)
        hoarding = [w for w in driver.core.workers if len(w.held) > 1 and not w.ending]
        if idle and hoarding:
            # It is looked at again, and soon.
            assert driver.core.wake_at is not None
            assert driver.core.wake_at <= driver.now + 0.002

    @invariant()
    def the_queue_keeps_its_bound(self) -> None:
        limits = self.driver.limits
        if limits.queue_size is not None:
            waiting = [k for k in self.driver.tasks.values() if k.task.state == "waiting"]
            again = [k for k in waiting if k.begun or k.task.id in self.driver.given]
            assert len(waiting) - len(again) <= limits.queue_size + limits.max_size

    def teardown(self) -> None:
        """Let everything come to its end: nothing is lost."""
        if not hasattr(self, "driver") or self.driver.gave_up:
            return
        driver = self.driver
        for _ in range(1000):
            for worker in driver.ending():
                driver.die(worker.id)
            for id, process in list(driver.processes.items()):
                if not process.ready:
                    driver.ready(id)
                elif process.current is not None:
                    driver.answer(id)
                elif process.socket:
                    driver.begin(id)
            driver.now += 0.3
            driver.pump()
            if all(known.task.state == "settled" for known in driver.tasks.values()):
                break
        for known in driver.tasks.values():
            ends = [known.outcome is not None, known.cancelled, known.refused]
            assert sum(ends) == 1, f"{known} has {ends}"


TestAgainstModel = AgainstModel.TestCase
TestAgainstModel.settings = settings(MODEL, max_examples=max(1, MODEL.max_examples // 2))


# --- single rules ------------------------------------------------------------------------------


def finish_all(driver: Driver) -> list[int]:
    """Let the workers do all that there is; the order in which it was begun."""
    order = []
    while any(process.socket for process in driver.processes.values()):
        for id, process in list(driver.processes.items()):
            if process.socket:
                driver.begin(id)
                order.append(process.current or 0)
                driver.answer(id)
    return order


def test_callers_take_turns() -> None:
    driver = Driver(Limits(1, 1, queue_size=100))
    many = [driver.submit("a").task.id for _ in range(4)]
    few = [driver.submit("b").task.id for _ in range(2)]
    assert finish_all(driver) == [many[0], many[1], few[0], many[2], few[1], many[3]]


def test_higher_priorities_come_first() -> None:
    driver = Driver(Limits(1, 1, queue_size=100))
    ids = [driver.submit("a", priority=priority).task.id for priority in (0, -1, 0, 7)]
    assert finish_all(driver) == [ids[0], ids[3], ids[2], ids[1]]


def test_one_who_does_not_take_answers_is_passed_over() -> None:
    driver = Driver(Limits(1, 1))
    driver.core.blocked.add("a")
    waiting = driver.submit("a")
    other = driver.submit("b")
    assert driver.given == [other.task.id]
    driver.core.blocked.clear()
    driver.begin("w1")
    driver.answer("w1")
    assert driver.given == [other.task.id, waiting.task.id]


def tiny_tasks(driver: Driver, count: int) -> list[int]:
    """So many waiting tasks, after some that have shown that tasks take no time."""
    for _ in range(3):
        driver.submit("a")
        finish_all(driver)
    driver.given.clear()
    return [driver.submit("a").task.id for _ in range(count)]


def test_short_tasks_are_given_ahead_and_taken_back() -> None:
    driver = Driver(Limits(2, 2))
    tiny_tasks(driver, 8)
    one, other = driver.processes.values()
    driver.pump()
    assert len(one.socket) + len(other.socket) == 8
    first, second = (one, other) if len(one.socket) > len(other.socket) else (other, one)
    driver.begin(first.id)
    while second.socket:
        driver.begin(second.id)
        driver.answer(second.id)
    # The first is at a task that turns out to be long: the rest goes to the other, after a moment.
    driver.now += 0.002
    driver.pump()
    assert not first.socket
    assert second.socket
    assert finish_all(driver)
    assert driver.tasks[first.current or 0].outcome is None


def test_what_a_worker_has_taken_is_not_asked_for_again() -> None:
    """Its answers may be on their way: asking again and again would keep them from being heard."""
    driver = Driver(Limits(2, 2))
    tiny_tasks(driver, 8)
    second, first = sorted(driver.processes.values(), key=lambda process: len(process.socket))
    # Both are through with all of it; of the first one, no answer was heard yet.
    unheard = [first.socket.popleft() for _ in range(len(first.socket))]
    assert len(unheard) > 1
    while second.socket:
        driver.begin(second.id)
        driver.answer(second.id)
    driver.now += 1.0
    assert not driver.core.pump(driver.now)
    asked = [action for action in driver.core.take() if isinstance(action, Recall)]
    assert [action.worker.id for action in asked] == [first.id]
    driver.core.recalled(asked[0].worker, [])
    assert not driver.core.pump(driver.now)
    assert not driver.core.take()


def test_what_was_given_ahead_goes_elsewhere_uncounted_when_its_worker_dies() -> None:
    driver = Driver(Limits(1, 1))
    ids = tiny_tasks(driver, 5)
    driver.begin("w1")
    driver.die("w1")
    assert isinstance(driver.tasks[ids[0]].outcome, Crashed)
    driver.ready("w2")
    driver.pump()
    assert finish_all(driver) == ids[1:]
    assert all(driver.tasks[id].task.crashes == 0 for id in ids[1:])


def test_a_worker_that_dies_while_it_imports_does_not_count_against_the_task() -> None:
    driver = Driver(Limits(1, 1))
    known = driver.submit("a")
    for number in range(1, 11):
        driver.begin(f"w{number}")
        worker = driver.core.worker(f"w{number}")
        assert worker is not None
        driver.core.loading(worker)
        driver.die(f"w{number}")
        driver.ready(f"w{number + 1}")
        driver.now += 10.0
        driver.pump()
    assert (known.task.crashes, known.outcome) == (0, None)
    # But it does not go on for ever.
    driver.begin("w11")
    worker = driver.core.worker("w11")
    assert worker is not None
    driver.core.loading(worker)
    driver.die("w11")
    assert isinstance(known.outcome, Crashed)


def test_a_task_that_is_given_sets_the_time_at_which_it_is_overdue() -> None:
    """Nothing else may happen until then, so that nothing else would have the pool look."""
    core = Core(Limits(1, 1))
    worker = core.worker_started("w1")
    core.worker_ready("w1", 0.0)
    core.submit(Task(1, "a", 1, "task 1", None, timeout=1.0))
    assert [task.id for _, task in core.pump(5.0)] == [1]
    assert core.wake_at == 6.0
    assert core.pump(6.0) == []
    assert core.take() == [Recall(worker), End(worker, "timeout"), Start()]


def test_the_timeout_counts_from_when_the_task_was_begun() -> None:
    driver = Driver(Limits(1, 1))
    for _ in range(3):
        driver.submit("a")
        finish_all(driver)
    first = driver.submit("a")
    timed = driver.submit("a", timeout=1.0)
    driver.begin("w1")
    driver.now += 5.0
    driver.answer("w1")
    assert isinstance(first.outcome, Done)
    assert driver.core.wake_at == driver.now + 1.0
    driver.begin("w1")
    driver.now += 1.0
    driver.pump()
    driver.die("w1")
    assert timed.outcome == TimedOut()


def test_a_pool_grows_while_tasks_wait_and_shrinks_when_they_are_done() -> None:
    driver = Driver(Limits(1, 3, idle_timeout=5.0))
    for _ in range(9):
        driver.submit("a")
    assert len(driver.processes) == 1
    for count in (2, 3, 3):
        driver.now += 0.011
        driver.pump()
        assert len(driver.processes) == count
        for id, process in driver.processes.items():
            if not process.ready:
                driver.ready(id)
        driver.pump()
    finish_all(driver)
    driver.now += 5.0
    driver.pump()
    assert len(driver.ending()) == 2


def test_deaths_by_tasks_count_only_beyond_their_own_limit() -> None:
    driver = Driver(Limits(1, 1, max_restarts=1, max_crashes=2))
    for number in range(1, 5):
        assert driver.gave_up is None
        driver.submit("a")
        driver.begin(f"w{number}")
        driver.die(f"w{number}")
        if f"w{number + 1}" in driver.processes:
            driver.ready(f"w{number + 1}")
    assert driver.gave_up is not None
    assert "task 4" in driver.gave_up


def test_deaths_without_a_task_count_at_once() -> None:
    driver = Driver(Limits(1, 1, max_restarts=1))
    driver.die("w1")
    driver.ready("w2")
    assert driver.gave_up is None
    driver.die("w2")
    assert driver.gave_up is not None


@pytest.mark.parametrize(("exit", "most"), [(Exit("error", 1), 3), (KILLED, 20)])
def test_workers_that_do_not_start_end_the_pool_sooner_or_later(exit: Exit, most: int) -> None:
    driver = Driver(Limits(1, 1))
    driver.die("w1")
    for number in range(2, 2 + most):
        assert driver.gave_up is None
        driver.die(f"w{number}", exit)
        driver.now += 5.0
        driver.pump()
    assert driver.gave_up is not None
    assert not driver.core.pump(driver.now)
