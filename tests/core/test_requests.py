"""Administrative requests, in every state of the child that they are about."""

from __future__ import annotations

import pytest

from supervisor._errors import (
    ChildExists,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    Overloaded,
    SpecError,
    StartError,
)
from supervisor._spec import Backoff
from supervisor._supervisor import DynamicSupervisor, Supervisor
from supervisor.testing import SimulatedSupervisor
from tests.core.specs import ERROR, anonymous, child, pool, tree

DELAYED = Backoff(initial=1.0, jitter=0.0)


def manual(*ids: str) -> SimulatedSupervisor:
    world = tree(*ids)
    world.obedient = False
    return world


class TestStartChild:
    def test_answers_when_ready(self) -> None:
        world = manual("a")
        request = world.start_child(child("b"))
        assert request in world.pending
        world.ready("b")
        assert world.answer(request) == "b"
        assert list(world.status) == ["a", "b"]

    def test_failure_discards_the_spec(self) -> None:
        world = manual()
        request = world.start_child(child("b"))
        world.exit("b", ERROR, path=("x", "y"))
        error = world.answer(request)
        assert isinstance(error, StartError)
        assert error.child == ("b", "x", "y")
        assert (error.error, error.traceback) == ("ValueError('boom')", "Traceback: boom")
        assert world.status == {}
        assert world.open == {}

    def test_failure_without_an_error_tells_how_it_ended(self) -> None:
        world = manual()
        request = world.start_child(child("b"))
        world.exit("b", "normal")
        assert world.answer(request).error == "normal"

    def test_too_slow(self) -> None:
        world = manual()
        request = world.start_child(child("b", start_timeout=1.5))
        world.advance(1.5)
        assert request in world.pending
        world.exit("b", "signal")
        assert world.answer(request).error == "it did not become ready within 1.5 seconds"

    @pytest.mark.parametrize("state", ["running", "stopped", "restarting", "starting", "stopping"])
    def test_exists(self, state: str) -> None:
        world = tree(child("a", backoff=DELAYED))
        world.obedient = False
        in_state(world, state)
        answer = world.answer(world.start_child(child("a")))
        assert isinstance(answer, ChildExists)
        assert answer.ref is None

    def test_significant_where_that_means_nothing(self) -> None:
        world = manual()
        answer = world.answer(world.start_child(child("a", "transient", significant=True)))
        assert isinstance(answer, SpecError)

    def test_anything_else(self) -> None:
        world = manual()
        answer = world.answer(world.start_child("no spec"))  # type: ignore[arg-type]
        assert isinstance(answer, SpecError)

    def test_while_booting_is_served_at_once(self) -> None:
        world = SimulatedSupervisor(Supervisor([child("a"), child("b")]), obedient=False).boot()
        request = world.start_child(child("c"))
        world.ready("c")
        assert world.answer(request) == "c"
        assert list(world.status) == ["a", "b", "c"]
        assert not world.started

    def test_terminated_while_starting_leaves_nothing(self) -> None:
        world = manual()
        start = world.start_child(child("b"))
        stop = world.terminate_child("b")
        world.ready("b")
        assert start in world.pending
        world.exit("b", "shutdown")
        assert isinstance(world.answer(start), StartError)
        assert world.answer(stop) is None
        assert world.status == {}


def in_state(world: SimulatedSupervisor, state: str) -> None:
    """Bring child a, which has a backoff, into a state."""
    if state == "restarting":
        world.exit("a")
    if state in ("stopped", "starting", "stopping"):
        world.terminate_child("a")
    if state in ("stopped", "starting"):
        world.exit("a", "shutdown")
    if state == "starting":
        world.restart_child("a")


class TestTerminateChild:
    def test_answers_when_gone(self) -> None:
        world = manual("a")
        request = world.terminate_child("a")
        assert request in world.pending
        world.exit("a", "shutdown")
        assert world.answer(request) is None
        assert world.status == {"a": "stopped"}
        assert world.open == {"a": False}

    def test_crash_meanwhile_is_no_crash(self) -> None:
        world = tree("a", max_restarts=0)
        world.obedient = False
        world.terminate_child("a")
        world.exit("a", "error")
        assert world.status == {"a": "stopped"}

    def test_twice_waits_for_the_same_end(self) -> None:
        world = manual("a")
        requests = [world.terminate_child("a"), world.terminate_child("a")]
        assert world.pending == set(requests)
        world.exit("a", "shutdown")
        assert [world.answer(request) for request in requests] == [None, None]

    def test_stopped(self) -> None:
        world = tree("a")
        world.terminate_child("a")
        assert world.answer(world.terminate_child("a")) is None

    def test_restarting(self) -> None:
        world = tree(child("a", backoff=DELAYED))
        world.exit("a")
        assert world.answer(world.terminate_child("a")) is None
        world.advance(5.0)
        assert world.status == {"a": "stopped"}
        assert world.open == {"a": False}

    def test_temporary_is_forgotten(self) -> None:
        world = tree(child("a", "temporary"))
        world.terminate_child("a")
        assert world.status == {}
        assert world.open == {}

    def test_temporary_twice(self) -> None:
        world = tree(child("a", "temporary"))
        world.obedient = False
        requests = [world.terminate_child("a"), world.terminate_child("a")]
        world.exit("a", "shutdown")
        assert [world.answer(request) for request in requests] == [None, None]

    def test_while_booting_the_boot_goes_on(self) -> None:
        world = SimulatedSupervisor(
            Supervisor([child("a"), child("b"), child("c")]), obedient=False
        ).boot()
        world.terminate_child("a")
        waiting = world.terminate_child("b")
        assert world.answer(waiting) is None
        world.exit("a", "shutdown")
        world.ready("c")
        assert world.started
        assert world.status == {"a": "stopped", "b": "stopped", "c": "running"}

    def test_unknown(self) -> None:
        world = tree()
        assert isinstance(world.answer(world.terminate_child("a")), ChildNotFound)


