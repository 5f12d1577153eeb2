"""The root of a tree: the node's lock, the registry, and the outermost supervisor."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from supervisor._context import Identity, current, enter, leave
from supervisor._core.messages import Ended, Report
from supervisor._driver.children import Running
from supervisor._driver.main import child_main, process_of, raise_descriptor_limit
from supervisor._driver.reports import log_report
from supervisor._driver.supervisor_process import SupervisorProcess
from supervisor._errors import StartError
from supervisor._exit import Exit
from supervisor._log.sink import LogSink
from supervisor._loop import new_loop
from supervisor._names import Entry, Names
from supervisor._node import REGISTRY, ROOT, Node, NodeLock, listen
from supervisor._process.deathsig import adopt_orphans
from supervisor._process.groups import share_groups
from supervisor._process.guard import end_guard, start_guard
from supervisor._process.launch import next_instance
from supervisor._registry import Registry
from supervisor._service_manager import ServiceManager, taken
from supervisor._spec import Child
from supervisor._supervisor import Supervisor

__all__ = ["Root", "run_tree"]

logger = logging.getLogger("supervisor")

# The registry is started again at once; but where it has died so many times in a row, each before
# it had lived for so long, that is waited with.
_REGISTRY_QUICK_DEATHS = 5
_REGISTRY_STABLE = 1.0
_REGISTRY_PAUSE = 0.2

# The guard does its work when all is over: a moment without it, after its own death, does no harm.
_GUARD_PAUSE = 0.1

_STDERR = 2

# What shells add to the number of the signal that has ended a program.
_STATUS_OF_SIGNAL = 128

# No token of the machine's.
_REGISTRY_TOKEN = -1


class Root:
    """The root process of a node.

    Args:
        spec: the tree.
        node: the node that it becomes.
        on_started: is called when every child is ready.
        on_stopping: is called when the tree begins to stop.

    Attributes:
        forced_by: the second signal to stop, if one came.
    """

    def __init__(
        self,
        spec: Supervisor,
        node: Node,
        on_started: Callable[[], None],
        on_stopping: Callable[[], None] = lambda: None,
    ) -> None:
        self._spec = spec
        self._node = node
        self._on_started = on_started
        self._on_stopping = on_stopping
        self._lock = NodeLock(node)
        self._loop = new_loop()
        self._logs = LogSink(self._loop)
        self._names = Names()
        if spec.name is not None:
            self._names.entries[spec.name] = Entry(ROOT, spec.kind)
        self._registry_since = 0.0
        self._registry_deaths = 0
        self._registry_listener: socket.socket | None = None
        self._groups = share_groups()
        self._guard: int | None = None
        self._ended: Ended | None = None
        self._signals = 0
        self._shows_faults = False
        self.forced_by: int | None = None
        self.process: SupervisorProcess | None = None

    @property
    def loop(self) -> Any:
        """The loop that it runs on."""
        return self._loop

    def run(self) -> Ended:
        """Run until the tree has ended.

        Raises:
            NodeRunning: the node runs already.
            StartError: its folder cannot be used.
            SupervisorError: the registry refused the tree's names.
        """
        self._lock.acquire()
        try:
            self._prepare()
            boot = self._loop.create_task(self._boot())
            self._loop.run_forever()
            if boot.done() and not boot.cancelled() and boot.exception() is not None:
                raise boot.exception() or RuntimeError
        finally:
            self._close()
        return self._ended or Ended(Exit("error", error="the root ended without a reason"))

    def stop(self) -> None:
        """Stop in order; a second time changes nothing."""
        if self.process is None or self.process.machine.phase == "new":
            self._finish(Ended(Exit("shutdown")))
        else:
            self.process.shut_down()

    def _signalled(self, number: int) -> None:
        """Stop in order; at a second signal, at once."""
        self._signals += 1
        if self._signals == 1 or self.process is None:
            self.stop()
        else:
            self.forced_by = number
            self.process.kill_all()

    def _prepare(self) -> None:
        self._show_faults()
        adopt_orphans()
        raise_descriptor_limit()
        identity = Identity(self._node, ROOT, self._spec.name, next_instance())
        enter(identity)
        self._registry_listener = listen(self._node.socket_path(REGISTRY))
        self.process = process_of(self._spec)(
            self._spec,
            identity,
            listen(self._node.socket_path(ROOT)),
            self._loop,
            child_main,
            open_log=self._logs.open,
            on_started=self._on_started,
            on_ended=self._finish,
        )
        self.process.on_stopping = self._on_stopping
        self.process.children.on_other = self._other_gone
        self.process.on_extra_gone = self._registry_gone
        self.process.on_extra_said = self._registry_said
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.add_signal_handler(number, self._signalled, number)
        if os.getpid() == 1:
            # Orphans come to process 1 from the beginning: some may have died before it listened.
            self._loop.call_soon(self.process.children.reap)

    def _show_faults(self) -> None:
        """Show the stacks at SIGSEGV and its like, on standard error; forks inherit that."""
        if not faulthandler.is_enabled():
            faulthandler.enable(file=_STDERR)
            self._shows_faults = True

    async def _boot(self) -> None:
        if self.process is None:
            raise RuntimeError("the root is not prepared")
        self._start_guard()
        self._start_registry()
        await self.process.boot()

    def _finish(self, ended: Ended) -> None:
        self._ended = ended
        self._loop.stop()

    def _close(self) -> None:
        if self.process is not None:
            registry = self.process.extras.get(REGISTRY[0])
            if registry is not None:
                self._end_registry(registry)
            self.process.close()
        if self._guard is not None:
            end_guard(self._guard)
        if self._registry_listener is not None:
            self._registry_listener.close()
        self._logs.close()
        self._loop.close()
        if self._shows_faults:
            faulthandler.disable()
        self._lock.release()

    # --- the guard -----------------------------------------------------------------------------

    def _start_guard(self) -> None:
        if self._groups is None or self._ended is not None:
            return
        try:
            self._guard = start_guard(self._groups)
        except OSError as error:
            logger.error("the guard could not be started: %s", error)
            self._loop.call_later(_GUARD_PAUSE, self._start_guard)

    def _other_gone(self, pid: int) -> None:
        """The guard, or an orphan that was adopted, is reaped."""
        if pid == self._guard:
            self._guard = None
            logger.warning("the guard (pid %d) was killed; another is started", pid)
            self._loop.call_later(_GUARD_PAUSE, self._start_guard)

    # --- the registry --------------------------------------------------------------------------

    def _start_registry(self) -> None:
        if self.process is None or self._ended is not None or self.process.is_forced:
            return
        self._registry_since = time.monotonic()
        try:
            running = self.process.children.start(
                _REGISTRY_TOKEN,
                Child(Registry, {"names": None, "control": None}, id="registry"),
                self._node,
                REGISTRY,
                listener=self._registry_listener,
                state=self._names,
            )
        except OSError as error:
            logger.error("the registry could not be started: %s", error)
            self._loop.call_later(_REGISTRY_PAUSE, self._start_registry)
            return
        self.process.extras[REGISTRY[0]] = running

    def _registry_gone(self, running: Running, exit: Exit) -> None:
        if self.process is None:
            return
        self.process.extras[REGISTRY[0]] = None
        self.process.ends.add(REGISTRY[0], running.process.instance, exit, served=running.ready)
        report = Report("child_ended", "registry", exit=exit)
        log_report(ROOT, report, running.process.pid, self.process.children.complete(running))
        if time.monotonic() - self._registry_since > _REGISTRY_STABLE:
            self._registry_deaths = 0
        self._registry_deaths += 1
        if self._registry_deaths <= _REGISTRY_QUICK_DEATHS:
            self._start_registry()
        else:
            self._loop.call_later(_REGISTRY_PAUSE, self._start_registry)

    def _registry_said(self, kind: str, args: list[Any]) -> None:
        """The registry has changed its table: so changes its copy."""
        if kind == "journal":
            operation, arguments = args
            self._names.apply(operation, arguments)

    def _end_registry(self, registry: Running) -> None:
        registry.process.signal(signal.SIGKILL)
        os.waitpid(registry.process.pid, 0)
        registry.process.control.close()


def run_tree(spec: Supervisor, node: str, run_dir: Any) -> int:
    """Become the root of a tree; see Supervisor.run."""
    before = current()
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
    handlers = {number: signal.getsignal(number) for number in numbers}
    try:
        with taken(os.environ) as settings:
            manager = ServiceManager(settings)
            place = Node.named(node, run_dir)

            def started() -> None:
                logger.info("node %r runs: every child is ready", place.name)
                manager.ready()

            root = Root(spec, place, started, manager.stopping)
            manager.keep_told(root.loop)
            ended = root.run()
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        leave(before)
    if ended.failure is not None:
        exit = ended.failure.exit
        raise StartError(ended.failure.path, exit.error or str(exit), exit.traceback)
    if root.forced_by is not None:
        return _STATUS_OF_SIGNAL + root.forced_by
    return 0 if ended.exit.is_orderly else 1
