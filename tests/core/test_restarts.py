"""Who is restarted, and when the supervisor gives up."""

from __future__ import annotations

import pytest

from supervisor._core.intensity import Intensity
from supervisor._core.messages import ChildExited, ChildReady, Condemn, Timer, TimerFired
from supervisor._exit import Exit
from supervisor.testing import SimulatedSupervisor
from tests.core.specs import ENDS, ERROR, NORMAL, SIGNAL, child, pool, tree

# permanent: always; transient: unless normal or shutdown; temporary: never.
CELLS = [
    ("permanent", "normal", "restarted"),
    ("permanent", "shutdown", "restarted"),
    ("permanent", "error", "restarted"),
    ("permanent", "signal", "restarted"),
    ("transient", "normal", "stopped"),
    ("transient", "shutdown", "stopped"),
    ("transient", "error", "restarted"),
    ("transient", "signal", "restarted"),
    ("temporary", "normal", "forgotten"),
    ("temporary", "shutdown", "forgotten"),
    ("temporary", "error", "forgotten"),
    ("temporary", "signal", "forgotten"),
]


@pytest.mark.parametrize(
    ("restart", "end", "then"), CELLS, ids=[f"{row[0]}_{row[1]}" for row in CELLS]
)
class TestTruthTable:
    def test_supervisor(self, restart: str, end: str, then: str) -> None:
        world = tree(child("a", restart), "b")
        world.take_log()
        world.exit("a", ENDS[end])
        if then == "restarted":
            assert world.take_log() == ["end a", "start a", "ready a"]
            assert world.machine.row("a").restarts == 1
            assert world.open["a"]
        elif then == "stopped":
            assert world.status == {"a": "stopped", "b": "running"}
            assert world.open["a"] is False
        else:
            assert world.status == {"b": "running"}
            assert "a" not in world.open

    def test_dynamic_supervisor(self, restart: str, end: str, then: str) -> None:
        world = pool()
        world.start_child(child("a", restart))
        world.exit("a", ENDS[end])
        assert world.status == ({"a": "running"} if then == "restarted" else {})
        assert ("a" in world.open) == (then == "restarted")


@pytest.mark.parametrize("reason", ["watchdog", "max_rss"])
def test_transient_watchdog_and_max_rss_are_restarted(reason: str) -> None:
    world = tree(child("a", "transient"))
    world.exit("a", reason)  # type: ignore[arg-type]
    assert world.status == {"a": "running"}


class TestIntensity:
    def test_boundary(self) -> None:
        intensity = Intensity(2, 5.0)
        assert [intensity.admit(now) for now in (0.0, 1.0)] == [True, True]
        assert not intensity.admit(5.0), "exactly max_seconds ago still counts"

    def test_past_the_boundary(self) -> None:
        intensity = Intensity(2, 5.0)
        assert all(intensity.admit(now) for now in (0.0, 1.0, 5.1, 6.2, 10.2))

    def test_zero_allows_no_restart(self) -> None:
        world = tree("a", max_restarts=0)
        world.exit("a")
        assert world.ended is not None

    @pytest.mark.parametrize("restart", ["permanent", "transient"])
    def test_escalation(self, restart: str) -> None:
        world = tree("first", child("a", restart), "last", max_restarts=3, max_seconds=5.0)
        for _ in range(3):
            world.exit("a")
        world.take_log()
        world.exit("a", ERROR)
        assert world.take_log() == ["end a", "stop last", "end last", "stop first", "end first"]
        assert world.ended is not None
        assert world.ended.failure is None
        error = world.ended.exit.error
        assert world.ended.exit.reason == "error"
        assert error is not None
        assert "'a'" in error
        assert "more than 3 restarts within 5.0 s" in error
        assert "ValueError('boom')" in error
        assert world.ended.exit.traceback == "Traceback: boom"
        assert "gave_up a" in world.kinds()

    def test_temporary_never_escalates(self) -> None:
        world = tree("a", max_restarts=0)
        for _ in range(5):
            world.start_child(child("t", "temporary"))
            world.exit("t")
        assert world.ended is None

    def test_restarts_of_all_children_count_together(self) -> None:
        world = tree("a", "b", max_restarts=1)
        world.exit("a")
        world.exit("b")
        assert world.ended is not None

    def test_restarts_are_forgotten_with_time(self) -> None:
        world = tree("a", max_restarts=1, max_seconds=5.0)
        for _ in range(10):
            world.exit("a")
            world.advance(5.5)
        assert world.status == {"a": "running"}
        assert world.machine.row("a").restarts == 10

    def test_restarts_by_hand_do_not_count(self) -> None:
        world = tree("a", max_restarts=0)
        for _ in range(5):
            world.terminate_child("a")
            world.restart_child("a")
        assert world.status == {"a": "running"}
        assert world.machine.row("a").restarts == 0

    def test_failed_restart_attempts_count(self) -> None:
        world = tree("a", max_restarts=3)
        world.failing["a"] = 2
        world.exit("a")
        assert world.status == {"a": "running"}
        assert world.machine.row("a").restarts == 3
        world.exit("a")
        assert world.ended is not None

    def test_normal_end_before_ready_is_a_failed_restart_attempt(self) -> None:
        world = tree(child("a", "transient"), max_restarts=2)
        world.obedient = False
        world.exit("a")
        world.exit("a", NORMAL)
        assert world.live == ["a"]
        world.exit("a", NORMAL)
        assert world.ended is not None

    def test_a_restart_that_takes_too_long_counts(self) -> None:
        world = tree(child("a", start_timeout=1.0), max_restarts=1)
        world.stubborn = {"a"}
        world.exit("a", SIGNAL)
        world.advance(1.0)
        assert world.ended is not None
        assert "did not become ready within 1.0 seconds" in str(world.ended.exit.error)


