"""Every decision of a pool is made in here: what happened in, what is to be done out, and no I/O.

Theory of operation
-------------------

A task is parked (the queue is full, and its caller waits), waiting, delayed (it is tried again
later), held by a worker, or settled. ``pump`` gives waiting tasks to workers: to those that have
nothing first; then, where tasks are so short that a worker would spend its time waiting for the
next one, a few ahead to those that are busy. Workers take what they are given in its order, one at
a time, out of a queue that the pool can take tasks back from: a task that was given ahead and not
begun is only waiting elsewhere. It is taken back (Recall) when another worker has nothing to do,
when its caller does not want it any more, and when its worker dies. So a death concerns one task at
most: the one that was begun.

That one is tried again if it may be, later each time, else its caller is told. Deaths for which a
task is to blame have a limit of their own; those beyond it, and those of workers that had nothing
to do, count against the pool's intensity. Workers that do not even start end the pool soon.
"""

from __future__ import annotations

import random as random_module
import signal
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from supervisor._core.intensity import Intensity
from supervisor._exit import Exit
from supervisor._pool.actions import Action, End, GiveUp, Limits, Recall, Settle, Start
from supervisor._pool.backlog import Backlog
from supervisor._pool.tasks import Crashed, Done, Ending, Outcome, Task, TimedOut, Worker

__all__ = ["Core"]

# A busy worker is given so many tasks ahead as it does in this time, and no more than so many.
_AHEAD_SECONDS = 0.002
_MOST_AHEAD = 15

# What a worker was given ahead is left to it for so long after it began with its task: mostly it
# is done with that sooner than another one could be.
_RECALL_PATIENCE = 0.001

# A pool grows when tasks have waited so long, by one worker at a time.
_GROWTH_PATIENCE = 0.01

# What was tried in vain is tried again after so many seconds, and twice as many each further time.
_FIRST_WAIT, _LONGEST_WAIT, _JITTER = 0.05, 5.0, 0.1

# So many workers in a row that do not start, and the pool gives up; where they were killed, which
# is hardly their own doing, it takes more.
_MOST_FAILED_STARTS, _MOST_KILLED_STARTS = 3, 20

# So many workers may die while they make a task out of its bytes, which mostly means that they
# import its module: that is not the task's doing, as a rule.
_MOST_UNLOADED = 10


