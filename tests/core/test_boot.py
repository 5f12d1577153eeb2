"""Starting a supervisor: its children one by one, and all or none."""

from __future__ import annotations

from supervisor._core.messages import Boot, Ended, Open, Spawn, StartFailure
from supervisor._exit import Exit
from supervisor._supervisor import Supervisor
from supervisor.testing import SimulatedSupervisor
from tests.core.specs import ERROR, NORMAL, child, tree


def manual(*ids: str, **options: object) -> SimulatedSupervisor:
    spec = Supervisor([child(id) for id in ids], **options)  # type: ignore[arg-type]
    return SimulatedSupervisor(spec, obedient=False).boot()


def test_starts_children_in_order() -> None:
    world = tree("a", "b", "c")
    assert world.log == ["start a", "ready a", "start b", "ready b", "start c", "ready c"]
    assert world.started


def test_starts_without_children() -> None:
    assert tree().started


def test_starts_a_child_only_when_the_one_before_is_ready() -> None:
    world = manual("a", "b")
    assert world.log == ["start a"]
    world.ready("a")
    assert world.log == ["start a", "ready a", "start b"]
    assert not world.started


def test_opens_every_address_before_the_first_start() -> None:
    world = SimulatedSupervisor(Supervisor([child("a"), child("b")]), obedient=False)
    actions = world.machine.handle(Boot(), 0.0)
    assert [type(action) for action in actions[:3]] == [Open, Open, Spawn]


def test_second_boot_changes_nothing() -> None:
    world = tree("a")
    world.boot()
    assert world.log == ["start a", "ready a"]


def test_failure_stops_what_had_started_in_reverse() -> None:
    world = SimulatedSupervisor(Supervisor([child(id) for id in "abcd"]), failing={"c": 1}).boot()
    assert world.take_log()[-6:] == ["start c", "end c", "stop b", "end b", "stop a", "end a"]
    assert not world.started
    assert world.ended is not None
    assert world.ended.exit.reason == "error"
    assert world.ended.failure == StartFailure(("c",), Exit("error", error="c failed to start"))
    assert "start_failed c" in world.kinds()


def test_failure_below_a_nested_supervisor_names_the_path() -> None:
    world = manual("nested")
    world.exit("nested", ERROR, path=("inner", "leaf"))
    assert world.ended == Ended(
        Exit(
            "error",
            error="child 'nested/inner/leaf' did not start: ValueError('boom')",
            traceback="Traceback: boom",
        ),
        StartFailure(("nested", "inner", "leaf"), ERROR),
    )


def test_normal_end_before_ready_is_a_failure() -> None:
    world = SimulatedSupervisor(Supervisor([child("a", "transient")]), obedient=False).boot()
    world.exit("a", NORMAL)
    assert world.ended is not None
    assert world.ended.failure == StartFailure(("a",), NORMAL)


def test_start_timeout_kills_and_fails() -> None:
    spec = Supervisor([child("a"), child("b", start_timeout=2.5)])
    world = SimulatedSupervisor(spec)
    world.stubborn = {"b"}
    world.boot()
    world.advance(2.4)
    assert "kill b" not in world.log
    world.advance(0.1)
    assert world.log[-5:] == ["start b", "kill b", "end b", "stop a", "end a"]
    assert world.ended is not None
    assert world.ended.failure is not None
    assert world.ended.failure.exit.error == "it did not become ready within 2.5 seconds"


def test_ready_too_late_is_still_late() -> None:
    world = manual("a")
    world.advance(30.0)
    world.ready("a")
    assert not world.started
    world.exit("a", "signal")
    assert world.ended is not None
    assert world.ended.failure is not None


def test_no_start_timeout_waits_without_limit() -> None:
    world = SimulatedSupervisor(Supervisor([child("a", start_timeout=None)]), obedient=False).boot()
    assert not world.timers


def test_shutdown_while_booting_is_orderly() -> None:
    world = manual("a", "b", "c")
    world.ready("a")
    world.shutdown()
    assert world.log[-1] == "stop b"
    world.exit("b", "shutdown")
    assert world.log[-1] == "stop a"
    world.exit("a", "shutdown")
    assert world.ended == Ended(Exit("shutdown"))


def test_shutdown_before_boot_ends_at_once() -> None:
    world = SimulatedSupervisor(Supervisor([child("a")]))
    world.shutdown()
    assert world.ended == Ended(Exit("shutdown"))


def test_end_of_a_ready_sibling_is_handled_after_the_boot() -> None:
    world = manual("a", "b")
    world.ready("a")
    world.exit("a")
    assert world.status == {"a": "restarting", "b": "restarting"}
    assert world.take_log() == ["start a", "ready a", "start b", "end a"]
    world.ready("b")
    assert world.started
    assert world.take_log() == ["ready b", "start a"]


def test_end_of_a_ready_sibling_does_not_matter_when_the_boot_fails() -> None:
    world = manual("a", "b")
    world.ready("a")
    world.exit("a")
    world.exit("b")
    assert world.ended is not None
    assert world.ended.failure is not None
    assert world.ended.failure.path == ("b",)


def test_significant_end_while_booting_shuts_down_after_the_boot() -> None:
    spec = Supervisor(
        [child("a", "transient", significant=True), child("b")], auto_shutdown="any_significant"
    )
    world = SimulatedSupervisor(spec, obedient=False).boot()
    world.ready("a")
    world.exit("a", NORMAL)
    assert world.ended is None
    world.obedient = True
    world.settle()
    assert world.started
    assert world.ended == Ended(Exit("shutdown"))


def test_second_failure_while_stopping_changes_nothing() -> None:
    world = manual("a", "b", "c")
    world.ready("a")
    world.ready("b")
    world.exit("c")
    world.exit("a")
    assert world.log[-2:] == ["stop b", "end a"]
    world.exit("b", "shutdown")
    assert world.ended is not None
    assert world.ended.failure is not None
    assert world.ended.failure.path == ("c",)
