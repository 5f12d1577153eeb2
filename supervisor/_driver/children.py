"""The processes of a supervisor's children: started, heard, signalled, reaped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from supervisor._context import Identity
from supervisor._driver.exits import LastWords, exit_of
from supervisor._driver.oom import OutOfMemoryKills
from supervisor._driver.output import CommandOutput
from supervisor._driver.standbys import Standbys
from supervisor._exit import Exit
from supervisor._loop import Reactor
from supervisor._node import Node, ProcessPath
from supervisor._process.control import ControlPipe, Message
from supervisor._process.groups import forget_group, note_group
from supervisor._process.launch import Main, Plan, Process, launch, next_instance
from supervisor._server.operations import prepare
from supervisor._spec import Child, Kind
from supervisor._supervisor import ChildSpec

__all__ = ["Children", "Running"]

# A process that has said that it ends, but does not, is given these seconds where its spec sets no
# limit: something in it keeps it alive, and nobody can be served by it any more.
_LAST_WORDS_PATIENCE = 10.0


@dataclass(slots=True, eq=False)
class Running:
    """A child's process.

    Attributes:
        token: the machine's, for this run.
        stopped: whether it was asked to stop.
        killed: whether we have sent it SIGKILL.
        condemned: why it has to go, if it has.
        was_killed_by_another: whether somebody else has, and it is not known who.
        last_call: the timer that kills it, where it has said that it ends.
    """

    token: int
    spec: ChildSpec
    process: Process
    ready: bool = False
    stopped: bool = False
    killed: bool = False
    condemned: Literal["watchdog", "max_rss"] | None = None
    was_killed_by_another: bool = False
    words: LastWords = field(default_factory=LastWords)
    output: CommandOutput | None = None
    last_call: asyncio.TimerHandle | None = None

    @property
    def kind(self) -> Kind:
        """Of the child."""
        return self.spec.kind


class Children:
    """The processes that this supervisor has started and not yet reaped.

    Args:
        loop: the loop to hear them on.
        main: what a child's process does.
        standbys: become the children that they can become.
        open_log: gives a new socket to the root, for what the process at a path logs.
        on_ready: is called with a child that has acknowledged its start.
        on_exit: is called with one that is gone, and why.
        on_message: is called with any other message.

    Attributes:
        on_other: is called with the pid of a process that was reaped, but is no child of ours.
    """

    def __init__(
        self,
        loop: Reactor,
        main: Main,
        standbys: Standbys,
        *,
        open_log: Callable[[ProcessPath], socket.socket | None],
        on_ready: Callable[[Running], None],
        on_exit: Callable[[Running, Exit], None],
        on_message: Callable[[Running, str, list[object]], None],
    ) -> None:
        self._loop = loop
        self._main = main
        self._standbys = standbys
        self._open_log = open_log
        self._out_of_memory = OutOfMemoryKills()
        self._on_ready = on_ready
        self._on_exit = on_exit
        self._on_message = on_message
        self.on_other: Callable[[int], None] = lambda _: None
        self._by_pid: dict[int, Running] = {}
        self._by_token: dict[int, Running] = {}
        self._starting: set[Running] = set()
        loop.add_signal_handler(signal.SIGCHLD, self.reap)

    def __len__(self) -> int:
        return len(self._by_pid)

    def __iter__(self) -> Iterator[Running]:
        return iter(tuple(self._by_pid.values()))

    def get(self, token: int | None) -> Running | None:
        """The process of that token, unless it is reaped."""
        return None if token is None else self._by_token.get(token)

    def start(
        self,
        token: int,
        spec: ChildSpec,
        node: Node,
        path: ProcessPath,
        *,
        listener: socket.socket | None,
        state: object = None,
    ) -> Running:
        """Start a process.

        Raises:
            OSError: it cannot be started.
            CodecError: its spec cannot be carried to a spawned process.
        """
        ours, theirs = ControlPipe.pair()
        serves = spec.kind == "server"
        if isinstance(spec, Child) and serves:
            prepare(spec.target)
        identity = Identity(node, path, spec.name, next_instance(), serves)
        plan = Plan(spec, identity, os.getpid(), listener, theirs, state)
        method = spec.start_method if isinstance(spec, Child) else None
        output = None
        try:
            if spec.kind == "command":
                output = CommandOutput(self._loop, path)
                plan.output = output.descriptors
            else:
                plan.log = self._open_log(path)
            process = self._standbys.become(plan)
            if process is None:
                process = launch(plan, self._main, ours, method)
            else:
                ours.close()
        except BaseException:
            ours.close()
            if output is not None:
                output.abandon()
            raise
        finally:
            theirs.close()
            if plan.log is not None:
                plan.log.close()
        if output is not None:
            output.started(process.pid)
        note_group(process.pid)
        running = Running(token, spec, process, output=output)
        self._by_pid[process.pid] = self._by_token[token] = running
        self._starting.add(running)
        self._loop.add_reader(process.control.fileno(), self._hear, running)
        return running

    def stop(self, running: Running) -> None:
        """Ask it to stop: over the control pipe where it listens to that, else with SIGTERM."""
        running.stopped = True
        if running.condemned == "watchdog":
            # It does not listen; and one that was stopped by a signal has to go on for its end.
            running.process.signal(signal.SIGTERM)
            running.process.signal(signal.SIGCONT)
        elif running.ready and running.kind in ("server", "supervisor"):
            running.process.control.send("stop")
        elif running.kind == "command":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.process.pid, signal.SIGTERM)
        else:
            running.process.signal(signal.SIGTERM)

    def kill(self, running: Running) -> None:
        """SIGKILL, to the process and what it started in its group."""
        running.killed = True
        _kill_group(running.process.pid)
        running.process.signal(signal.SIGKILL)

    # --- what they say -------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Hear those that are starting: one may have served its first caller before we looked."""
        for running in tuple(self._starting):
            self._hear(running)

    def _hear(self, running: Running) -> None:
        messages = running.process.control.receive()
        if messages is None:
            self._loop.remove_reader(running.process.control.fileno())
            if running.kind == "command" and not running.words.exit:
                # It was closed by the exec: the program runs.
                self._become_ready(running)
            return
        for message in messages:
            self._take(running, message)

    def _take(self, running: Running, message: Message) -> None:
        kind, args = message
        if kind == "ready":
            self._become_ready(running)
        elif kind in ("exit", "failed", "crash"):
            running.words.hear(kind, args)
            if kind != "crash":
                self._expect_end(running)
        elif kind != "taken":
            self._on_message(running, kind, args)

    def _become_ready(self, running: Running) -> None:
        if not running.ready:
            running.ready = True
            self._starting.discard(running)
            self._on_ready(running)
            if not self._starting:
                self._standbys.prepare()
            if running.stopped:
                # The SIGTERM may have come when it had just stopped listening for it.
                self.stop(running)

    def _expect_end(self, running: Running) -> None:
        limit = running.spec.shutdown
        seconds = limit if isinstance(limit, (int, float)) else _LAST_WORDS_PATIENCE
        if running.last_call is None:
            running.last_call = self._loop.call_later(seconds, self.kill, running)

    # --- their ends ----------------------------------------------------------------------------

    def reap(self) -> None:
        """Reap whoever is gone: children, and the descendants of children that we adopted.

        SIGCHLD is merged while it is pending (signal(7)), so one of them may stand for many.
        """
        while True:
            try:
                status = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if status is None:
                return
            # Before the pid is reaped, and may become another's, along with its group's number.
            _kill_group_of_dead(status.si_pid)
            forget_group(status.si_pid)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(status.si_pid, 0)
            running = self._by_pid.pop(status.si_pid, None)
            if running is not None:
                self._gone(running, status)
            elif not self._standbys.has_ended(status.si_pid):
                self.on_other(status.si_pid)

    def _gone(self, running: Running, status: os.waitid_result) -> None:
        del self._by_token[running.token]
        self._starting.discard(running)
        control = running.process.control
        for message in control.drain():
            self._take(running, message)
        if running.last_call is not None:
            # Its pid may be another's by then; and it holds what the process had.
            running.last_call.cancel()
        self._loop.remove_reader(control.fileno())
        control.close()
        if running.kind == "command" and not running.ready and running.words.exit is None:
            # It was so short that its end was noticed before its beginning.
            running.ready = True
            self._on_ready(running)
        if running.output is not None:
            running.output.finish()
            running.words.stderr = running.output.last_lines
        exit = exit_of(status, running.kind, running.words, stopped=running.stopped)
        running.was_killed_by_another = exit.signal == signal.SIGKILL and not running.killed
        self._on_exit(running, exit)
        if not self._by_pid:
            self._standbys.reconsider()

    def complete(self, running: Running) -> LastWords:
        """What it said, and what else is known of its end; to find that out takes a moment."""
        if running.was_killed_by_another:
            running.was_killed_by_another = False
            running.words.oom = self._out_of_memory.evidence()
        return running.words


def _kill_group_of_dead(pid: int) -> None:
    """Kill what a dead process left in its group, unless it made a session of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid and os.getsid(pid) == os.getsid(0) and pid != os.getpid():
            os.killpg(pid, signal.SIGKILL)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
