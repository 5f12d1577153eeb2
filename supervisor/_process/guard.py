"""The guard of a tree: a process that sees to what is left when its root was killed.

The kernel kills a process with its parent (``deathsig``), and supervisors see to what a process of
theirs has started. Where the root itself is killed with SIGKILL, nobody is left to do that. So the
root forks a small process at its start, which sleeps until the root is gone, and then kills what is
left in the process groups of the tree. A root that ends in order has seen to all that itself, and
ends its guard first.

No signal ends the guard but SIGKILL. It has a session of its own, so that nothing that is meant for
the tree or its terminal reaches it, and no descriptor but one of the root (pidfd_open(2)). Its own
death is noticed by the root, which forks another.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import threading
import time

from supervisor._process.deathsig import set_process_name
from supervisor._process.groups import ProcessGroups
from supervisor._process.launch import close_others

__all__ = ["end_guard", "start_guard"]

# What was killed is gone within milliseconds; what it had just forked is found the next time.
_PATIENCE = 5.0
_PAUSE = 0.002


def start_guard(groups: ProcessGroups) -> int | None:
    """Fork the guard of this process, the root of a tree.

    Args:
        groups: the tree's process groups.

    Returns:
        Its pid; None where there can be none: this process has threads, with which a fork is not
        safe; or it is process 1, with which the kernel ends all others; or there are no pidfds.

    Raises:
        OSError: there are too many processes, or there is no memory.
    """
    if os.getpid() == 1 or threading.active_count() > 1 or not hasattr(os, "pidfd_open"):
        return None
    root, session = os.getpid(), os.getsid(0)
    # None of the root's handlers may run in the guard; there, they stay blocked.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if not pid:
            _be_guard(root, session, groups)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_guard(pid: int) -> None:
    """End it, and reap it."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _be_guard(root: int, session: int, groups: ProcessGroups) -> None:
    status = 1
    try:
        gc.disable()
        os.setsid()
        set_process_name("regrow guard")
        _wait_for_end(root)
        until = time.monotonic() + _PATIENCE
        while groups.kill(session) and time.monotonic() < until:
            time.sleep(_PAUSE)
        status = 0
    finally:
        # Nothing of what the root has prepared for its own end is to happen here.
        os._exit(status)


def _wait_for_end(root: int) -> None:
    descriptor = os.pidfd_open(root)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    close_others([descriptor])
    if os.getppid() != root:
        # It was gone before the descriptor was there, which may be of another process.
        return
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    poller.poll()
