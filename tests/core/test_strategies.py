"""Group restarts: one_for_all and rest_for_one."""

from __future__ import annotations

import pytest

from supervisor._core.messages import Ended
from supervisor._errors import StartError
from supervisor._exit import Exit
from supervisor._spec import Backoff
from supervisor.testing import SimulatedSupervisor
from tests.core.specs import NORMAL, child, tree


def test_one_for_all_stops_in_reverse_and_starts_in_order() -> None:
    world = tree("a", "b", "c", strategy="one_for_all")
    world.take_log()
    world.exit("b")
    stops = ["end b", "stop c", "end c", "stop a", "end a"]
    starts = ["start a", "ready a", "start b", "ready b", "start c", "ready c"]
    assert world.take_log() == stops + starts


def test_rest_for_one_leaves_those_before_alone() -> None:
    world = tree("a", "b", "c", strategy="rest_for_one")
    world.take_log()
    world.exit("b")
    expected = ["end b", "stop c", "end c", "start b", "ready b", "start c", "ready c"]
    assert world.take_log() == expected
    assert [row.restarts for row in world.machine.rows()] == [0, 1, 1]


def test_stops_one_after_the_other() -> None:
    world = tree("a", "b", "c", strategy="one_for_all")
    world.obedient = False
    world.exit("a")
    assert world.log[-1] == "stop c"
    assert world.status == {"a": "restarting", "b": "running", "c": "restarting"}
    world.exit("c", "shutdown")
    assert world.log[-1] == "stop b"


def test_counts_once() -> None:
    world = tree(*"abcdef", strategy="one_for_all", max_restarts=1)
    world.exit("a")
    assert world.ended is None
    world.exit("b")
    assert world.ended is not None


def test_each_is_stopped_by_its_own_rule() -> None:
    brutal = child("b", shutdown="brutal_kill")
    patient = child("c", shutdown=None)
    world = tree("a", brutal, patient, child("d", shutdown=2.0), strategy="one_for_all")
    world.stubborn = {"d"}
    world.take_log()
    world.exit("a")
    world.advance(2.0)
    world.stubborn = set()
    world.settle()
    stops = ["stop d", "kill d", "end d", "stop c", "end c", "kill b", "end b"]
    assert world.take_log()[1:8] == stops
    assert [str(kind) for kind in world.kinds() if kind.startswith("killed")] == ["killed d"]


def test_children_terminated_by_hand_are_started_again() -> None:
    world = tree("a", "b", strategy="one_for_all")
    world.terminate_child("b")
    assert world.open["b"] is False
    world.exit("a")
    assert world.status == {"a": "running", "b": "running"}


def test_transient_that_had_ended_is_started_again() -> None:
    world = tree("a", child("b", "transient"), strategy="rest_for_one")
    world.exit("b", NORMAL)
    world.exit("a")
    assert world.status == {"a": "running", "b": "running"}


def test_temporary_siblings_are_stopped_and_forgotten() -> None:
    world = tree("a", child("t", "temporary"), "b", strategy="one_for_all")
    world.exit("b")
    assert world.status == {"a": "running", "b": "running"}
    assert "t" not in world.open


def test_temporary_end_restarts_nobody() -> None:
    world = tree("a", child("t", "temporary"), "b", strategy="one_for_all")
    world.take_log()
    world.exit("t")
    assert world.take_log() == ["end t"]


def test_siblings_that_crash_meanwhile_need_no_stop() -> None:
    world = tree("a", "b", "c", strategy="one_for_all", max_restarts=1)
    world.take_log()
    world.exit_together("abc")
    assert world.take_log()[:4] == ["end a", "end b", "end c", "start a"]
    assert world.status == dict.fromkeys("abc", "running")
    assert world.machine.row("a").restarts == 1


def test_member_that_crashes_while_the_group_starts_is_handled_after_it() -> None:
    world = tree("a", "b", strategy="one_for_all")
    world.obedient = False
    world.exit("b")
    world.exit("a", "shutdown")
    world.ready("a")
    world.exit("a")
    world.take_log()
    world.ready("b")
    assert world.take_log() == ["ready b", "stop b"]


def test_earlier_sibling_that_crashes_meanwhile_is_handled_after_the_group() -> None:
    world = tree("a", "b", strategy="rest_for_one")
    world.obedient = False
    world.exit("b")
    world.exit("a")
    assert world.live == ["b"]
    world.ready("b")
    assert world.log[-1] == "stop b"


