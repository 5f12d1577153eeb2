"""What a process of a tree does, by the kind of its spec."""

from __future__ import annotations

import logging
import resource
import sys

from supervisor._core.messages import Ended
from supervisor._driver.supervisor_process import SupervisorProcess, handle_stop_signals
from supervisor._log.forward import open_log_to_root
from supervisor._loop import new_loop
from supervisor._node import REGISTRY
from supervisor._pool.servers import ServersProcess
from supervisor._pool.spec import Pool, PoolWorker
from supervisor._pool.tasks_process import TasksProcess
from supervisor._pool.worker import run_worker
from supervisor._process.command import run_command
from supervisor._process.control import ControlPipe
from supervisor._process.deathsig import adopt_orphans
from supervisor._process.launch import Plan, unblock_signals
from supervisor._process.task import run_task
from supervisor._registry import Registry
from supervisor._server.process import ServerProcess
from supervisor._spec import Child
from supervisor._supervisor import Supervisor

__all__ = ["child_main", "process_of", "raise_descriptor_limit"]

logger = logging.getLogger("supervisor")


def child_main(plan: Plan) -> int:
    """Be the child of the plan; return the exit status."""
    spec = plan.spec
    if plan.identity.path == REGISTRY:
        spec = Child(Registry, {"names": plan.state, "control": plan.control})
    if isinstance(spec, Supervisor):
        return _NestedSupervisor(plan).run()
    if isinstance(spec, PoolWorker) and plan.listener is not None:
        return run_worker(spec, plan.listener, plan.control)
    if spec.kind == "task":
        return run_task(spec, plan.control)
    if spec.kind == "command":
        return run_command(spec.target, plan.control)
    if plan.listener is None:
        raise RuntimeError("a server needs a listening socket")
    return ServerProcess(spec, plan.identity, plan.listener, plan.control).run()


def process_of(spec: Supervisor) -> type[SupervisorProcess]:
    """What a supervisor's process does, by the kind of its spec."""
    if isinstance(spec, Pool):
        return ServersProcess if spec.serves else TasksProcess
    return SupervisorProcess


class _NestedSupervisor:
    """A supervisor that is a child of another."""

    def __init__(self, plan: Plan) -> None:
        if plan.listener is None:
            raise RuntimeError("a supervisor needs a listening socket")
        self._control: ControlPipe = plan.control
        self._loop = new_loop()
        self._code = 0
        self._process = process_of(plan.spec)(
            plan.spec,
            plan.identity,
            plan.listener,
            self._loop,
            child_main,
            open_log=open_log_to_root,
            on_started=self._started,
            on_ended=self._ended,
            follows=bool(plan.state),
        )

    def run(self) -> int:
        adopt_orphans()
        raise_descriptor_limit()
        handle_stop_signals(self._loop, self._process)
        self._loop.add_reader(self._control.fileno(), self._controlled)
        unblock_signals()
        boot = self._loop.create_task(self._process.boot())
        self._loop.run_forever()
        if boot.done() and not boot.cancelled() and boot.exception() is not None:
            raise boot.exception() or RuntimeError
        self._process.close()
        self._loop.close()
        return self._code

    def _controlled(self) -> None:
        messages = self._control.receive()
        if messages is None:
            # Our supervisor is gone. Its children die with it, and ours with us.
            sys.exit(1)
        for kind, _ in messages:
            if kind == "stop":
                self._process.shut_down()

    def _started(self) -> None:
        self._control.send("ready")

    def _ended(self, ended: Ended) -> None:
        if ended.failure is not None:
            exit = ended.failure.exit
            path = list(ended.failure.path)
            self._control.send("failed", path, exit.error or str(exit), exit.traceback)
        else:
            self._control.send("exit", ended.exit)
        self._code = 0 if ended.exit.is_orderly else 1
        self._loop.stop()


def raise_descriptor_limit() -> None:
    """Allow this process as many descriptors as it may have: each child needs two of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
