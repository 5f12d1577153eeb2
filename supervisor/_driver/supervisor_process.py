"""A supervisor's process: events go to the machine, and its actions are carried out here."""

from __future__ import annotations

import gc
import logging
import math
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal, assert_never

from supervisor._context import Identity
from supervisor._core.machine import Machine
from supervisor._core.messages import (
    Action,
    Boot,
    Cancel,
    ChildExited,
    ChildReady,
    Close,
    Condemn,
    Ended,
    Event,
    Kill,
    Open,
    Refuse,
    Reply,
    Report,
    Schedule,
    Shutdown,
    Spawn,
    Started,
    Terminate,
    Timer,
    TimerFired,
)
from supervisor._driver.administration import Administration
from supervisor._driver.children import Children, Running
from supervisor._driver.ends import Ends
from supervisor._driver.exits import LastWords
from supervisor._driver.memory import MemoryGuard
from supervisor._driver.news import News
from supervisor._driver.reports import ReportQueue, log_report
from supervisor._driver.standbys import Standbys
from supervisor._driver.timers import Timers
from supervisor._driver.watchdog import Watchdog
from supervisor._errors import NameTaken
from supervisor._exit import Exit
from supervisor._loop import Loop
from supervisor._node import ProcessPath, listen
from supervisor._process.descendants import end_descendants, kill_descendants
from supervisor._process.launch import Main
from supervisor._server.endpoint import Endpoint
from supervisor._supervisor import ChildSpec, Supervisor
from supervisor._wire.codec import CodecError

__all__ = ["SupervisorProcess", "handle_stop_signals"]

logger = logging.getLogger("supervisor")