class TestHangingRestartLoop:
    """A child that never comes up again: everybody else is served meanwhile."""

    def looping(self, **options: object) -> SimulatedSupervisor:
        world = tree("a", "b", max_restarts=10_000, **options)
        world.obedient = False
        world.exit("a")
        for _ in range(20):
            world.exit("a")
        return world

    def test_others_run(self) -> None:
        world = self.looping()
        assert world.status == {"a": "restarting", "b": "running"}

    def test_requests_are_answered(self) -> None:
        world = self.looping()
        assert str(world.answer(world.restart_child("a"))) == "child 'a' is restarting"
        assert str(world.answer(world.delete_child("a"))) == "child 'a' is restarting"
        started = world.start_child(child("c"))
        world.ready("c")
        assert world.answer(started) == "c"

    def test_can_be_terminated(self) -> None:
        world = self.looping()
        request = world.terminate_child("a")
        world.exit("a")
        assert world.answer(request) is None
        assert world.status == {"a": "stopped", "b": "running"}
        world.delete_child("a")
        assert world.status == {"b": "running"}

    @pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
    def test_shutdown_gets_in_between(self, strategy: str) -> None:
        world = tree("a", "b", max_restarts=10_000, strategy=strategy)
        world.failing["a"] = 5
        world.obedient = False
        world.exit("a")
        world.shutdown()
        world.obedient = True
        world.settle()
        assert world.ended is not None
        assert world.ended.exit == Exit("shutdown")


def test_restarts_of_several_children_are_independent() -> None:
    world = tree("a", "b")
    world.obedient = False
    world.exit("a")
    world.exit("b")
    assert world.status == {"a": "restarting", "b": "restarting"}
    world.ready("b")
    assert world.status == {"a": "restarting", "b": "running"}
    world.exit("a")
    world.ready("a")
    assert world.status == {"a": "running", "b": "running"}


def test_reports_tell_how_often_and_why() -> None:
    world = tree("a")
    world.exit("a", ERROR)
    ended, restarting = world.reports
    assert (ended.kind, ended.exit, ended.restarts) == ("child_ended", ERROR, 0)
    assert (restarting.kind, restarting.exit, restarting.restarts) == ("restarting", ERROR, 1)


def test_news_of_old_processes_and_timers_are_ignored() -> None:
    world = tree("a")
    world.exit("a")
    world.take_log()
    for event in (
        ChildExited(1, ERROR),
        ChildReady(1),
        ChildReady(99),
        Condemn(1, "watchdog"),
        TimerFired(Timer("start", 1)),
        TimerFired(Timer("stop", 2)),
        TimerFired(Timer("restart", 7)),
    ):
        world.feed(event)
    assert world.take_log() == []
    assert world.status == {"a": "running"}
