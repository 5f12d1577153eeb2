"""Any order of events at all: nothing is lost, and everything ends.

The simulation checks each action; here is what makes the events, and what must hold when the dust
has settled. The same random choices are made by hypothesis, which shrinks what it finds,
and by a seeded generator, which goes far.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from supervisor._core.messages import ChildExited, ChildReady, Condemn, Timer, TimerFired
from supervisor._exit import Exit
from supervisor._spec import Backoff
from supervisor._supervisor import DynamicSupervisor, Supervisor
from supervisor.testing import SimulatedSupervisor
from tests.core.settings import CHAOS, THOROUGH
from tests.core.specs import anonymous, child

Pick = Callable[[Sequence[Any]], Any]

IDS = "abcde"
REASONS: list[Any] = ["normal", "shutdown", "error", "error", "signal"]
QUICK = Backoff(initial=0.5, maximum=4.0, reset_after=3.0)
STRATEGIES = ["one_for_one", "one_for_all", "rest_for_one", "dynamic"]


class Chaos:
    """A world in which anything may happen at any time."""

    def __init__(self, pick: Pick) -> None:
        self.pick = pick
        self.auto = pick(["never", "any_significant", "all_significant"])
        self.world = SimulatedSupervisor(
            self.supervisor(), obedient=False, random=lambda: pick([0.0, 0.5, 1.0])
        )

    def supervisor(self) -> Supervisor:
        strategy = self.pick(STRATEGIES)
        limits: dict[str, Any] = {
            "auto_shutdown": self.auto,
            "max_restarts": self.pick([0, 1, 3, 1000]),
        }
        if strategy == "dynamic":
            return DynamicSupervisor(max_children=self.pick([None, 3]), **limits)
        specs = [self.child(id) for id in IDS[: self.pick([0, 1, 2, 3, 4])]]
        return Supervisor(specs, strategy=strategy, **limits)

    def child(self, id: str) -> Any:
        restart = self.pick(["permanent", "permanent", "transient", "temporary"])
        options: dict[str, Any] = {
            "shutdown": self.pick([5.0, None, "brutal_kill", 0]),
            "start_timeout": self.pick([None, 2.0]),
            "backoff": self.pick([None, None, QUICK]),
            "significant": restart != "permanent" and self.pick([True, False]),
        }
        options["significant"] &= self.auto != "never"
        return child(id, restart, **options) if id else anonymous(restart, **options)

    # --- one event -----------------------------------------------------------------------------

    def happen(self) -> None:
        """Let something happen: mostly what a process or a timer does, at times a request."""
        self.pick(
            [
                self.process_moves,
                self.process_moves,
                self.process_moves,
                self.process_moves,
                self.time_passes,
                self.request,
                self.request,
                self.oddity,
            ]
        )()

    def process_moves(self) -> None:
        processes = list(self.world.processes.values())
        if not processes:
            self.time_passes()
            return
        process = self.pick(processes)
        if not process.is_ready and not process.is_killed and self.pick([True, True, False]):
            self.world.ready(process.id)
        else:
            self.world.exit(process.id, self.pick(REASONS))

    def time_passes(self) -> None:
        if self.world.timers and self.pick([True, False]):
            self.world.fire(self.pick(list(self.world.timers)))
        else:
            self.world.advance(self.pick([0.0, 0.5, 2.0, 6.0]))

    def request(self) -> None:
        id = self.pick(IDS)
        what = self.pick(["start_child", "terminate_child", "restart_child", "delete_child"])
        if what == "start_child":
            self.world.start_child(self.child(self.pick([id, id, ""])))
        else:
            getattr(self.world, what)(id)

    def oddity(self) -> None:
        """What is legal, and rare."""
        token = self.pick(range(12))
        event = self.pick(
            [
                ChildReady(10_000 + token),
                ChildExited(10_000 + token, Exit("error")),
                TimerFired(Timer("stop", 10_000 + token)),
                Condemn(token, self.pick(["watchdog", "max_rss"])),
                Condemn(token, self.pick(["watchdog", "max_rss"])),
            ]
        )
        self.world.feed(event)
        if self.pick(range(12)) == 0:
            self.world.shutdown()

    # --- the end -------------------------------------------------------------------------------

    def finish(self) -> None:
        """In an obedient world everything gets up or stays down; then it is shut down."""
        world = self.world
        world.obedient = True
        world.settle()
        for _ in range(20):
            world.advance(10.0)
        assert not world.timers
        assert not world.pending
        assert world.started or world.ended
        assert "restarting" not in world.status.values()
        self.check_addresses()
        world.shutdown()
        assert world.ended is not None
        assert not world.pending
        request = world.start_child(child("late"))
        assert "has ended" in str(world.answer(request))
        world.boot()
        world.shutdown()

    def check_addresses(self) -> None:
        if self.world.ended is None:
            status = self.world.status
            assert set(self.world.open) == set(status)
            for id, is_open in self.world.open.items():
                assert is_open == (status[id] == "running")


class AnyOrder(RuleBasedStateMachine):
    chaos: Chaos | None = None

    def pick_from(self, data: st.DataObject) -> Pick:
        return lambda choices: data.draw(st.sampled_from(choices))

    @initialize(data=st.data())
    def boot(self, data: st.DataObject) -> None:
        self.chaos = Chaos(self.pick_from(data))
        self.chaos.world.boot()

    @rule(data=st.data())
    def happen(self, data: st.DataObject) -> None:
        assert self.chaos is not None
        self.chaos.pick = self.pick_from(data)
        self.chaos.happen()

    def teardown(self) -> None:
        if self.chaos is not None:
            self.chaos.world.machine._random = lambda: 0.5
            self.chaos.finish()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = CHAOS

SEEDS = int(60 * THOROUGH)


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_many_seeded_schedules(first: int) -> None:
    for seed in range(first, first + 20):
        run(seed)


def run(seed: int) -> SimulatedSupervisor:
    """One random history; its seed is in the error that it raises."""
    chaos = Chaos(random.Random(seed).choice)
    try:
        chaos.world.boot()
        for _ in range(chaos.pick([5, 20, 100, 300])):
            chaos.happen()
        chaos.finish()
    except BaseException as error:
        error.add_note(f"seed {seed}, {chaos.world.machine.spec!r}, {chaos.world.log[-60:]}")
        raise
    return chaos.world
