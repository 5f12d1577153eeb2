"""The life of a task: a function that runs until it returns."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
import threading
from typing import Any, NoReturn

from supervisor._exit import Exit
from supervisor._process.control import ControlPipe
from supervisor._process.launch import unblock_signals
from supervisor._spec import Child
from supervisor._traceback import format_error

__all__ = ["run_task"]


class _Stopped(SystemExit):
    """SIGTERM came."""


def run_task(child: Child, control: ControlPipe) -> int:
    """Run the function; return the exit status. It is stopped by SystemExit in this thread."""
    signal.signal(signal.SIGTERM, _stop)
    if sys.platform != "linux":
        threading.Thread(target=_end_with_supervisor, args=(control,), daemon=True).start()
    try:
        unblock_signals()
        control.send("ready")
        result: Any = child.target(*child.args, **child.kwargs)
        if inspect.iscoroutine(result):
            asyncio.run(result)
        exit = Exit("normal", 0)
    except _Stopped:
        exit = Exit("shutdown", 0)
    except SystemExit as error:
        exit = _exit_of(error)
    except BaseException as error:  # noqa: BLE001  whatever a function raises
        exit = Exit("error", 1, error=repr(error), traceback=format_error(error))
    # From here on a stop changes nothing any more.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    control.send("exit", exit)
    return exit.code or 0


def _stop(*_: object) -> NoReturn:
    raise _Stopped


def _exit_of(error: SystemExit) -> Exit:
    """As the interpreter itself reads it: a number is the status, and all else is a message."""
    if error.code is None or error.code == 0:
        return Exit("normal", 0)
    if isinstance(error.code, int):
        return Exit("error", error.code, error=repr(error))
    return Exit("error", 1, error=str(error.code))


def _end_with_supervisor(control: ControlPipe) -> None:
    """Where the kernel does not kill a child with its parent, its end of file does."""
    control.socket.setblocking(True)
    while control.socket.recv(4096):
        continue
    os._exit(1)
