"""Stopping: orders, time limits, and what is condemned."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from supervisor._core.messages import Ended
from supervisor._errors import NoProcess
from supervisor._exit import Exit
from supervisor._spec import Backoff
from supervisor.testing import SimulatedSupervisor
from tests.core.specs import SHUTDOWN, child, pool, tree

KILLED = Exit("signal", signal=signal.SIGKILL)


class TestOrder:
    def test_reverse_one_after_the_other(self) -> None:
        world = tree("a", "b", "c")
        world.take_log()
        world.shutdown()
        assert world.take_log() == ["stop c", "end c", "stop b", "end b", "stop a", "end a"]
        assert world.ended == Ended(SHUTDOWN)

    def test_waits_for_each(self) -> None:
        world = tree("a", "b")
        world.obedient = False
        world.shutdown()
        assert world.log[-1] == "stop b"
        world.exit("b", "shutdown")
        assert world.log[-1] == "stop a"
        assert world.ended is None

    def test_children_added_later_are_stopped_first(self) -> None:
        world = tree("a")
        world.start_child(child("z"))
        world.take_log()
        world.shutdown()
        assert world.take_log() == ["stop z", "end z", "stop a", "end a"]

    def test_one_that_has_crashed_needs_no_stop(self) -> None:
        world = tree("a", "b")
        world.obedient = False
        world.shutdown()
        world.exit("a")
        world.exit("b", "shutdown")
        assert "stop a" not in world.log
        assert world.ended == Ended(SHUTDOWN)

    def test_dynamic_stops_side_by_side(self) -> None:
        world = pool()
        for id in "abc":
            world.start_child(child(id))
        world.obedient = False
        world.shutdown()
        assert world.log[-3:] == ["stop c", "stop b", "stop a"]
        for id in "bac":
            assert world.ended is None
            world.exit(id, "shutdown")
        assert world.ended == Ended(SHUTDOWN)

    def test_dynamic_each_has_its_own_timer(self) -> None:
        world = pool()
        world.start_child(child("a", shutdown=1.0))
        world.start_child(child("b", shutdown=3.0))
        world.start_child(child("c", shutdown="brutal_kill"))
        world.stubborn = set("ab")
        world.shutdown()
        assert world.live == ["a", "b"]
        world.advance(1.0)
        assert world.live == ["b"]
        world.advance(2.0)
        assert world.ended == Ended(SHUTDOWN)


class TestLimits:
    def test_seconds_then_kill(self) -> None:
        world = tree(child("a", shutdown=2.0))
        world.stubborn = {"a"}
        world.shutdown()
        world.advance(1.9)
        assert "kill a" not in world.log
        world.advance(0.1)
        assert world.log[-3:] == ["stop a", "kill a", "end a"]
        assert "killed a" in world.kinds()

    def test_brutal_kill_is_no_surprise(self) -> None:
        world = tree(child("a", shutdown="brutal_kill"))
        world.shutdown()
        assert world.log[-2:] == ["kill a", "end a"]
        assert "killed a" not in world.kinds()

    def test_none_is_without_limit(self) -> None:
        world = tree(child("a", shutdown=None))
        world.stubborn = {"a"}
        world.shutdown()
        assert not world.timers

    def test_a_starting_child_is_stopped_likewise(self) -> None:
        world = tree("a")
        world.stubborn = {"b"}
        world.start_child(child("b", shutdown=1.0))
        world.terminate_child("b")
        assert world.log[-1] == "stop b"
        world.advance(1.0)
        assert world.log[-2:] == ["kill b", "end b"]


class TestShutdownMeanwhile:
    def test_twice(self) -> None:
        world = tree("a")
        world.obedient = False
        world.shutdown()
        world.shutdown()
        world.exit("a", "shutdown")
        world.shutdown()
        assert world.ended == Ended(SHUTDOWN)

    def test_waiting_for_a_backoff(self) -> None:
        world = tree(child("a", backoff=Backoff()))
        world.exit("a")
        world.shutdown()
        assert world.ended == Ended(SHUTDOWN)

    def test_restarting(self) -> None:
        world = tree("a", "b")
        world.obedient = False
        world.exit("a")
        world.shutdown()
        world.obedient = True
        world.settle()
        assert world.log[-4:] == ["stop b", "end b", "stop a", "end a"]

    def test_terminating(self) -> None:
        world = tree("a", "b")
        world.obedient = False
        request = world.terminate_child("a")
        world.shutdown()
        world.obedient = True
        world.settle()
        assert world.answer(request) is None
        assert world.log.count("stop a") == 1

    def test_after_giving_up_the_reason_stays(self) -> None:
        world = tree("a", "b", max_restarts=0)
        world.obedient = False
        world.exit("a")
        world.shutdown()
        world.exit("b", "shutdown")
        assert world.ended is not None
        assert world.ended.exit.reason == "error"

    def test_a_starting_child_that_is_late_is_still_killed(self) -> None:
        world = tree("a", "b")
        world.obedient = False
        world.start_child(child("c", start_timeout=1.0))
        world.start_child(child("d", shutdown=None))
        world.ready("d")
        world.shutdown()
        world.advance(1.0)
        assert world.log[-1] == "kill c"
        world.obedient = True
        world.settle()
        assert world.ended == Ended(SHUTDOWN)

    def test_open_requests_are_answered(self) -> None:
        world = tree("a", "b")
        world.obedient = False
        starting = world.start_child(child("c"))
        stopping = world.terminate_child("b")
        restarting = world.restart_child("b")
        world.shutdown()
        assert isinstance(world.answer(starting), NoProcess)
        world.obedient = True
        world.settle()
        assert world.answer(stopping) is None
        assert isinstance(world.answer(restarting), NoProcess)

    def test_new_requests(self) -> None:
        world = tree("a", "b", child("c", "transient"))
        world.exit("c", "normal")
        world.obedient = False
        world.shutdown()
        for request in (world.start_child(child("d")), world.restart_child("c")):
            assert "is shutting down" in str(world.answer(request))
        assert world.answer(world.delete_child("c")) is None
        assert world.answer(world.terminate_child("c")) is not None
        terminate = world.terminate_child("a")
        assert world.log[-1] == "stop b", "the order is not upset"
        world.obedient = True
        world.settle()
        assert world.answer(terminate) is None

    @pytest.mark.parametrize("what", ["terminate_child", "restart_child", "delete_child"])
    def test_ended(self, what: str) -> None:
        world = tree("a")
        world.shutdown()
        answer = world.answer(getattr(world, what)("a"))
        assert isinstance(answer, NoProcess)
        assert str(answer) == "supervisor 'Supervisor' has ended"


class TestCondemn:
    @pytest.mark.parametrize("reason", ["watchdog", "max_rss"])
    def test_stops_and_restarts_for_that_reason(self, reason: str) -> None:
        world = tree(child("a", shutdown=2.0), child("b"))
        world.stubborn = {"a"}
        world.take_log()
        world.condemn("a", reason)
        assert world.status["a"] == "running"
        world.advance(1.9)
        world.stubborn = set()
        world.advance(0.1)
        assert world.take_log() == ["stop a", "kill a", "end a", "start a", "ready a"]
        exits = [report.exit.reason for report in world.reports if report.exit]
        assert exits == [reason, reason]

    def test_keeps_what_is_known_of_the_end(self) -> None:
        world = tree(child("a", "temporary"))
        world.obedient = False
        world.condemn("a")
        world.exit("a", Exit("signal", signal=signal.SIGKILL, traceback="stacks"))
        assert world.reports[-1].exit == Exit("watchdog", signal=signal.SIGKILL, traceback="stacks")

    def test_counts(self) -> None:
        world = tree("a", max_restarts=0)
        world.condemn("a")
        assert world.ended is not None
        assert "watchdog" in str(world.ended.exit.error)

    def test_transient_is_restarted_though_it_stopped_in_order(self) -> None:
        world = tree(child("a", "transient"))
        world.condemn("a")
        assert world.machine.row("a").restarts == 1

    @pytest.mark.parametrize(("shutdown", "seconds"), [(None, 5.0), (0.5, 0.5), ("brutal_kill", 0)])
    def test_limit(self, shutdown: Any, seconds: float) -> None:
        world = tree(child("a", shutdown=shutdown))
        world.obedient = False
        world.condemn("a")
        world.advance(seconds)
        assert world.log[-1] == "kill a"

    def test_while_starting_is_a_start_failure(self) -> None:
        world = tree()
        world.obedient = False
        request = world.start_child(child("a"))
        world.condemn("a", "max_rss")
        world.exit("a", "shutdown")
        assert "max_rss" in str(world.answer(request))

    def test_terminate_meanwhile_makes_it_an_end_by_hand(self) -> None:
        world = tree("a", max_restarts=0)
        world.obedient = False
        world.condemn("a")
        request = world.terminate_child("a")
        world.exit("a", "shutdown")
        assert world.answer(request) is None
        assert world.status == {"a": "stopped"}


def significant(id: str, restart: str = "transient") -> Any:
    return child(id, restart, significant=True)


class TestAutoShutdown:
    @pytest.mark.parametrize("restart", ["transient", "temporary"])
    @pytest.mark.parametrize("end", ["normal", "shutdown", "error", "signal"])
    @pytest.mark.parametrize("rule", ["any_significant", "all_significant"])
    def test_the_only_significant(self, rule: str, end: Any, restart: str) -> None:
        world = tree("a", significant("s", restart), "b", auto_shutdown=rule)
        world.exit("s", end)
        restarted = restart == "transient" and end in ("error", "signal")
        assert world.ended == (None if restarted else Ended(SHUTDOWN))
        assert world.status["a"] == ("running" if restarted else "stopped")

    def test_any_needs_one(self) -> None:
        world = tree(significant("s"), significant("t"), auto_shutdown="any_significant")
        world.exit("s", "normal")
        assert world.ended == Ended(SHUTDOWN)

    def test_all_needs_the_last(self) -> None:
        world = tree("a", significant("s"), significant("t"), auto_shutdown="all_significant")
        world.exit("s", "normal")
        assert world.ended is None
        world.exit("t", "normal")
        assert world.ended == Ended(SHUTDOWN)

    def test_all_waits_for_one_that_restarts(self) -> None:
        world = tree(significant("s"), significant("t"), auto_shutdown="all_significant")
        world.obedient = False
        world.exit("s", "error")
        world.exit("t", "normal")
        assert world.ended is None
        world.ready("s")
        world.exit("s", "normal")
        assert world.ended == Ended(SHUTDOWN)

    def test_all_does_not_wait_for_one_that_is_being_terminated(self) -> None:
        world = tree(significant("s"), significant("t"), auto_shutdown="all_significant")
        world.obedient = False
        world.terminate_child("s")
        world.exit("t", "normal")
        assert world.machine.phase == "stopping"

    def test_insignificant_ends_do_not_matter(self) -> None:
        world = tree(child("a", "transient"), significant("s"), auto_shutdown="any_significant")
        world.exit("a", "normal")
        assert world.ended is None

    @pytest.mark.parametrize("rule", ["any_significant", "all_significant"])
    def test_terminate_child_never_triggers(self, rule: str) -> None:
        world = tree("a", significant("s"), significant("t", "temporary"), auto_shutdown=rule)
        world.terminate_child("s")
        world.terminate_child("t")
        assert world.ended is None

    @pytest.mark.parametrize("rule", ["any_significant", "all_significant"])
    def test_sibling_restart_never_triggers(self, rule: str) -> None:
        world = tree("a", significant("t", "temporary"), auto_shutdown=rule, strategy="one_for_all")
        world.exit("a")
        assert world.ended is None
        assert world.status == {"a": "running"}

    def test_end_while_its_group_is_being_stopped_does_not_trigger(self) -> None:
        world = tree("a", significant("s"), auto_shutdown="any_significant", strategy="one_for_all")
        world.exit_together("as", "error")
        assert world.status == {"a": "running", "s": "running"}

    def test_in_a_dynamic_supervisor(self) -> None:
        world: SimulatedSupervisor = pool(auto_shutdown="all_significant")
        world.start_child(significant("s"))
        world.start_child(child("a"))
        world.exit("s", "normal")
        assert world.ended == Ended(SHUTDOWN)
