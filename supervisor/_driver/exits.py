"""How a process ended, from what it said and what the kernel says. Pure."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Any

from supervisor._exit import Exit
from supervisor._spec import Kind

__all__ = ["LastWords", "exit_of"]


@dataclass(slots=True)
class LastWords:
    """What a process said over its control pipe, up to its end.

    Attributes:
        exit: its own account of its end.
        path: where a supervisor did not start, the ids below it down to the child to blame.
        operation: what a server was doing when it crashed, and with which arguments.
        stderr: the last lines that a command wrote there.
        oom: what speaks for it that the kernel killed it, out of memory.
    """

    exit: Exit | None = None
    path: tuple[str, ...] = ()
    operation: str | None = None
    arguments: str | None = None
    stderr: tuple[str, ...] = ()
    oom: str | None = None

    def hear(self, kind: str, args: list[Any]) -> None:
        """Take note of a message."""
        if kind == "failed":
            path, error, traceback = args
            self.path = tuple(path)
            self.exit = Exit("error", 1, error=error, traceback=traceback)
        elif kind == "exit":
            (self.exit,) = args
        elif kind == "crash":
            self.operation, self.arguments = args


def exit_of(status: os.waitid_result, kind: Kind, words: LastWords, *, stopped: bool) -> Exit:
    """Why a process ended.

    Args:
        status: as waitid(2) gives it.
        kind: of the child.
        words: what it said.
        stopped: whether it had been asked to stop.
    """
    if words.exit is not None:
        return words.exit
    if status.si_code in (os.CLD_KILLED, os.CLD_DUMPED):
        return _killed(status.si_status, kind, stopped=stopped)
    code = status.si_status
    if kind == "command" and stopped:
        return Exit("shutdown", code)
    if kind in ("task", "command") and code == 0:
        return Exit("normal", 0)
    what = f"exit status {code}"
    if kind in ("server", "supervisor"):
        what = f"the process ended by itself, with {what}"
    return Exit("error", code, error=what)


def _killed(number: int, kind: Kind, *, stopped: bool) -> Exit:
    try:
        name = signal.Signals(number)
    except ValueError:
        # A realtime signal, which has no name.
        return Exit("signal", error=f"signal {number}")
    if stopped and name == signal.SIGTERM and kind in ("command", "task"):
        return Exit("shutdown", signal=name)
    return Exit("signal", signal=name)
