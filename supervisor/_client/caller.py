"""Calls to one target, through blocking sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from supervisor._client.blocking import BlockingLink, BlockingTransport
from supervisor._client.delivery import (
    LinkLost,
    Loss,
    Target,
    deadline_after,
    deliver,
    locate,
    reach,
    run_blocking,
)
from supervisor._client.requests import make_request, notification, open_response
from supervisor._errors import ProcessDown
from supervisor._node import ProcessPath
from supervisor._wire.codec import Decoder

__all__ = ["Caller"]


class Caller:
    """Calls one target. Safe in several threads, and in a forked child."""

    def __init__(self, target: Target, *, retry: bool = False) -> None:
        self.target = target
        self._retry = retry
        self._transport = BlockingTransport()
        self._decoder = Decoder(importing=True, specs=True)
        # Of each thread, the connection that it has used last.
        self._links = threading.local()

    def call(
        self,
        operation: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        timeout: float | None,
        idempotent: bool = False,
    ) -> Any:
        """The result of an operation.

        Raises:
            SupervisorError: what kept the call from its answer.
            Exception: the declared error that the operation raised.
        """
        request = make_request(
            operation,
            args,
            kwargs,
            timeout=timeout,
            idempotent=idempotent,
            instance=self.target.instance,
        )
        link = self._cached()
        if link is None:
            link = self._reach(request.deadline)
        sent_at = time.monotonic()
        try:
            # What ``deliver`` does first, without the cost of a coroutine.
            return link.call(request, self._decoder)
        except LinkLost as lost:
            loss = Loss(link, lost, sent_at)
            frame = run_blocking(
                deliver(self._transport, self.target, request, retry=self._retry, loss=loss)
            )
        return open_response(self._decoder, frame)

    def cast(
        self, operation: str, args: Sequence[Any], kwargs: Mapping[str, Any], timeout: float | None
    ) -> None:
        """Ask for an operation, without waiting for it.

        Raises:
            NoProcess: nobody is there.
            BadCall: an argument cannot be encoded.
            CallTimeout: the process takes nothing up.
            ProcessDown: it died while the request was being sent, twice.
        """
        data = notification(operation, args, kwargs)
        deadline = deadline_after(timeout)
        for _ in range(2):
            link = self._cached() or self._reach(deadline)
            try:
                link.cast(data, deadline)
            except LinkLost:
                continue
            return
        raise ProcessDown(str(self.target), None, taken=False)

    def ask(self, path: ProcessPath, operation: str, *args: Any, timeout: float | None) -> Any:
        """The result of a call of the runtime's own to another process of the target's node."""
        other = Target(self.target.node, path=path)
        request = make_request(operation, args, {}, timeout=timeout, idempotent=True)
        delivery = deliver(self._transport, other, request, retry=True)
        return open_response(self._decoder, run_blocking(delivery))

    def locate(self, timeout: float | None) -> ProcessPath:
        """The path of the target.

        Raises:
            NoProcess: the name does not exist.
        """
        if self.target.path is not None:
            return self.target.path
        deadline = deadline_after(timeout)
        return run_blocking(locate(self._transport, self.target, deadline))

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _cached(self) -> BlockingLink | None:
        """This thread's connection, if it has one that can be used."""
        link: BlockingLink | None = getattr(self._links, "link", None)
        if link is None or link.closed or link.is_busy or link.is_of_parent:
            return None
        return link

    def _reach(self, deadline: float | None) -> BlockingLink:
        """A connection of this thread."""
        link = run_blocking(reach(self._transport, self.target, deadline))
        self._links.link = link
        return link
