"""A tree started by a program: its root is a fresh process, which lives as long as the program.

The root is spawned, not forked: a program has threads, locks and descriptors, of which a tree is to
know nothing. It watches this process by a pidfd (pidfd_open(2)), not by the death of a thread
(PR_SET_PDEATHSIG) nor by an end of file, which further children of this process might hold back.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import time
from collections import deque
from typing import Any, Self

from supervisor._client.caller import Caller
from supervisor._client.delivery import Target, deadline_after
from supervisor._context import Identity, forget_node, remember_node
from supervisor._driver.exits import LastWords, exit_of
from supervisor._errors import CallTimeout, SpecError, StartError
from supervisor._exit import Exit
from supervisor._monitor import Monitor
from supervisor._node import ROOT, Node
from supervisor._process.control import ControlPipe, Message
from supervisor._process.launch import Plan, next_instance, spawn, unblock_signals
from supervisor._refs import SupervisorRef
from supervisor._root import Root
from supervisor._supervisor import Supervisor
from supervisor._wire.codec import CodecError

__all__ = ["StartedTree", "embedded_main", "start_tree"]


class StartedTree(SupervisorRef):
    """The root supervisor of a tree that this process has started; leaving it stops the tree."""

    __slots__ = ("_owner", "_root")

    def __init__(self, target: Target, root: _RootProcess) -> None:
        super().__init__(target)
        self._root = root
        self._owner = os.getpid()

    def stop(self, timeout: float | None = None) -> None:
        """Stop the tree in reverse order, and wait until it is gone.

        Args:
            timeout: seconds to wait; None waits without limit. Nothing is killed at their end.

        Raises:
            TimeoutError: it was not gone in time.
        """
        if os.getpid() != self._owner:
            super().stop(timeout)
            return
        self._root.control.send("stop")
        self._root.wait(timeout)
        self._ended()

    def wait(self, timeout: float | None = None) -> Exit:
        """Why the tree ended, once it has.

        Args:
            timeout: seconds to wait; None waits without limit.

        Raises:
            TimeoutError: it had not ended by then.
        """
        if os.getpid() != self._owner:
            return super().wait(timeout)
        exit = self._root.wait(timeout)
        self._ended()
        return exit

    def monitor(self) -> Monitor:
        """Watch the root, until the tree has ended: by its process, which is this one's child."""
        if os.getpid() != self._owner:
            return super().monitor()
        return _RootMonitor(self._root, self._caller)

    def _ended(self) -> None:
        _roots.discard(self._root)
        forget_node(self.target.node)
        self._caller.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if os.getpid() == self._owner:
            self.stop()

    def __reduce__(self) -> tuple[Any, ...]:
        return SupervisorRef, (self.target,)


class _RootMonitor(Monitor):
    """Watches the root of a tree that this process has started."""

    def __init__(self, root: _RootProcess, caller: Caller) -> None:
        super().__init__(caller, None, None, None)
        self._root = root

    def wait(self, timeout: float | None = None) -> Exit:
        """Why it ended, once it has; as for any monitor."""
        return self._root.wait(timeout)


class _RootProcess:
    """The root's process, as the one that started it sees it."""

    def __init__(self, pid: int, control: ControlPipe) -> None:
        self.pid = pid
        self.control = control
        # A signal's handler may wait, or stop the tree, in the thread that waits already.
        self._lock = threading.RLock()
        self._waits = 0
        self._owner = os.getpid()
        self._messages: deque[Message] = deque()
        self._words = LastWords()
        self._exit: Exit | None = None

    def next(self, deadline: float | None) -> Message | None:
        """The next message of the root; None when it has ended.

        Raises:
            TimeoutError: neither by the deadline.
        """
        while not self._messages:
            messages = self.control.receive()
            if messages is None:
                return None
            self._messages.extend(messages)
            if not messages:
                _wait_readable(self.control.fileno(), deadline)
        return self._messages.popleft()

    def wait(self, timeout: float | None) -> Exit:
        """How it ended, once it has.

        Raises:
            TimeoutError: it had not by then.
        """
        deadline = deadline_after(timeout)
        while not self._lock.acquire(timeout=0.05 if deadline is not None else 3600.0):
            if deadline is not None and time.monotonic() >= deadline:
                raise CallTimeout("the tree has not ended")
        self._waits += 1
        try:
            while self._exit is None:
                message = self.next(deadline)
                if message is not None:
                    self._words.hear(*message)
                elif self._exit is None:
                    self._exit = self._reap()
            return self._exit
        finally:
            self._waits -= 1
            if self._exit is not None and not self._waits:
                # Not before: the wait that was interrupted looks at it once more.
                self.control.close()
            self._lock.release()

    def _reap(self) -> Exit:
        try:
            status = os.waitid(os.P_PID, self.pid, os.WEXITED)
        except ChildProcessError:
            # Somebody waits for every child of this process, and has seen to this one.
            status = None
        if self._words.exit is not None:
            return self._words.exit
        if status is None:
            return Exit("error", error="another part of this process has reaped the root")
        return exit_of(status, "supervisor", self._words, stopped=False)

    def is_running(self) -> bool:
        """Whether it has not ended yet, or not been reaped; never waits."""
        if self._exit is not None:
            return False
        try:
            if os.getpid() == self._owner:
                return os.waitid(os.P_PID, self.pid, _LOOK) is None
            os.kill(self.pid, 0)
        except (ChildProcessError, ProcessLookupError):
            return False
        return True