class Core:
    """The decisions of one pool.

    Args:
        limits: what it may.
        random: a number from 0 to 1, for the jitter of waits.

    Attributes:
        blocked: the callers whose tasks are not given out for now: they do not take answers.
        wake_at: when ``pump`` is to be called again, whatever happens; None is never.
    """

    def __init__(self, limits: Limits, random: Callable[[], float] = random_module.random) -> None:
        self.limits = limits
        self.blocked: set[Hashable] = set()
        self.wake_at: float | None = None
        self._random = random
        self._backlog = Backlog(limits.queue_size)
        self._workers: dict[str, Worker] = {}
        # Those that have nothing to do; the last one to become so is the first to get something.
        self._idle: dict[str, Worker] = {}
        self._starting = 0
        # In a row, until the next one that does start.
        self._failed_starts = self._killed_starts = 0
        self._start_at: float | None = None
        self._pressed_since: float | None = None
        self._ended = False
        self._deaths = Intensity(limits.max_restarts, limits.max_seconds)
        self._crashes = Intensity(limits.max_crashes, limits.max_seconds)
        self._actions: list[Action] = []

    # --- what others may know ------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many tasks wait for a worker."""
        return len(self._backlog)

    @property
    def idle(self) -> int:
        """How many workers have nothing to do."""
        return len(self._idle)

    @property
    def workers(self) -> Iterable[Worker]:
        """Those that there are."""
        return self._workers.values()

    def worker(self, id: str) -> Worker | None:
        """The worker of that id."""
        return self._workers.get(id)

    def take(self) -> list[Action]:
        """What is to be done since the last time, in this order."""
        actions, self._actions = self._actions, []
        return actions

    # --- callers -------------------------------------------------------------------------------

    def submit(self, task: Task, *, wait: bool = True) -> None:
        """A task has come.

        Args:
            task: it.
            wait: whether its caller waits where the queue is full.
        """
        answer = self._backlog.add(task, self.idle, wait=wait)
        if answer is not None:
            self._actions.append(answer)

    def cancel(self, task: Task) -> None:
        """Its caller does not want the task any more: it is not begun, or it is ended."""
        before, task.state = task.state, "settled"
        if before == "waiting":
            self._backlog.discard(task)
        elif (
            before == "held"
            and task.worker is not None
            and task.worker.ending is None
            and not self.limits.serves
        ):
            self._actions.append(Recall(task.worker))

    def remove_caller(self, caller: Hashable, tasks: Iterable[Task]) -> None:
        """A caller is gone; these were its tasks."""
        self.blocked.discard(caller)
        for task in self._backlog.discard_caller(caller):
            task.state = "settled"
        for task in tasks:
            if task.state != "settled":
                self.cancel(task)

    # --- workers -------------------------------------------------------------------------------

    def worker_started(self, id: str) -> Worker:
        """A process was started for a worker; it is not ready yet."""
        worker = self._workers[id] = Worker(id)
        self._starting += 1
        return worker

    def worker_ready(self, id: str, now: float) -> None:
        """The worker can be given tasks."""
        worker = self._workers[id]
        worker.is_ready = True
        self._starting -= 1
        self._failed_starts = self._killed_starts = 0
        if worker.ending is None:
            self._rest(worker, now)

    def worker_failed(self, id: str | None, exit: Exit, now: float) -> None:
        """The worker did not become ready.

        Args:
            id: its id; None where there was not even a process.
            exit: why.
            now: the time.
        """
        if id is not None and self._workers.pop(id, None) is not None:
            self._starting -= 1
        if exit.signal == signal.SIGKILL:
            self._killed_starts += 1
        else:
            self._failed_starts += 1
        failed, killed = self._failed_starts, self._killed_starts
        if failed >= _MOST_FAILED_STARTS or killed >= _MOST_KILLED_STARTS:
            self._give_up(f"{failed + killed} workers in a row did not start: {exit}")
        else:
            self._start_at = now + self._wait(max(1, failed))

    def worker_ends(self, id: str) -> None:
        """Somebody has asked the worker to end: it is given nothing more."""
        worker = self._workers.get(id)
        if worker is not None:
            self._idle.pop(id, None)
            worker.ending = worker.ending or "idle"

    def loading(self, worker: Worker) -> None:
        """It makes its task out of its bytes, which may mean to import modules."""
        worker.is_loading = True

    def loaded(self, worker: Worker, now: float) -> None:
        """It begins with its task."""
        worker.is_loading = False
        worker.since = now

    def finished(self, worker: Worker, task_id: int, payload: Any, now: float) -> None:
        """It has answered, and begins with the next one that it has."""
        held = worker.held
        task = held.popleft()
        if task.id != task_id:
            held.appendleft(task)
            task = next(task for task in held if task.id == task_id)
            held.remove(task)
        lasted = now - worker.since
        worker.pace = lasted if worker.pace is None else 0.7 * worker.pace + 0.3 * lasted
        worker.since = now
        worker.is_loading = False
        task.worker = None
        if task.state != "settled":
            self._settle(task, Done(payload))
        worker.done += 1
        if not held and worker.ending is None:
            if worker.done == self.limits.max_tasks:
                self._end(worker, "spent")
            else:
                self._rest(worker, now)

    def recalled(self, worker: Worker, ids: Iterable[int]) -> None:
        """These tasks the worker had not begun, and it has no others that it has not begun."""
        worker.is_drained = True
        self._take_back(worker, set(ids))
        unwanted = any(task.state == "settled" for task in worker.held)
        if unwanted and worker.ending is None:
            self._end(worker, "cancelled")
        elif not worker.held and worker.is_ready and worker.ending is None:
            self._idle[worker.id] = worker

    def not_given(self, worker: Worker, task: Task) -> None:
        """The worker could not be given this task."""
        self._take_back(worker, {task.id})
        if not worker.held and worker.is_ready and worker.ending is None:
            self._idle[worker.id] = worker

    def worker_gone(self, id: str, exit: Exit, unbegun: Iterable[int], now: float) -> None:
        """The worker is dead.

        Args:
            id: its id.
            exit: why.
            unbegun: the tasks that it had been given and not begun.
            now: the time.
        """
        worker = self._workers.pop(id)
        self._idle.pop(id, None)
        self._take_back(worker, set(unbegun))
        blamed = [self._victim(worker, task, exit, now) for task in worker.held]
        worker.held.clear()
        if worker.ending is None and not exit.is_orderly:
            culprit = next((task for task in blamed if task is not None), None)
            self._count_death(exit, culprit, now)

    # --- what is to be done --------------------------------------------------------------------

    def pump(self, now: float) -> list[tuple[Worker, Task]]:
        """Who is to be given what now; further actions are in ``take``."""
        self.wake_at = None
        if self._ended:
            return []
        due = self._backlog.undelay(now)
        if due is not None:
            self._wake(due)
        self._end_overdue(now)
        given: list[tuple[Worker, Task]] = []
        self._employ(given, now)
        if self._backlog and not self._idle:
            if self.limits.queue_size is None and not self.limits.serves:
                self._give_ahead(given)
        elif self._idle:
            self._look_for_work(now)
        self._keep_size(now)
        return given

    def _employ(self, given: list[tuple[Worker, Task]], now: float) -> None:
        while self._idle:
            self._actions += self._backlog.unpark(self.idle)
            task = self._backlog.pop(self.blocked) if self._backlog else None
            if task is None:
                break
            _, worker = self._idle.popitem()
            worker.since = now
            self._give(worker, task, given)
            if task.timeout is not None:
                self._wake(now + task.timeout)
        self._actions += self._backlog.unpark(self.idle)

    def _give(self, worker: Worker, task: Task, given: list[tuple[Worker, Task]]) -> None:
        task.state = "held"
        task.worker = worker
        worker.held.append(task)
        worker.is_drained = False
        given.append((worker, task))

    def _give_ahead(self, given: list[tuple[Worker, Task]]) -> None:
        for worker in self._workers.values():
            if worker.pace is None or worker.ending is not None or worker.is_loading:
                continue
            ahead = _MOST_AHEAD
            if worker.pace * _MOST_AHEAD > _AHEAD_SECONDS:
                ahead = int(_AHEAD_SECONDS / worker.pace)
            if len(worker.held) > ahead // 2:
                continue
            for _ in range(1 + ahead - len(worker.held)):
                task = self._backlog.pop(self.blocked)
                if task is None:
                    return
                self._give(worker, task, given)

    def _look_for_work(self, now: float) -> None:
        """Take back what others were given ahead: somebody has nothing to do."""
        for worker in self._workers.values():
            if len(worker.held) > 1 and not worker.is_drained and worker.ending is None:
                if now - worker.since >= _RECALL_PATIENCE:
                    self._actions.append(Recall(worker))
                else:
                    self._wake(worker.since + _RECALL_PATIENCE)

    def _end_overdue(self, now: float) -> None:
        for worker in self._workers.values():
            if not worker.held or worker.ending is not None:
                continue
            timeout = worker.held[0].timeout
            if timeout is None:
                continue
            if now >= worker.since + timeout:
                self._actions.append(Recall(worker))
                self._end(worker, "timeout")
            else:
                self._wake(worker.since + timeout)

    def _keep_size(self, now: float) -> None:
        """Start the workers that are missing, and end those that are too many."""
        if self._start_at is not None:
            if now < self._start_at:
                self._wake(self._start_at)
                return
            self._start_at = None
        count = sum(worker.ending is None for worker in self._workers.values())
        for _ in range(self.limits.size - count):
            self._actions.append(Start())
        if count < self.limits.max_size and self._backlog and not self._idle:
            self._grow(max(count, self.limits.size), now)
        else:
            self._pressed_since = None
        if count > self.limits.size and self._idle:
            self._shrink(count, now)

    def _grow(self, count: int, now: float) -> None:
        if self._pressed_since is None:
            self._pressed_since = now
        due = self._pressed_since + _GROWTH_PATIENCE
        if now < due:
            self._wake(due)
        elif count < self.limits.max_size and not self._starting:
            self._actions.append(Start())
            self._pressed_since = now

    def _shrink(self, count: int, now: float) -> None:
        # The first one is the one that has had nothing to do for longest.
        for worker in list(self._idle.values())[: count - self.limits.size]:
            due = worker.since + self.limits.idle_timeout
            if now < due:
                self._wake(due)
                return
            self._end(worker, "idle")

    # --- in detail -----------------------------------------------------------------------------

    def _wake(self, at: float) -> None:
        if self.wake_at is None or at < self.wake_at:
            self.wake_at = at

    def _rest(self, worker: Worker, now: float) -> None:
        worker.since = now
        self._idle[worker.id] = worker

    def _end(self, worker: Worker, why: Ending) -> None:
        worker.ending = why
        self._idle.pop(worker.id, None)
        self._actions.append(End(worker, why))

    def _settle(self, task: Task, outcome: Outcome) -> None:
        task.state = "settled"
        self._actions.append(Settle(task, outcome))

    def _take_back(self, worker: Worker, ids: set[int]) -> None:
        if not ids:
            return
        back = [task for task in worker.held if task.id in ids]
        for task in reversed(back):
            worker.held.remove(task)
            task.worker = None
            if task.state != "settled":
                self._backlog.put_back(task)

    def _victim(self, worker: Worker, task: Task, exit: Exit, now: float) -> Task | None:
        """See to the task that a worker had begun when it died; it is returned if it may be why."""
        task.worker = None
        if task.state == "settled":
            return None
        if worker.ending == "timeout":
            self._settle(task, TimedOut(exit.traceback))
            return None
        if worker.is_loading and task.unloaded < _MOST_UNLOADED:
            task.unloaded += 1
            self._backlog.delay(task, now + self._wait(1))
            return None
        task.crashes += 1
        if task.crashes <= task.retries:
            self._backlog.delay(task, now + self._wait(task.crashes))
        else:
            self._settle(task, Crashed(exit, task.crashes))
        return task

    def _wait(self, times: int) -> float:
        wait = min(_FIRST_WAIT * 2.0 ** min(times - 1, 10), _LONGEST_WAIT)
        return wait * (1 + _JITTER * (2 * self._random() - 1))

    def _count_death(self, exit: Exit, culprit: Task | None, now: float) -> None:
        if culprit is not None and self._crashes.admit(now):
            return
        if not self._deaths.admit(now):
            whose = f"; the last one carried out {culprit.name}" if culprit is not None else ""
            self._give_up(f"its workers died more often than {self._deaths}: {exit}{whose}")

    def _give_up(self, error: str) -> None:
        if not self._ended:
            self._ended = True
            self._actions.append(GiveUp(error))