def test_one_for_all_failed_start_restarts_all() -> None:
    world = tree("a", "b", "c", strategy="one_for_all", max_restarts=2)
    world.failing["b"] = 1
    world.take_log()
    world.exit("c")
    log = world.take_log()
    assert log[5:9] == ["start a", "ready a", "start b", "end b"]
    assert log[9:13] == ["stop a", "end a", "start a", "ready a"]
    assert world.status == dict.fromkeys("abc", "running")
    world.exit("a")
    assert world.ended is not None, "the failed attempt counted"


def test_rest_for_one_failed_start_restarts_from_the_failed() -> None:
    world = tree("a", "b", "c", strategy="rest_for_one")
    world.failing["b"] = 1
    world.take_log()
    world.exit("a")
    log = world.take_log()
    assert log.count("start a") == 1
    assert log.count("start b") == 2
    assert log.count("start c") == 1


def test_failed_start_waits_for_what_came_before_it() -> None:
    world = tree("a", "b", strategy="rest_for_one")
    world.obedient = False
    world.exit("b")
    world.exit("a")
    world.exit("b")
    world.obedient = True
    world.settle()
    assert world.status == {"a": "running", "b": "running"}
    assert world.machine.row("b").restarts == 2


def test_failed_starts_of_two_groups_begin_again_with_the_earlier_child() -> None:
    world = tree("a", "b", strategy="rest_for_one", max_restarts=5)
    world.failing.update(a=1, b=1)
    world.take_log()
    world.exit_together("ba")
    log = world.take_log()
    starts = [line for line in log if line.startswith("start")]
    assert starts == ["start b", "start a", "start a", "start b"]


class TestRequestsMeanwhile:
    def failed_behind_another_end(self) -> SimulatedSupervisor:
        """Child b has failed to restart, c waits for it, and the end of x came before that."""
        world = tree("a", "b", "c", strategy="rest_for_one", max_restarts=5)
        world.obedient = False
        world.exit("b")
        world.exit("c", "shutdown")
        world.start_child(child("x"))
        world.ready("x")
        world.exit("x")
        world.exit("b")
        return world

    def test_restart_of_a_later_child_takes_along_what_was_left_behind(self) -> None:
        world = self.failed_behind_another_end()
        assert world.live == ["a", "b"]
        world.take_log()
        world.obedient = True
        world.settle()
        assert world.take_log() == ["ready b", "start c", "ready c", "start x", "ready x"]

    def test_terminated_after_its_failed_start_leaves_the_others_to_be_started(self) -> None:
        world = self.failed_behind_another_end()
        world.terminate_child("b")
        world.obedient = True
        world.settle()
        assert world.status == {"a": "running", "b": "stopped", "c": "running", "x": "running"}

    def test_terminate_while_it_waits_to_be_started(self) -> None:
        world = tree("a", "b", "c", strategy="one_for_all")
        world.obedient = False
        world.exit("c")
        world.exit("b", "shutdown")
        request = world.terminate_child("b")
        assert world.answer(request) is None
        world.obedient = True
        world.settle()
        assert world.status == {"a": "running", "b": "stopped", "c": "running"}

    def test_terminate_while_it_starts(self) -> None:
        world = tree("a", "b", strategy="one_for_all")
        world.obedient = False
        world.exit("b")
        world.exit("a", "shutdown")
        request = world.terminate_child("a")
        world.exit("a", "shutdown")
        assert world.answer(request) is None
        assert world.live == ["b"]
        world.ready("b")
        assert world.status == {"a": "stopped", "b": "running"}

    def test_terminate_before_its_turn_to_stop(self) -> None:
        world = tree("a", "b", "c", strategy="one_for_all")
        world.obedient = False
        world.exit("b")
        world.terminate_child("a")
        assert world.log[-2:] == ["stop c", "stop a"]
        world.obedient = True
        world.settle()
        assert world.status == {"a": "stopped", "b": "running", "c": "running"}

    def test_terminate_while_it_stops_for_the_group(self) -> None:
        world = tree("a", "b", strategy="one_for_all")
        world.obedient = False
        world.exit("a")
        request = world.terminate_child("b")
        assert request in world.pending
        world.obedient = True
        world.settle()
        assert world.status == {"a": "running", "b": "stopped"}

    def test_terminated_before_the_group_is_started_by_it(self) -> None:
        world = tree("a", "b", strategy="one_for_all")
        world.obedient = False
        request = world.terminate_child("b")
        world.exit("a")
        world.obedient = True
        world.settle()
        assert world.answer(request) is None
        assert world.status == {"a": "running", "b": "running"}

    def test_stopped_child_can_be_called_as_soon_as_the_group_takes_it_along(self) -> None:
        world = tree("a", "b", "c", strategy="one_for_all")
        world.terminate_child("b")
        world.obedient = False
        world.exit("a")
        assert world.open["b"]

    def test_restart_after_terminate_waits_for_the_end(self) -> None:
        world = tree("a", "b", strategy="one_for_all")
        world.obedient = False
        world.exit("a")
        world.terminate_child("b")
        request = world.restart_child("b")
        assert request in world.pending
        world.obedient = True
        world.settle()
        assert world.answer(request) == "b"

    def test_restart_of_one_that_the_group_will_start_is_refused(self) -> None:
        world = tree("a", "b", strategy="one_for_all")
        world.obedient = False
        world.terminate_child("b")
        world.exit("a")
        assert "is restarting" in str(world.answer(world.restart_child("b")))

    def test_delete_and_restart_are_refused(self) -> None:
        world = tree("a", "b", strategy="one_for_all")
        world.obedient = False
        world.exit("a")
        for request in (world.delete_child("a"), world.restart_child("b")):
            assert "is restarting" in str(world.answer(request))

    def test_start_child_is_served(self) -> None:
        world = tree("a", "b", strategy="one_for_all")
        world.obedient = False
        world.exit("a")
        request = world.start_child(child("c"))
        world.ready("c")
        assert world.answer(request) == "c"

    def test_start_child_overtaken_by_the_group_is_answered_when_up(self) -> None:
        world = tree("a", strategy="one_for_all")
        world.obedient = False
        request = world.start_child(child("c"))
        world.exit("a")
        assert world.log[-1] == "stop c"
        world.exit("c", "shutdown")
        world.ready("a")
        assert request in world.pending
        world.ready("c")
        assert world.answer(request) == "c"

    def test_start_child_overtaken_that_fails_is_discarded(self) -> None:
        world = tree("a", strategy="one_for_all", max_restarts=1)
        world.obedient = False
        request = world.start_child(child("c"))
        world.exit("a")
        world.exit("c", "shutdown")
        world.ready("a")
        world.exit("c")
        assert isinstance(world.answer(request), StartError)
        assert world.status == {"a": "running"}

    def test_shutdown(self) -> None:
        world = tree("a", "b", "c", strategy="one_for_all")
        world.obedient = False
        world.exit("b")
        world.shutdown()
        world.obedient = True
        world.settle()
        assert world.ended == Ended(Exit("shutdown"))
        assert world.log[-4:] == ["stop c", "end c", "stop a", "end a"]


