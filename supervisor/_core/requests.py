"""The administrative requests: the part of the machine that callers talk to.

Each request gets one answer: at once, or when what it asked for has come about or cannot any more.
"""

from __future__ import annotations

import copy
import random as random_module
from collections.abc import Callable
from typing import Any, Literal, assert_never

from supervisor._core.children import IDLE, Children, Entry, Row, row_of
from supervisor._core.intensity import Intensity
from supervisor._core.messages import (
    Close,
    DeleteChild,
    Refuse,
    Reply,
    Request,
    RestartChild,
    StartChild,
    TerminateChild,
)
from supervisor._core.runs import Runs
from supervisor._errors import (
    ChildExists,
    ChildRestarting,
    ChildRunning,
    NoProcess,
    Overloaded,
    StartError,
    SupervisorError,
)
from supervisor._supervisor import ChildSpec, Supervisor, check_child

__all__ = ["Phase", "Requests"]

Phase = Literal["new", "booting", "running", "stopping", "ended"]


class Requests:
    """The state of a supervisor, and what callers may do to it."""

    def __init__(
        self, spec: Supervisor, *, random: Callable[[], float] = random_module.random
    ) -> None:
        self.spec = spec
        self.phase: Phase = "new"
        self._random = random
        self._runs = Runs()
        self._children = Children()
        self._intensity = Intensity(spec.max_restarts, spec.max_seconds)
        self._made_ids = 0
        for child in spec.children:
            self._children.add(Entry(child, is_planned=True))

    # --- what changes nothing ------------------------------------------------------------------

    def rows(self) -> list[Row]:
        """The children, in start order."""
        return [row_of(entry) for entry in self._children]

    def row(self, id: str) -> Row:
        """One child.

        Raises:
            ChildNotFound: there is none of that id.

        """
        return row_of(self._children.get(id))

    def check_new(self, spec: ChildSpec) -> ChildSpec:
        """The spec as StartChild will admit it, with an id made for it where it needs none.

        Raises:
            SpecError: it cannot be a child of this supervisor.
            ChildExists: its id is in use; ``ref`` is for the caller to fill in.
            Overloaded: there are ``max_children`` already.

        """
        check_child(f"{type(self.spec).__name__}({self.spec.id})", spec, self.spec.auto_shutdown)
        if self._needs_id(spec):
            base = _base_id(spec)
            spec = _with_id(spec, f"{base}-{self._next_number(base)}")
        if spec.id in self._children:
            raise ChildExists(spec.id)
        limit = self.spec.max_children
        if limit is not None and len(self._children) >= limit:
            raise Overloaded(f"supervisor {self.spec.id!r} has {limit} children, and takes no more")
        return spec

    def _needs_id(self, spec: ChildSpec) -> bool:
        return self.spec.is_dynamic and not spec.has_own_id

    def _next_number(self, base: str) -> int:
        number = self._made_ids + 1
        while f"{base}-{number}" in self._children:
            number += 1
        return number

    # --- requests ------------------------------------------------------------------------------

    def _answer(self, event: Request) -> None:
        try:
            if self.phase == "ended":
                raise self._no_process()
            self._carry_out(event)
        except SupervisorError as error:
            self._runs.say(Refuse(event.request, error))

    def _carry_out(self, event: Request) -> None:
        match event:
            case StartChild(request, spec):
                self._start_child(request, spec)
            case TerminateChild(request, id):
                self._terminate_child(request, self._children.get(id))
            case RestartChild():
                self._restart_child(event, self._children.get(event.id))
            case DeleteChild():
                self._delete_child(event, self._children.get(event.id))
            case _:
                assert_never(event)

    def _start_child(self, request: Any, spec: ChildSpec) -> None:
        if self.phase == "stopping":
            raise self._no_process()
        checked = self.check_new(spec)
        if self._needs_id(spec):
            self._made_ids = self._next_number(_base_id(spec))
        entry = Entry(checked, is_new=True, starters=[request])
        self._children.add(entry)
        self._runs.spawn(entry, "hand")

    def _terminate_child(self, request: Any, entry: Entry) -> None:
        if not entry.is_live:
            if entry.status == "restarting":
                self._terminated(entry)
            self._runs.say(Reply(request, None))
            return
        entry.stoppers.append(request)
        # In a shutdown its turn comes, and the order is not to be upset.
        if self.phase != "stopping":
            entry.is_planned = False
            self._runs.stop(entry, "hand")

    def _restart_child(self, event: RestartChild, entry: Entry) -> None:
        if self.phase == "stopping":
            raise self._no_process()
        if entry.is_being_terminated:
            entry.deferred.append(event)
            return
        _check_stopped(entry)
        entry.starters.append(event.request)
        self._runs.spawn(entry, "hand")

    def _delete_child(self, event: DeleteChild, entry: Entry) -> None:
        if entry.is_being_terminated:
            entry.deferred.append(event)
            return
        _check_stopped(entry)
        self._forget(entry)
        self._runs.say(Reply(event.request, None))

    # --- what becomes of a child that a caller has asked about ----------------------------------

    def _terminated(self, entry: Entry) -> None:
        """It has no process by now, and is not to get one."""
        self._runs.cancel(entry)
        entry.state = IDLE
        entry.is_planned = False
        entry.waits.reset()
        self._not_started(entry, StartError((entry.id,), "it was terminated while it was starting"))

    def _not_started(self, entry: Entry, error: StartError) -> None:
        """It stays down; of one that start_child has never brought up, nothing remains."""
        if entry.is_new or self._is_forgotten(entry):
            self._forget(entry)
        else:
            self._runs.close(entry)
        self._runs.refuse(entry.starters, error)
        self._answer_stoppers(entry)

    def _answer_stoppers(self, entry: Entry) -> None:
        self._runs.reply(entry.stoppers, None)
        deferred, entry.deferred = entry.deferred, []
        for request in deferred:
            self._answer(request)

    def _is_forgotten(self, entry: Entry) -> bool:
        return entry.spec.restart == "temporary" or self.spec.is_dynamic

    def _forget(self, entry: Entry) -> None:
        self._children.remove(entry)
        self._runs.say(Close(entry.id, forgotten=True))

    def _no_process(self) -> NoProcess:
        how = "has ended" if self.phase == "ended" else "is shutting down"
        return NoProcess(f"supervisor {self.spec.id!r} {how}")


def _check_stopped(entry: Entry) -> None:
    if entry.status == "running":
        raise ChildRunning(entry.id)
    if entry.status == "restarting":
        raise ChildRestarting(entry.id)


def _base_id(spec: ChildSpec) -> str:
    name = type(spec).__name__ if isinstance(spec, Supervisor) else str(spec.target.__name__)
    return name[:200]  # so that an id of 255 characters has room for the number


def _with_id(spec: ChildSpec, id: str) -> ChildSpec:
    # Not dataclasses.replace: the fields of a spec are not the arguments of its constructor.
    twin = copy.copy(spec)
    object.__setattr__(twin, "id", id)
    return twin