class TestRestartChild:
    def test_stopped(self) -> None:
        world = manual("a")
        in_state(world, "stopped")
        request = world.restart_child("a")
        assert request in world.pending
        world.ready("a")
        assert world.answer(request) == "a"
        assert world.open == {"a": True}

    def test_failure_leaves_it_stopped(self) -> None:
        world = manual("a")
        in_state(world, "stopped")
        request = world.restart_child("a")
        world.exit("a")
        assert isinstance(world.answer(request), StartError)
        assert world.status == {"a": "stopped"}
        assert world.open == {"a": False}

    def test_stopping_waits_for_the_end(self) -> None:
        world = manual("a")
        in_state(world, "stopping")
        request = world.restart_child("a")
        assert request in world.pending
        world.exit("a", "shutdown")
        world.ready("a")
        assert world.answer(request) == "a"

    @pytest.mark.parametrize(
        ("state", "error"),
        [
            ("running", ChildRunning),
            ("restarting", ChildRestarting),
            ("starting", ChildRestarting),
        ],
    )
    @pytest.mark.parametrize("what", ["restart_child", "delete_child"])
    def test_refused(self, what: str, state: str, error: type[Exception]) -> None:
        world = tree(child("a", backoff=DELAYED))
        world.obedient = False
        in_state(world, state)
        assert isinstance(world.answer(getattr(world, what)("a")), error)

    def test_condemned_is_running(self) -> None:
        world = manual("a")
        world.condemn("a")
        assert isinstance(world.answer(world.restart_child("a")), ChildRunning)

    def test_unknown(self) -> None:
        world = tree()
        assert isinstance(world.answer(world.restart_child("a")), ChildNotFound)


class TestDeleteChild:
    def test_stopped(self) -> None:
        world = tree("a")
        world.terminate_child("a")
        assert world.answer(world.delete_child("a")) is None
        assert world.status == {}
        assert world.open == {}

    def test_stopping_waits_for_the_end(self) -> None:
        world = manual("a")
        in_state(world, "stopping")
        request = world.delete_child("a")
        world.exit("a", "shutdown")
        assert world.answer(request) is None
        assert world.status == {}

    def test_unknown(self) -> None:
        world = tree()
        assert isinstance(world.answer(world.delete_child("a")), ChildNotFound)

    def test_id_can_be_used_again(self) -> None:
        world = tree("a", "b")
        world.terminate_child("a")
        world.delete_child("a")
        world.start_child(child("a"))
        assert list(world.status) == ["b", "a"]


class TestDynamic:
    def test_makes_ids(self) -> None:
        world = pool()
        requests = [world.start_child(anonymous()) for _ in range(3)]
        assert [world.answer(request) for request in requests] == ["work-1", "work-2", "work-3"]

    def test_made_ids_are_not_used_again(self) -> None:
        world = pool()
        world.start_child(anonymous())
        world.terminate_child("work-1")
        assert world.answer(world.start_child(anonymous())) == "work-2"

    def test_made_ids_step_around_given_ones(self) -> None:
        world = pool()
        world.start_child(child("work-1"))
        assert world.answer(world.start_child(anonymous())) == "work-2"

    def test_supervisors_are_named_after_their_class(self) -> None:
        world = pool()
        assert world.answer(world.start_child(DynamicSupervisor())) == "DynamicSupervisor-1"
        assert world.answer(world.start_child(Supervisor(name="named"))) == "named"

    def test_check_new_foretells_the_id_and_changes_nothing(self) -> None:
        world = pool()
        spec = world.machine.check_new(anonymous())
        assert world.machine.check_new(anonymous()) == spec
        assert spec.id == "work-1"
        assert world.answer(world.start_child(spec)) == "work-1"

    def test_given_ids_are_unique(self) -> None:
        world = pool()
        world.start_child(child("a"))
        assert isinstance(world.answer(world.start_child(child("a"))), ChildExists)

    def test_max_children(self) -> None:
        world = pool(max_children=1)
        world.start_child(anonymous(backoff=DELAYED))
        assert isinstance(world.answer(world.start_child(anonymous())), Overloaded)
        world.exit("work-1")
        answer = world.answer(world.start_child(anonymous()))
        assert isinstance(answer, Overloaded), "restarting children count"
        world.terminate_child("work-1")
        assert world.answer(world.start_child(anonymous())) == "work-2"

    def test_starting_children_count(self) -> None:
        world = pool(max_children=1)
        world.obedient = False
        world.start_child(anonymous())
        with pytest.raises(Overloaded):
            world.machine.check_new(anonymous())

    def test_terminate_forgets(self) -> None:
        world = pool()
        world.start_child(child("a"))
        assert world.answer(world.terminate_child("a")) is None
        assert world.status == {}

    def test_scale_start_stop_many_children(self) -> None:
        world = pool(max_restarts=1000)
        for _ in range(300):
            world.start_child(anonymous())
        assert len(world.status) == 300
        for id in list(world.status)[::3]:
            world.terminate_child(id)
        assert len(world.status) == 200
        for id in list(world.status)[::2]:
            world.exit(id)
        assert set(world.status.values()) == {"running"}
        world.shutdown()
        assert world.ended is not None
        assert not world.processes

    def test_a_supervisor_keeps_the_ids_that_are_written(self) -> None:
        world = tree()
        assert world.answer(world.start_child(anonymous())) == "work"


