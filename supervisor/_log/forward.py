"""Logging in a process of a tree: what it logs is handled by the root, whatever becomes of it.

Each process has a socket to the root of its own: SOCK_SEQPACKET, one record a message. What has
been sent is the kernel's, and arrives even if the sender is killed at once; what several threads
or forks of it send does not mix. A process that logs faster than the root handles waits for it for
a moment, and then goes on without its records: the root is told how many are missing.

A supervisor that starts a process makes a pair of such sockets, gives one end to the child, and
sends the other to the root through its own. So the death of a supervisor takes nobody's records
along, and none of them pass through it.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import sys
from collections.abc import Mapping
from typing import Any

import msgpack

from supervisor._log.records import pack_record
from supervisor._node import ProcessPath
from supervisor._wire.sockets import send

__all__ = [
    "finish_forwarding",
    "forward_logs",
    "log_levels",
    "log_socket_pair",
    "open_log_to_root",
]

# How long a record waits for room, in seconds. Only the first one that finds none does: those that
# follow it are dropped until there is room again.
_PATIENCE = 1.0


class _Forwarder(logging.Handler):
    """Sends records to the root."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self.socket = sock
        sock.setblocking(False)
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record, or count it as dropped."""
        try:
            data = pack_record(record)
        except Exception:  # noqa: BLE001  whatever the record's arguments raise
            self.handleError(record)
            return
        patience = 0.0 if self._dropped else _PATIENCE
        if self._dropped:
            self.tell_dropped(0.0)
        if self._dropped or not self.send(data, (), patience):
            self._dropped += 1

    def tell_dropped(self, patience: float) -> None:
        """Tell the root how many records it has not got, if it takes that."""
        if not self._dropped:
            return
        text = f"{self._dropped} log records of this process came too fast, and were dropped"
        note = logging.LogRecord("supervisor", logging.WARNING, __file__, 0, text, (), None)
        if self.send(pack_record(note), (), patience):
            self._dropped = 0

    def send(self, data: bytes, descriptors: tuple[int, ...], patience: float) -> bool:
        """Send a message; says whether it went."""
        try:
            if not self._send_now(data, descriptors):
                return patience > 0 and self._wait(patience) and self._send_now(data, descriptors)
        except OSError:
            # There is no root any more.
            return False
        return True

    def _send_now(self, data: bytes, descriptors: tuple[int, ...]) -> bool:
        try:
            send(self.socket, data, descriptors)
        except BlockingIOError:
            return False
        return True

    def _wait(self, seconds: float) -> bool:
        """Wait for room; the kernel calls it that once most of what was sent has been read."""
        poller = select.poll()
        poller.register(self.socket, select.POLLOUT)
        return bool(poller.poll(seconds * 1000))


_forwarder: _Forwarder | None = None
# Handlers of the process that this one was forked from. They must not be finalised here: the
# numbers of their descriptors are in use again.
_inherited: list[object] = []


def forward_logs(sock: socket.socket | None, levels: Mapping[str, int] | None = None) -> None:
    """Let the root handle what this process logs.

    Args:
        sock: its socket to the root; None where there is none: then records go to no handler of
            the process that this one was forked from either.
        levels: of the loggers, by name; None leaves them as they are.
    """
    global _forwarder  # noqa: PLW0603  the process has one
    _forwarder = None if sock is None else _Forwarder(sock)
    _inherited.extend(logging._handlers.values())  # type: ignore[attr-defined]  # noqa: SLF001
    # Or logging.shutdown would flush and close them.
    logging._handlerList.clear()  # type: ignore[attr-defined]  # noqa: SLF001
    root = logging.getLogger()
    for logger in (root, *_loggers()):
        _inherited.append(logger.handlers)
        logger.handlers = []
        if _forwarder is not None and (logger is root or not logger.propagate):
            logger.addHandler(_forwarder)
    for name, level in (levels or {}).items():
        logging.getLogger(name).setLevel(level)


def finish_forwarding() -> None:
    """Before the process ends: tell the root what it has missed."""
    if _forwarder is not None:
        _forwarder.tell_dropped(_PATIENCE)


def log_levels() -> dict[str, int]:
    """The levels of this process's loggers, by name; that of the root logger by an empty one."""
    levels = {logger.name: logger.level for logger in _loggers() if logger.level}
    return {"": logging.getLogger().level, **levels}


def _loggers() -> list[logging.Logger]:
    known = logging.getLogger().manager.loggerDict.values()
    return [logger for logger in known if isinstance(logger, logging.Logger)]


def log_socket_pair() -> tuple[socket.socket, socket.socket] | None:
    """Both ends of a new connection; None where there is no such kind."""
    if sys.platform != "linux":
        return None
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def open_log_to_root(path: ProcessPath) -> socket.socket | None:
    """A new connection to the root, for the process at that path; None if it takes none up.

    Raises:
        OSError: there are no descriptors left.
    """
    pair = None if _forwarder is None else log_socket_pair()
    if _forwarder is None or pair is None:
        return None
    ours, theirs = pair
    with ours:
        message: Any = msgpack.packb({"open": list(path), "pid": os.getpid()})
        if _forwarder.send(message, (ours.fileno(),), _PATIENCE):
            return theirs
    theirs.close()
    return None
