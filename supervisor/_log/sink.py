"""The root's side of the log sockets: it hands each record to its own handlers, in turn."""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass

import msgpack

from supervisor._log.forward import log_socket_pair
from supervisor._log.records import RecordError, unpack_record
from supervisor._loop import Reactor
from supervisor._node import ProcessPath
from supervisor._wire.frames import close_all
from supervisor._wire.sockets import receive

__all__ = ["LogSink"]

logger = logging.getLogger("supervisor")

# So many records of one process are handled before the loop turns to its other business.
_IN_A_ROW = 64


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """A process that logs."""

    path: ProcessPath
    socket: socket.socket


class LogSink:
    """Handles what the processes of the tree log.

    Args:
        loop: the root's.
    """

    def __init__(self, loop: Reactor) -> None:
        self._loop = loop
        self._sources: set[_Source] = set()

    def open(self, path: ProcessPath) -> socket.socket | None:
        """The other end of a new connection, for the process at that path.

        Raises:
            OSError: there are no descriptors left.
        """
        pair = log_socket_pair()
        if pair is None:
            return None
        ours, theirs = pair
        self._add(path, ours)
        return theirs

    def _add(self, path: ProcessPath, sock: socket.socket) -> None:
        sock.setblocking(False)
        source = _Source(path, sock)
        self._sources.add(source)
        self._loop.add_reader(sock.fileno(), self._read, source)

    def _read(self, source: _Source) -> bool:
        """Take some messages up; says whether there may be more."""
        for _ in range(_IN_A_ROW):
            try:
                data, descriptors = receive(source.socket)
            except BlockingIOError:
                return False
            except OSError:
                data, descriptors = b"", []
            if not data:
                self._remove(source)
                return False
            self._take(source, data, descriptors)
        return True

    def _take(self, source: _Source, data: bytes, descriptors: list[int]) -> None:
        if descriptors:
            self._adopt(source, data, descriptors)
            return
        try:
            record = unpack_record(data)
        except RecordError as error:
            logger.warning("%s: %s", "/".join(source.path), error)
            return
        # A report says itself which process it is about.
        record.__dict__.setdefault("path", source.path)
        record.__dict__.setdefault("child", source.path[-1])
        target = logging.getLogger(record.name)
        if not logging.getLogger().manager.disable >= record.levelno:
            target.handle(record)

    def _adopt(self, source: _Source, data: bytes, descriptors: list[int]) -> None:
        """A supervisor has started a process, and hands over our end of its connection."""
        try:
            path = tuple(map(str, msgpack.unpackb(data)["open"]))
            (descriptor,) = descriptors
            sock = socket.socket(fileno=descriptor)
        except (ValueError, TypeError, KeyError, OSError, msgpack.UnpackException) as error:
            close_all(descriptors)
            logger.warning("%s: not a log socket: %s", "/".join(source.path), error)
            return
        self._add(path, sock)

    def _remove(self, source: _Source) -> None:
        self._sources.discard(source)
        self._loop.remove_reader(source.socket.fileno())
        source.socket.close()

    def close(self) -> None:
        """Handle what has come by now, and close the connections."""
        while self._sources:
            for source in tuple(self._sources):
                while self._read(source):
                    continue
                if source in self._sources:
                    self._remove(source)
