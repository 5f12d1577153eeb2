"""The life of a command: the new process becomes an external program."""

from __future__ import annotations

import os
import signal

from supervisor._process.control import ControlPipe
from supervisor._process.launch import unblock_signals
from supervisor._spec import Command

__all__ = ["run_command"]


def run_command(command: Command, control: ControlPipe) -> int:
    """Become the program; return only if it cannot be run.

    The control pipe is closed by the exec (open(2), O_CLOEXEC): its end of file, while the process
    lives, is how the supervisor learns that the program runs.
    """
    # What the interpreter ignores, and Ctrl-C, are the program's own business.
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    unblock_signals()
    try:
        if command.cwd is not None:
            os.chdir(command.cwd)
        environment = os.environ if command.env is None else command.env
        os.execvpe(command.argv[0], command.argv, environment)  # noqa: S606  no shell is wanted
    except OSError as error:
        control.send("failed", [], f"{command.argv[0]!r} cannot be run: {error}", None)
    return 127
