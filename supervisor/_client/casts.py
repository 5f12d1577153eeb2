"""Casts to many processes, none of which is ever waited for."""

from __future__ import annotations

import logging

from supervisor._client.channel import MOST_UNSENT
from supervisor._client.delivery import LinkLost, Target, Unreachable
from supervisor._client.looped import LoopTransport
from supervisor._loop import Reactor
from supervisor._node import Node, ProcessPath

__all__ = ["Casts"]

logger = logging.getLogger("supervisor")


class Casts:
    """Sends casts on an event loop.

    Args:
        loop: the loop; what a process does not read at once is sent by it later.
        node: the node of the processes.
    """

    def __init__(self, loop: Reactor, node: Node) -> None:
        self._node = node
        self._transport = LoopTransport(loop)
        # Those that the log has told of, until they read again.
        self._deaf: set[ProcessPath] = set()

    def send(self, path: ProcessPath, data: bytes) -> bool:
        """Send a notification; whether it is on its way.

        False where nobody listens at that path, or where the process there has not read what it was
        sent before.
        """
        try:
            channel = self._transport.open_now(self._node, path)
            if channel is None or channel.unsent > MOST_UNSENT:
                self._drop(path)
                return False
            channel.send(data)
        except (Unreachable, LinkLost):
            return False
        self._deaf.discard(path)
        return True

    def _drop(self, path: ProcessPath) -> None:
        if path not in self._deaf:
            self._deaf.add(path)
            target = Target(self._node, path=path)
            logger.warning("casts to %s are dropped: it does not read what it is sent", target)
