"""A server's beats: they tell the supervisor, where it watches, that the loop still turns."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import tempfile

from supervisor._loop import Reactor
from supervisor._process.control import ControlPipe

__all__ = ["BEATS", "DUMP_SIGNAL", "Heart"]

# How many beats fit into the time that a watchdog allows: one that comes late is not the last.
BEATS = 4

# As of old, of a Java or a Go program: at SIGQUIT it shows the stacks of its threads.
DUMP_SIGNAL = signal.SIGQUIT


class Heart:
    """Beats for as long as the loop turns.

    Args:
        loop: the server's.
        control: the pipe to the supervisor.
        watchdog: the seconds within which the loop must turn.
    """

    def __init__(self, loop: Reactor, control: ControlPipe, watchdog: float) -> None:
        self._loop = loop
        self._control = control
        self._interval = watchdog / BEATS
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Hand over the file that a dump of the stacks goes to, and begin to beat.

        The dump is written by a signal handler in C: it needs neither the loop nor the interpreter.
        """
        stacks = _anonymous_file()
        faulthandler.register(DUMP_SIGNAL, file=stacks, all_threads=True)
        self._control.send_descriptors("watched", (), [stacks])
        self._timer = self._loop.call_later(self._interval, self._beat)

    def stop(self) -> None:
        """The loop is to turn no more: what follows may take its time."""
        if self._timer is not None:
            self._timer.cancel()
        self._control.send("ending")

    def _beat(self) -> None:
        self._control.send_if_room("beat")
        self._timer = self._loop.call_later(self._interval, self._beat)


def _anonymous_file() -> int:
    """A file without a name; it stays open as long as the process lives."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("regrow-stacks")
    descriptor, path = tempfile.mkstemp(prefix="regrow-stacks-")
    os.unlink(path)
    return descriptor