class SupervisorProcess:
    """Runs one supervisor on a loop.

    Args:
        spec: the supervisor.
        identity: who this process is.
        listener: its listening socket.
        loop: the loop to run on; it is stopped when all is over.
        main: what a child's process does.
        open_log: gives a new socket to the root, for what the process at a path logs.
        on_started: is called when every child is ready.
        on_ended: is called when every child is gone, with the reason, or the failure to start.
        follows: whether it takes the place of one whose children have run before.

    Attributes:
        is_forced: whether everybody was killed.
        on_stopping: is called when the supervisor begins to stop, for whatever reason.
        extras: processes that are not the machine's business, by id; None for one that is about
            to be started again. Their tokens are below 0.
    """

    def __init__(
        self,
        spec: Supervisor,
        identity: Identity,
        listener: socket.socket,
        loop: Loop,
        main: Main,
        *,
        open_log: Callable[[ProcessPath], socket.socket | None],
        on_started: Callable[[], None],
        on_ended: Callable[[Ended], None],
        follows: bool = False,
    ) -> None:
        self._follows = follows
        self.spec = spec
        self.identity = identity
        self.loop = loop
        self.machine = Machine(spec)
        self.ends = Ends(loop)
        self.news = News(loop, identity.node)
        self._reports = ReportQueue(loop)
        self._standbys = Standbys(
            loop,
            identity.node,
            identity.path,
            main,
            lambda: [row.spec for row in self.machine.rows() if row.status != "stopped"],
        )
        self.children = Children(
            loop,
            main,
            self._standbys,
            open_log=open_log,
            on_ready=self._child_ready,
            on_exit=self.child_gone,
            on_message=self.child_said,
        )
        self.extras: dict[str, Running | None] = {}
        self.on_stopping: Callable[[], None] = lambda: None
        self.is_forced = False
        self.on_extra_gone: Callable[[Running, Exit], None] | None = None
        self.on_extra_said: Callable[[str, list[Any]], None] | None = None
        self._timers = Timers(loop, self._fire)
        self._watchdog = Watchdog(loop, identity.path, partial(self._condemn, "watchdog"))
        self._memory = MemoryGuard(
            loop, identity.path, self.children, partial(self._condemn, "max_rss")
        )
        self._listeners: dict[str, socket.socket] = {}
        # When they were opened, on the monotonic clock.
        self._opened: dict[str, float] = {}
        self._last_gone: Running | None = None
        self._on_started = on_started
        self._on_ended = on_ended
        self._administration = Administration(self)
        self._endpoint = Endpoint(loop, listener, self._administration.receive)
        self._endpoint.on_closed = self._administration.closed

    # --- life ----------------------------------------------------------------------------------

    async def boot(self) -> None:
        """Tell the registry of the children, and start them."""
        # What is here by now stays: a collection in a child must not copy all of its pages.
        gc.collect()
        gc.freeze()
        self._endpoint.open()
        if self.identity.path:
            self.identity.node.remove_sockets_below(self.identity.path)
        children = [[child.id, child.name, child.kind] for child in self.spec.children]
        try:
            await self.news.tell("publish", list(self.identity.path), children)
        except NameTaken as error:
            self._end(Ended(Exit("error", error=repr(error))))
            return
        self.feed(Boot())

    def shut_down(self) -> None:
        """Stop in order."""
        self.feed(Shutdown())

    def kill_all(self) -> None:
        """Stop at once: every process below this one is killed, the children's children too."""
        self.is_forced = True
        self._reports.flush()
        self._standbys.close()
        for running in self.children:
            self.children.kill(running)
        kill_descendants()

    def feed(self, event: Event) -> None:
        """Let the machine decide, and do what it says."""
        was_stopping = self._is_stopping
        actions = self.machine.handle(event, self.loop.time())
        spawns = any(isinstance(action, Spawn) for action in actions)
        for action in actions:
            if isinstance(action, Report) and spawns:
                self._reports.add(self._report(action))
            else:
                self._perform(action)
        if self._is_stopping and not was_stopping:
            self._standbys.close()
            self.on_stopping()

    @property
    def _is_stopping(self) -> bool:
        return self.machine.phase in ("stopping", "ended")

    def _fire(self, timer: Timer) -> None:
        self.feed(TimerFired(timer))

    def _end(self, ended: Ended) -> None:
        self._administration.ended(ended.exit)
        self.loop.create_task(self._close(ended))

    async def _close(self, ended: Ended) -> None:
        """Answer who still waits, and be done."""
        await self._administration.drain()
        self._on_ended(ended)

    def close(self) -> None:
        """Let go of the sockets."""
        self._reports.flush()
        self.news.close()
        self._memory.close()
        for id in tuple(self._listeners):
            self._close_listener(id)
        self._endpoint.close()
        self._standbys.close()
        self._standbys.wait()
        if self.is_forced:
            # What was killed may have left something behind, and have come to us with that.
            end_descendants()

    # --- actions -------------------------------------------------------------------------------

    def _perform(self, action: Action) -> None:  # noqa: C901, PLR0912  a case for each action
        match action:
            case Open(spec):
                self._open(spec)
            case Close(id, forgotten):
                self._withdraw(id, forgotten=forgotten)
            case Spawn(token, spec):
                self._spawn(token, spec)
            case Terminate(token):
                self._with(token, self.children.stop)
            case Kill(token):
                self._with(token, self.children.kill)
            case Schedule(timer, seconds):
                self._timers.schedule(timer, seconds)
            case Cancel(timer):
                self._timers.cancel(timer)
            case Reply(request, value):
                self._administration.answer(request, value)
            case Refuse(request, error):
                self._administration.refuse(request, error)
            case Report():
                self._reports.flush()
                self._report(action)()
            case Started():
                self._on_started()
            case Ended():
                self._end(action)
            case _:
                assert_never(action)

    def _with(self, token: int, do: Callable[[Running], None]) -> None:
        running = self.children.get(token)
        if running is not None:
            do(running)

    def _open(self, spec: ChildSpec) -> None:
        if spec.kind in ("server", "supervisor"):
            path = self.identity.node.socket_path((*self.identity.path, spec.id))
            try:
                self._listeners[spec.id] = listen(path)
                self._opened[spec.id] = self.loop.time()
            except OSError as error:
                # The Spawn that follows finds no socket, and says so.
                logger.error("no socket for %r: %s", spec.id, error)
        if self.machine.phase != "booting":
            self.news.tell("resume", [*self.identity.path, spec.id])

    def _withdraw(self, id: str, *, forgotten: bool) -> None:
        self._close_listener(id)
        # While the supervisor itself is ending, its own supervisor knows what becomes of the names.
        if self.machine.phase in ("booting", "running"):
            self.news.tell("forget" if forgotten else "stop", [*self.identity.path, id])

    def _close_listener(self, id: str) -> None:
        listener = self._listeners.pop(id, None)
        if listener is not None:
            listener.close()
            del self._opened[id]
            try:
                os.unlink(self.identity.node.socket_path((*self.identity.path, id)))
            except FileNotFoundError:
                logger.debug("the socket of %r was gone already", id)

    def socket_for(self, spec: ChildSpec) -> socket.socket | None:
        """The socket that the process of this child is born with, beside its control pipe."""
        return self._listeners.get(spec.id)

    def _spawn(self, token: int, spec: ChildSpec) -> None:
        listener = self.socket_for(spec)
        path = (*self.identity.path, spec.id)
        try:
            if listener is None and spec.kind in ("server", "supervisor"):
                raise OSError("it has no listening socket")
            self._memory.watch(spec)
            self.children.start(
                token,
                spec,
                self.identity.node,
                path,
                listener=listener,
                state=self.has_run_before(spec.id),
            )
        except (OSError, CodecError) as error:
            exit = Exit("error", error=f"no process could be started: {error}")
            self.loop.call_soon(self.feed, ChildExited(token, exit))

    def was_open(self, id: str, moment: float) -> bool:
        """Whether a connection of that time leads to this child as a child of this supervisor.

        Otherwise it was one of the supervisor that we follow: it died with that.
        """
        return id in self.extras or moment >= self._opened.get(id, math.inf)

    def has_run_before(self, id: str) -> bool:
        """Whether a run of this child was ready once: of ours, or of the supervisor we follow."""
        return self.is_coming_back or self.ends.has_served(id)

    @property
    def is_coming_back(self) -> bool:
        """Whether it starts, in the place of one that was killed, what that one had started."""
        return self._follows and self.machine.phase in ("new", "booting")

    def _report(self, report: Report) -> Callable[[], None]:
        """What writes the report."""
        running = self.children.get(report.token) or self._last_gone
        if running is None or running.token != report.token:
            return partial(log_report, self.identity.path, report, None, LastWords())
        return partial(self._log, report, running)

    def _log(self, report: Report, running: Running) -> None:
        log_report(
            self.identity.path,
            report,
            running.process.pid,
            self.children.complete(running),
            of_supervisor=running.kind == "supervisor",
        )

    # --- events --------------------------------------------------------------------------------

    def _child_ready(self, running: Running) -> None:
        self.feed(ChildReady(running.token))

    def _condemn(self, reason: Literal["watchdog", "max_rss"], running: Running) -> None:
        actions = self.machine.handle(Condemn(running.token, reason), self.loop.time())
        if actions:
            running.condemned = reason
        for action in actions:
            self._perform(action)

    def child_gone(self, running: Running, exit: Exit) -> None:
        """A child's process is reaped."""
        self._watchdog.forget(running)
        if running.condemned is not None:
            exit = replace(exit, reason=running.condemned)
        if running.token < 0:
            if self.on_extra_gone is not None:
                self.on_extra_gone(running, exit)
            return
        self.ends.add(running.spec.id, running.process.instance, exit, served=running.ready)
        self._last_gone = running
        died_at = time.monotonic()
        self.feed(ChildExited(running.token, exit, running.words.path))
        # Behind the restart: it can wait, and says itself what it is about.
        if running.ready and self.machine.phase in ("booting", "running"):
            self.news.tell("died", [*self.identity.path, running.spec.id], died_at)

    def child_said(self, running: Running, kind: str, args: list[Any]) -> None:
        """A child has sent a message that is not about its life."""
        if self._watchdog.hear(running, kind, args):
            return
        if running.token < 0 and self.on_extra_said is not None:
            self.on_extra_said(kind, args)
            return
        logger.warning("child %r sent an unknown message: %s %.100r", running.spec.id, kind, args)


def handle_stop_signals(loop: Loop, process: SupervisorProcess) -> None:
    """Stop in order at SIGTERM; at a second one, at once."""
    signals: list[int] = []

    def stop() -> None:
        signals.append(signal.SIGTERM)
        if len(signals) == 1:
            process.shut_down()
        else:
            process.kill_all()

    loop.add_signal_handler(signal.SIGTERM, stop)
