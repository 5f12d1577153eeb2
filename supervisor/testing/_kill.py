"""Killing a process, and knowing that it is gone."""

from __future__ import annotations

import os
import select
import signal as signals

from supervisor._embed import StartedTree
from supervisor._exit import Exit
from supervisor._refs import Ref
from supervisor.testing._waiting import PATIENCE

__all__ = ["assert_kill"]


def assert_kill(
    process: Ref | int, signal: int = signals.SIGKILL, *, timeout: float = PATIENCE
) -> Exit:
    """Signal a process, and wait until it is gone.

    Args:
        process: a ref, of which the process that runs now is meant, or a pid.
        signal: which.
        timeout: seconds that it may take.

    Returns:
        How it ended. Of a pid that is no child of this process, nobody can tell: then it is the
        signal that it was sent.

    Raises:
        AssertionError: there is no such process, or it is not gone in time.
    """
    return (
        _kill_pid(process, signal, timeout)
        if isinstance(process, int)
        else _kill(process, signal, timeout)
    )


def _kill(ref: Ref, signal: int, timeout: float) -> Exit:
    pid = ref.pid
    if pid is None:
        raise AssertionError(f"{ref} does not run")
    wait = ref.wait if isinstance(ref, StartedTree) else ref.monitor().wait
    os.kill(pid, signal)
    try:
        return wait(timeout)
    except TimeoutError:
        raise AssertionError(f"{ref} has survived signal {signal} for {timeout} s") from None


def _kill_pid(pid: int, signal: int, timeout: float) -> Exit:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        raise AssertionError(f"there is no process {pid}") from None
    try:
        signals.pidfd_send_signal(descriptor, signal)
        if not select.select([descriptor], [], [], timeout)[0]:
            raise AssertionError(f"process {pid} has survived signal {signal} for {timeout} s")
        return _exit_of(pid, signal)
    finally:
        os.close(descriptor)


def _exit_of(pid: int, signal: int) -> Exit:
    """How it ended; who started it may still reap it."""
    try:
        status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:
        status = None
    if status is None:
        return Exit("signal", signal=signals.Signals(signal))
    if status.si_code == os.CLD_EXITED:
        code = status.si_status
        return Exit("normal", 0) if code == 0 else Exit("error", code, error=f"exit status {code}")
    return Exit("signal", signal=signals.Signals(status.si_status))