class TestCheckNew:
    def test_exists(self) -> None:
        with pytest.raises(ChildExists):
            tree("a").machine.check_new(child("a"))

    def test_no_spec(self) -> None:
        with pytest.raises(SpecError):
            tree("a").machine.check_new("a")  # type: ignore[arg-type]


class TestRows:
    def test_in_start_order(self) -> None:
        world = tree("b", "a")
        rows = world.machine.rows()
        assert [(row.id, row.status, row.token) for row in rows] == [
            ("b", "running", 1),
            ("a", "running", 2),
        ]

    def test_unknown(self) -> None:
        with pytest.raises(ChildNotFound):
            tree().machine.row("a")

    def test_stopping_is_running_until_it_is_gone(self) -> None:
        world = manual("a")
        world.terminate_child("a")
        assert world.status == {"a": "running"}


class TestBackoff:
    def test_longer_each_time_up_to_the_maximum(self) -> None:
        backoff = Backoff(initial=0.5, maximum=3.0, factor=2.0, jitter=0.0)
        world = tree(child("a", backoff=backoff), max_restarts=0)
        for _ in range(5):
            world.exit("a")
            world.advance(10.0)
        delays = [report.delay for report in world.reports if report.kind == "restarting"]
        assert delays == [0.5, 1.0, 2.0, 3.0, 3.0]

    def test_jitter(self) -> None:
        backoff = Backoff(initial=1.0, maximum=10.0, factor=1.0, jitter=0.25)
        numbers = iter([0.0, 0.5, 1.0])
        world = SimulatedSupervisor(
            Supervisor([child("a", backoff=backoff)]), random=lambda: next(numbers)
        ).boot()
        for _ in range(3):
            world.exit("a")
            world.advance(2.0)
        delays = [report.delay for report in world.reports if report.kind == "restarting"]
        assert delays == [0.75, 1.0, 1.25]

    def test_jitter_stays_below_the_maximum(self) -> None:
        backoff = Backoff(initial=1.0, maximum=1.0, jitter=1.0)
        world = SimulatedSupervisor(
            Supervisor([child("a", backoff=backoff)]), random=lambda: 1.0
        ).boot()
        world.exit("a")
        assert world.reports[-1].delay == 1.0

    @pytest.mark.parametrize(("up", "delay"), [(59.9, 2.0), (60.0, 1.0)])
    def test_reset_after(self, up: float, delay: float) -> None:
        world = tree(child("a", backoff=DELAYED))
        world.exit("a")
        world.advance(1.0)
        world.advance(up)
        world.exit("a")
        assert world.reports[-1].delay == delay

    def test_failed_attempts_wait_likewise(self) -> None:
        world = tree(child("a", backoff=DELAYED), max_restarts=0)
        world.failing["a"] = 2
        world.exit("a")
        world.advance(1.0)
        world.advance(2.0)
        assert world.status == {"a": "restarting"}
        world.advance(4.0)
        assert world.status == {"a": "running"}

    def test_a_restart_by_hand_starts_afresh(self) -> None:
        world = tree(child("a", backoff=DELAYED))
        world.exit("a")
        world.advance(1.0)
        world.terminate_child("a")
        world.restart_child("a")
        world.exit("a")
        assert world.reports[-1].delay == 1.0

    def test_many_restarts_do_not_overflow(self) -> None:
        backoff = Backoff(initial=1.0, maximum=2.0, factor=1e300, jitter=0.0)
        world = tree(child("a", backoff=backoff))
        for _ in range(5):
            world.exit("a")
            world.advance(2.0)
        assert world.reports[-1].delay == 2.0
