"""What a supervisor tells the registry of its children: in order, until it is heard."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from supervisor._client.delivery import Target, deliver
from supervisor._client.looped import LoopTransport
from supervisor._client.requests import make_request, open_response
from supervisor._loop import Reactor
from supervisor._node import REGISTRY, Node
from supervisor._wire.codec import Decoder

__all__ = ["News"]


class News:
    """Changes on their way to the registry; while that is down, they wait for it."""

    def __init__(self, loop: Reactor, node: Node) -> None:
        self._loop = loop
        self._target = Target(node, path=REGISTRY)
        self._transport = LoopTransport(loop)
        self._decoder = Decoder(importing=True)
        self._queue: deque[tuple[str, list[Any], asyncio.Future[None]]] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._last: asyncio.Future[None] | None = None

    def tell(self, change: str, *args: Any) -> asyncio.Future[None]:
        """Tell the registry of a change.

        Returns:
            A future: done when it knows, or with the error that it answered.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.append((change, list(args), future))
        self._last = future
        if self._sender is None or self._sender.done():
            self._sender = self._loop.create_task(self._send())
        return future

    def told(self) -> asyncio.Future[None] | None:
        """The last change that the registry may not know yet; None if it knows them all."""
        return None if self._last is None or self._last.done() else self._last

    async def _send(self) -> None:
        while self._queue:
            change, args, future = self._queue.popleft()
            try:
                await self._deliver(change, args)
            except Exception as error:  # noqa: BLE001  whoever told it, is told
                if not future.done():
                    future.set_exception(error)
                    # Most news are told without waiting for what comes of them.
                    future.exception()
            else:
                if not future.done():
                    future.set_result(None)

    async def _deliver(self, change: str, args: list[Any]) -> None:
        request = make_request("change", (change, args), {}, timeout=None, idempotent=True)
        frame = await deliver(self._transport, self._target, request, retry=True)
        open_response(self._decoder, frame)

    def close(self) -> None:
        """Tell nothing more."""
        if self._sender is not None:
            self._sender.cancel()
        self._transport.close()
