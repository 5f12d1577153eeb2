"""Calls on an event loop: the runtime's own or asyncio's; many in flight on one connection."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

from supervisor._client.channel import Channel
from supervisor._client.deadlines import Deadlines
from supervisor._client.delivery import LinkLost, Request, Unreachable
from supervisor._client.requests import (
    check_going_down,
    discard,
    make_request,
    open_response,
)
from supervisor._errors import BadCall, CallTimeout
from supervisor._loop import Reactor
from supervisor._node import Node, ProcessPath, short_address
from supervisor._wire.codec import Decoder
from supervisor._wire.frames import Frame, Header

__all__ = ["LoopTransport"]

# While the listener's queue is full, connect(2) on a socket that does not block has to be tried.
_QUEUE_PAUSE = 0.005


class LoopTransport:
    """The connections of one client on one loop, by the process called."""

    def __init__(self, loop: Reactor, decoder: Decoder | None = None) -> None:
        self._loop = loop
        self._decoder = decoder or Decoder(importing=True, specs=True)
        self._channels: dict[tuple[str, ProcessPath], Channel] = {}
        self._deadlines = Deadlines(loop)

    def cached(self, node: Node, path: ProcessPath) -> Channel | None:
        """The connection to a process, if there is one that was not broken."""
        channel = self._channels.get((node.folder, path))
        return None if channel is None or channel.closed else channel

    async def open(self, node: Node, path: ProcessPath, deadline: float | None) -> Channel:
        """A connection to that process, new or in use."""
        channel = self.cached(node, path)
        while channel is None:
            if deadline is not None and deadline <= time.monotonic():
                raise CallTimeout("no connection in time: the process takes up none")
            channel = self.open_now(node, path)
            if channel is None:
                await self.pause(_QUEUE_PAUSE)
        return channel

    def open_now(self, node: Node, path: ProcessPath) -> Channel | None:
        """A connection, new or in use; None while the process takes up none.

        Raises:
            Unreachable: nobody listens there.
        """
        channel = self.cached(node, path)
        if channel is None and (sock := _connect(node.socket_path(path))) is not None:
            channel = Channel(self._loop, sock, path)
            self._channels = {key: old for key, old in self._channels.items() if not old.closed}
            self._channels[node.folder, path] = channel
        return channel

    def is_forgotten(self, channel: Channel) -> bool:
        """Whether nothing new is to be sent there."""
        return channel not in self._channels.values()

    def forget(self, channel: Channel) -> None:
        """Use this connection for nothing new: the process at its other end is ending."""
        for key, known in tuple(self._channels.items()):
            if known is channel:
                del self._channels[key]

    async def exchange(self, link: Channel, request: Request) -> Frame:
        """Send the request, and wait for its response."""
        request.remaining()
        future: asyncio.Future[Frame] = self._loop.create_future()

        def receive(frame: Frame | None, header: Header | None, lost: LinkLost | None) -> None:
            if future.done():
                if frame is not None:
                    discard(frame)
            elif frame is None or header is None:
                future.set_exception(lost or LinkLost(taken=True))
            else:
                try:
                    check_going_down(frame, header)
                except LinkLost as ending:
                    self.forget(link)
                    future.set_exception(ending)
                else:
                    future.set_result(frame)

        descriptors = [blob.fileno() for blob in request.blobs]
        try:
            call_id = link.request(request.body, descriptors, receive)
        except OSError as error:
            raise BadCall(f"{request.operation} cannot be sent: {error}") from error
        if request.deadline is not None:
            self._deadlines.add(future, request.deadline, request.operation)
        try:
            return await future
        finally:
            link.cancel(call_id)
            self._deadlines.discard(future)

    async def ask(
        self, link: Channel, operation: str, args: tuple[Any, ...], deadline: float
    ) -> Any:
        """The result of a small call of the runtime's own."""
        request = make_request(operation, args, {}, timeout=deadline - time.monotonic())
        return open_response(self._decoder, await self.exchange(link, request))

    async def pause(self, seconds: float) -> None:
        """Wait."""
        future = self._loop.create_future()
        timer = self._loop.call_later(seconds, _finish, future)
        try:
            await future
        finally:
            timer.cancel()

    def close(self) -> None:
        """Close every connection; calls in flight end as if the processes had died."""
        self._deadlines.close()
        channels, self._channels = list(self._channels.values()), {}
        for channel in channels:
            channel.close()


def _connect(path: str) -> socket.socket | None:
    """A connection; None while the listener's queue is full."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        with short_address(path) as address:
            sock.connect(address)
    except BlockingIOError:
        sock.close()
        return None
    except OSError as error:
        sock.close()
        raise Unreachable(str(error)) from None
    return sock


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