class TestBackoff:
    SLOW = Backoff(initial=1.0, maximum=8.0, factor=2.0, jitter=0.0)

    def test_group_waits_after_it_has_stopped(self) -> None:
        world = tree("a", child("b", backoff=self.SLOW), strategy="one_for_all", max_restarts=0)
        world.exit("b")
        assert world.live == []
        world.advance(0.9)
        assert world.live == []
        world.advance(0.1)
        assert world.status == {"a": "running", "b": "running"}

    def test_group_waits_for_the_longest(self) -> None:
        slower = Backoff(initial=3.0, maximum=8.0, jitter=0.0)
        world = tree(
            child("a", backoff=self.SLOW), child("b", backoff=slower), strategy="one_for_all"
        )
        world.exit("a")
        world.advance(2.9)
        assert world.live == []
        world.advance(0.1)
        assert world.live == ["a", "b"]

    def test_crash_of_a_child_without_backoff_counts(self) -> None:
        world = tree("a", child("b", backoff=self.SLOW), strategy="one_for_all", max_restarts=0)
        world.exit("a")
        assert world.ended is not None

    def test_earlier_crash_takes_the_waiting_group_along(self) -> None:
        world = tree("a", child("b", backoff=self.SLOW), strategy="rest_for_one")
        world.exit("b")
        world.advance(0.5)
        world.exit("a")
        assert world.live == []
        world.advance(0.5)
        assert world.status == {"a": "running", "b": "running"}
        assert world.timers == {}

    def test_shutdown_while_waiting(self) -> None:
        world = tree("a", child("b", backoff=self.SLOW), strategy="one_for_all")
        world.exit("b")
        world.shutdown()
        assert world.ended == Ended(Exit("shutdown"))

    @pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
    def test_terminated_while_waiting(self, strategy: str) -> None:
        world = tree("a", child("b", backoff=self.SLOW), strategy=strategy)
        world.exit("b")
        world.terminate_child("b")
        world.advance(5.0)
        assert world.status == {"a": "running", "b": "stopped"}

    def test_restart_by_hand_while_the_group_waits(self) -> None:
        world = tree("a", child("b", backoff=self.SLOW), strategy="one_for_all")
        world.exit("b")
        world.terminate_child("b")
        world.restart_child("b")
        assert world.live == ["b"]
        world.advance(5.0)
        assert world.status == {"a": "running", "b": "running"}
