"""The service manager that has started this process, if one has: what it is told of the tree.

The protocol is that of sd_notify(3): datagrams to the socket that ``$NOTIFY_SOCKET`` names.
``READY=1`` when every child is ready, ``STOPPING=1`` when the tree begins to stop, for whatever
reason, and, where ``$WATCHDOG_USEC`` asks for it, ``WATCHDOG=1`` twice in that time, from the root
supervisor's loop. The variables are taken out of the environment, so that no child takes them for
its own.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass

from supervisor._loop import Reactor

__all__ = ["ServiceManager", "Settings", "read_settings", "taken"]

logger = logging.getLogger("supervisor")

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")

# A service manager that does not read is not waited for without end.
_SEND_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment asks for.

    Attributes:
        address: of the socket; an abstract one begins with NUL.
        watchdog: the seconds within which the service manager is to be told that the loop turns;
            None if it does not ask.
    """

    address: str
    watchdog: float | None = None


def read_settings(environment: Mapping[str, str], pid: int) -> Settings | None:
    """What the environment asks a process for; None if nobody wants to be told. Pure.

    Args:
        environment: its variables.
        pid: of the process.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@") or len(address) < 2:
        if address:
            logger.warning("$NOTIFY_SOCKET is no path and no abstract socket: %r", address)
        return None
    if address[0] == "@":
        address = "\0" + address[1:]
    return Settings(address, _watchdog(environment, pid))


def _watchdog(environment: Mapping[str, str], pid: int) -> float | None:
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        # It is meant for another process, whose environment we have inherited.
        return None
    text = environment.get("WATCHDOG_USEC", "")
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text) / 1_000_000
    if text:
        logger.warning("$WATCHDOG_USEC is no number of microseconds: %r", text)
    return None


@contextmanager
def taken(environment: MutableMapping[str, str]) -> Iterator[Settings | None]:
    """What the environment asks this process for, and meanwhile nobody that it starts."""
    settings = read_settings(environment, os.getpid())
    kept = {name: environment.pop(name) for name in _VARIABLES if name in environment}
    try:
        yield settings
    finally:
        environment.update(kept)


class ServiceManager:
    """Tells the service manager, or nobody.

    Args:
        settings: where it listens; None: there is none.
    """

    def __init__(self, settings: Settings | None) -> None:
        self._settings = settings
        self._has_failed = False

    def ready(self) -> None:
        """Every child is ready."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """The tree begins to stop."""
        self._tell("STOPPING=1")

    def keep_told(self, loop: Reactor) -> None:
        """Say that the loop turns, for as long as it does, where that is asked for."""
        if self._settings is not None and self._settings.watchdog is not None:
            self._tell("WATCHDOG=1")
            loop.call_later(self._settings.watchdog / 2, self.keep_told, loop)

    def _tell(self, message: str) -> None:
        if self._settings is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_SEND_SECONDS)
                sender.sendto(message.encode(), self._settings.address)
        except OSError as error:
            # It may not have been there for long; of a watchdog's many messages, one is logged.
            if not self._has_failed:
                logger.warning("the service manager could not be told %s: %s", message, error)
            self._has_failed = True
