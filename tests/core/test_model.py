"""The machine against a model of OTP's rules: any history, the same processes and answers."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from supervisor._spec import Backoff
from supervisor._supervisor import DynamicSupervisor, Supervisor
from supervisor.testing import SimulatedSupervisor
from tests.core.model import Model
from tests.core.settings import MODEL
from tests.core.specs import child

IDS = "abcdef"
BACKOFF = Backoff(initial=0.5, maximum=3.0, factor=2.0, jitter=0.0, reset_after=5.0)
reasons = st.sampled_from(["normal", "shutdown", "error", "signal"])


@st.composite
def children(draw: Any, id: Any, auto_shutdown: str, backoffs: bool) -> Any:
    restart = draw(st.sampled_from(["permanent", "permanent", "transient", "temporary"]))
    may_matter = auto_shutdown != "never" and restart != "permanent"
    return child(
        draw(id),
        restart,
        shutdown=draw(st.sampled_from([5.0, None, "brutal_kill"])),
        significant=may_matter and draw(st.booleans()),
        backoff=BACKOFF if backoffs and draw(st.booleans()) else None,
    )


@st.composite
def supervisors(draw: Any) -> Supervisor:
    options: dict[str, Any] = {
        "max_restarts": draw(st.integers(0, 4)),
        "max_seconds": draw(st.sampled_from([1.0, 5.0])),
        "auto_shutdown": draw(st.sampled_from(["never", "any_significant", "all_significant"])),
    }
    strategy = draw(st.sampled_from(["one_for_one", "one_for_all", "rest_for_one", "dynamic"]))
    if strategy == "dynamic":
        return DynamicSupervisor(max_children=draw(st.sampled_from([None, 2])), **options)
    specs = [
        draw(children(st.just(id), options["auto_shutdown"], strategy == "one_for_one"))
        for id in IDS[: draw(st.integers(0, 4))]
    ]
    return Supervisor(specs, strategy=strategy, **options)


class AgainstModel(RuleBasedStateMachine):
    @initialize(
        spec=supervisors(),
        failing=st.dictionaries(st.sampled_from("abc"), st.just(1), max_size=1),
        fail=st.integers(0, 4),
    )
    def boot(self, spec: Supervisor, failing: dict[str, int], fail: int) -> None:
        if fail:  # most supervisors come up
            failing = {}
        self.world = SimulatedSupervisor(spec, failing=failing).boot()
        self.model = Model(spec, failing)
        self.model.boot()

    def running(self, data: st.DataObject) -> str:
        ids = [id for id, status in self.model.status.items() if status == "running"]
        return data.draw(st.sampled_from(ids))

    def is_any_running(self) -> bool:
        return "running" in self.model.status.values()

    def is_up(self) -> bool:
        return self.model.ended is None

    @precondition(is_any_running)
    @rule(data=st.data(), reason=reasons, failures=st.sampled_from([0, 0, 0, 1, 2]))
    def exits(self, data: st.DataObject, reason: Any, failures: int) -> None:
        id = self.running(data)
        self.fail(id, failures)
        self.world.exit(id, reason)
        self.model.exits([id], reason)

    def is_group_running(self) -> bool:
        return self.is_any_running() and self.model.spec.strategy != "one_for_one"

    # Under one_for_one the machine restarts several side by side, and OTP one after the other.
    @precondition(is_group_running)
    @rule(data=st.data(), reason=reasons)
    def exit_together(self, data: st.DataObject, reason: Any) -> None:
        ids = list(dict.fromkeys([self.running(data), self.running(data), self.running(data)]))
        self.world.exit_together(ids, reason)
        self.model.exits(ids, reason)

    @rule(id=st.sampled_from(IDS), failures=st.integers(0, 2))
    def fail(self, id: str, failures: int) -> None:
        self.world.failing[id] = failures
        self.model.failing[id] = failures

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 1.25, 5.0]))
    def time(self, seconds: float) -> None:
        self.world.advance(seconds)
        self.model.time(seconds)

    @precondition(is_up)
    @rule(data=st.data())
    def start_child(self, data: st.DataObject) -> None:
        supervisor = self.model.spec
        one_for_one = supervisor.strategy == "one_for_one"
        spec = data.draw(children(st.sampled_from(IDS), supervisor.auto_shutdown, one_for_one))
        self.model.start_child(spec)
        self.compare(self.world.start_child(spec))

    @precondition(is_up)
    @rule(
        what=st.sampled_from(["terminate_child", "restart_child", "delete_child"]),
        id=st.sampled_from(IDS),
    )
    def request(self, what: str, id: str) -> None:
        getattr(self.model, what)(id)
        self.compare(getattr(self.world, what)(id))

    @precondition(is_up)
    @rule(sure=st.integers(0, 5))
    def shutdown(self, sure: int) -> None:
        if sure == 5:
            self.world.shutdown()
            self.model.shutdown()

    def compare(self, request: int) -> None:
        answer = self.world.answer(request)
        found = type(answer).__name__ if isinstance(answer, Exception) else "ok"
        assert found == self.model.answer

    @invariant()
    def agree(self) -> None:
        ended = self.world.ended
        # The children of a dynamic supervisor are stopped side by side: their ends have no order.
        order = sorted if ended and self.model.spec.is_dynamic else list
        assert order(self.world.take_log()) == order(self.model.log)
        self.model.log.clear()
        assert (ended.exit.reason if ended else None) == self.model.ended
        if ended is None:
            status = {k: v.replace("waiting", "restarting") for k, v in self.model.status.items()}
            assert self.world.status == status
            assert list(self.world.status) == list(status)
        assert not self.world.pending


TestAgainstModel = AgainstModel.TestCase
TestAgainstModel.settings = MODEL