# poll(2) takes so many milliseconds as fit an int; who waits longer waits again.
_LONGEST_WAIT = 86400.0

# What waitid(2) is to do: say whether the process has ended, and leave it to be reaped later.
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT

# A tree lives as long as this process, whether somebody refers to it or not: letting go of its
# control pipe would end it. What has ended is taken out when the next one starts.
_roots: set[_RootProcess] = set()


def _reap_forgotten() -> None:
    for root in tuple(_roots):
        if not root.is_running():
            _roots.discard(root)
            with contextlib.suppress(CallTimeout):
                root.wait(0)


def _wait_readable(descriptor: int, deadline: float | None) -> None:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    remaining = _LONGEST_WAIT if deadline is None else max(0.0, deadline - time.monotonic())
    if not poller.poll(min(remaining, _LONGEST_WAIT) * 1000) and remaining < _LONGEST_WAIT:
        raise CallTimeout("the tree has not ended")


def start_tree(
    spec: Supervisor, node: str, run_dir: Any, *, is_private: bool = False
) -> StartedTree:
    """Start a tree; see Supervisor.start.

    One that is private is not found by those who name no node.
    """
    place = Node.named(node, run_dir)
    _reap_forgotten()
    ours, theirs = ControlPipe.pair()
    identity = Identity(place, ROOT, spec.name, next_instance())
    try:
        pid = spawn(Plan(spec, identity, os.getpid(), None, theirs), embedded_main)
    except CodecError as error:
        ours.close()
        raise SpecError(f"the tree {error}") from error
    except OSError as error:
        ours.close()
        raise StartError((), f"no process could be started: {error}") from error
    finally:
        theirs.close()
    root = _RootProcess(pid, ours)
    try:
        _await_start(root)
    except BaseException:
        # Also at a KeyboardInterrupt: who has no ref of the tree could never stop it.
        root.control.send("stop")
        root.wait(None)
        raise
    _roots.add(root)
    if not is_private:
        remember_node(place, root.is_running)
    return StartedTree(Target(place, path=ROOT), root)


def _await_start(root: _RootProcess) -> None:
    message = root.next(None)
    if message is None:
        raise StartError((), f"the root process ended at once: {root.wait(None)}")
    kind, args = message
    if kind == "ready":
        return
    if kind == "refused" and isinstance(args[0], BaseException):
        raise args[0]
    if kind == "exit":
        raise StartError((), f"the tree was stopped while it was starting: {args[0]}")
    path, error, traceback = args
    raise StartError(tuple(path), error, traceback)


# --- in the root process -----------------------------------------------------------------------


def embedded_main(plan: Plan) -> int:
    """Be the root of a tree that another process has started."""
    unblock_signals()
    control = plan.control

    def started() -> None:
        control.send("ready")

    root = Root(plan.spec, plan.identity.node, started)
    root.loop.add_reader(control.fileno(), _controlled, root, control)
    watch = _watch_parent(root, plan.parent)
    try:
        ended = root.run()
    except Exception as error:  # noqa: BLE001  it is raised again where the tree was started
        control.send("refused", error)
        return 1
    finally:
        if watch >= 0:
            os.close(watch)
    if ended.failure is not None:
        exit = ended.failure.exit
        control.send("failed", list(ended.failure.path), exit.error or str(exit), exit.traceback)
        return 1
    control.send("exit", ended.exit)
    return 0 if ended.exit.is_orderly else 1


def _controlled(root: Root, control: ControlPipe) -> None:
    messages = control.receive()
    if messages is None:
        root.loop.remove_reader(control.fileno())
        root.stop()
        return
    for kind, _ in messages:
        if kind == "stop":
            root.stop()


def _watch_parent(root: Root, parent: int) -> int:
    """Stop when the process that started the tree is gone; return the descriptor to close."""
    if not hasattr(os, "pidfd_open"):
        return -1
    try:
        descriptor = os.pidfd_open(parent)
    except ProcessLookupError:
        sys.exit(1)
    if os.getppid() != parent:
        # It is gone, and the pid may already be another's.
        sys.exit(1)
    root.loop.add_reader(descriptor, _parent_gone, root, descriptor)
    return descriptor


def _parent_gone(root: Root, descriptor: int) -> None:
    root.loop.remove_reader(descriptor)
    root.stop()
