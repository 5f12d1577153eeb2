"""OTP's supervisor in a few pages, written apart from the machine, to hold it against.

This one is synchronous, as OTP's is: a child is started and stopped within one step, and what
happens meanwhile waits in a mailbox. It says what a patient observer sees in a world where children
do what they are told at once.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from supervisor._spec import Child
from supervisor._supervisor import Supervisor


@dataclass(eq=False)
class Kid:
    spec: Child
    state: str = "stopped"
    due: float = 0.0
    delayed: int = 0
    wait: float | None = None
    since: float = 0.0


class Model:
    def __init__(self, spec: Supervisor, failing: dict[str, int]) -> None:
        self.spec = spec
        self.failing = Counter(failing)
        self.now = 0.0
        self.delays = 0
        self.kids = [Kid(child) for child in spec.children]  # type: ignore[arg-type]
        self.restarts: list[float] = []
        self.mailbox: deque[tuple[str, Kid, str]] = deque()
        self.log: list[str] = []
        self.ended: str | None = None
        self.answer: str | None = None

    # --- what can be seen ----------------------------------------------------------------------

    @property
    def status(self) -> dict[str, str]:
        return {kid.spec.id: kid.state for kid in self.kids}

    def find(self, id: str) -> Kid | None:
        return next((kid for kid in self.kids if kid.spec.id == id), None)

    # --- what can happen -----------------------------------------------------------------------

    def boot(self) -> None:
        for kid in self.kids:
            if not self.start(kid):
                kid.state = "stopped"
                self.end("error")
                return

    def exits(self, ids: list[str], reason: str) -> None:
        for id in ids:
            kid = self.find(id)
            assert kid is not None
            self.log.append(f"end {id}")
            kid.state = "dead"
            self.mailbox.append(("exit", kid, reason))
        self.serve()

    def time(self, seconds: float) -> None:
        end = self.now + seconds
        while waiting := [k for k in self.kids if k.state == "waiting" and k.due <= end]:
            kid = min(waiting, key=lambda kid: (kid.due, kid.delayed))
            self.now = max(self.now, kid.due)
            self.try_start(kid)
            self.serve()
            if self.ended:
                break
        self.now = end

    def shutdown(self) -> None:
        self.end("shutdown")

    def start_child(self, spec: Child) -> None:
        limit = self.spec.max_children
        if self.find(spec.id):
            self.answer = "ChildExists"
        elif limit is not None and len(self.kids) >= limit:
            self.answer = "Overloaded"
        else:
            kid = Kid(spec)
            self.kids.append(kid)
            self.answer = "ok"
            if not self.start(kid):
                self.answer = "StartError"
                self.kids.remove(kid)

    def terminate_child(self, id: str) -> None:
        kid = self.find(id)
        if kid is None:
            self.answer = "ChildNotFound"
            return
        self.answer = "ok"
        kid.wait = None
        self.stop(kid)
        self.stays_down(kid)

    def restart_child(self, id: str) -> None:
        kid = self.by_hand(id)
        if kid is not None and not self.start(kid):
            self.answer = "StartError"
            self.stays_down(kid)

    def delete_child(self, id: str) -> None:
        kid = self.by_hand(id)
        if kid is not None:
            self.kids.remove(kid)

    def by_hand(self, id: str) -> Kid | None:
        """The child, if it is stopped."""
        kid = self.find(id)
        if kid is None:
            self.answer = "ChildNotFound"
        elif kid.state == "running":
            self.answer = "ChildRunning"
        elif kid.state == "waiting":
            self.answer = "ChildRestarting"
        else:
            self.answer = "ok"
            return kid
        return None

    # --- rules ---------------------------------------------------------------------------------

    def start(self, kid: Kid) -> bool:
        self.log.append(f"start {kid.spec.id}")
        if self.failing[kid.spec.id]:
            self.failing[kid.spec.id] -= 1
            self.log.append(f"end {kid.spec.id}")
            return False
        self.log.append(f"ready {kid.spec.id}")
        kid.state = "running"
        kid.since = self.now
        return True

    def stop(self, kid: Kid) -> None:
        if kid.state == "running":
            word = "kill" if kid.spec.shutdown == "brutal_kill" else "stop"
            self.log += [f"{word} {kid.spec.id}", f"end {kid.spec.id}"]
        kid.state = "stopped"

    def stays_down(self, kid: Kid) -> None:
        kid.state = "stopped"
        if kid.spec.restart == "temporary" or self.spec.is_dynamic:
            self.kids.remove(kid)

    def end(self, reason: str) -> None:
        self.ended = reason
        self.mailbox.clear()
        for kid in reversed(self.kids):
            self.stop(kid)

    def serve(self) -> None:
        while self.mailbox and not self.ended:
            what, kid, reason = self.mailbox.popleft()
            if what == "exit" and kid.state == "dead":
                self.exited(kid, reason)
            elif what == "again" and kid.state == "failed":
                self.restart(kid, failed=True)

    def exited(self, kid: Kid, reason: str) -> None:
        restart = kid.spec.restart
        orderly = reason in ("normal", "shutdown")
        if restart == "permanent" or (restart == "transient" and not orderly):
            self.restart(kid, failed=False)
            return
        self.stays_down(kid)
        if kid.spec.significant:
            others = [other for other in self.kids if other.spec.significant]
            alive = any(other.state != "stopped" for other in others)
            rule = self.spec.auto_shutdown
            if rule == "any_significant" or (rule == "all_significant" and not alive):
                self.end("shutdown")

    def restart(self, kid: Kid, *, failed: bool) -> None:
        backoff = kid.spec.backoff
        if backoff is None:
            since = self.now - self.spec.max_seconds
            self.restarts = [when for when in [*self.restarts, self.now] if when >= since]
            if len(self.restarts) > self.spec.max_restarts:
                kid.state = "stopped"
                self.end("error")
                return
        if self.spec.strategy != "one_for_one":
            self.restart_group(kid)
        elif backoff is None:
            self.try_start(kid)
        else:
            fresh = kid.wait is None or (not failed and self.now - kid.since >= backoff.reset_after)
            before = backoff.initial / backoff.factor if fresh else kid.wait
            assert before is not None
            kid.wait = min(before * backoff.factor, backoff.maximum)
            kid.state, kid.due = "waiting", self.now + kid.wait
            self.delays += 1
            kid.delayed = self.delays

    def try_start(self, kid: Kid) -> bool:
        if self.start(kid):
            return True
        kid.state = "failed"
        self.mailbox.append(("again", kid, ""))
        return False

    def restart_group(self, kid: Kid) -> None:
        first = self.kids.index(kid) if self.spec.strategy == "rest_for_one" else 0
        group = self.kids[first:]
        for each in reversed(group):
            self.stop(each)
        self.kids = [k for k in self.kids if k not in group or k.spec.restart != "temporary"]
        for each in group:
            if each.spec.restart != "temporary" and not self.try_start(each):
                return
