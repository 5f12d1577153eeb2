"""A backend in another process: frames go there as they came, and their answers back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from supervisor._client.channel import MOST_UNSENT, Channel
from supervisor._client.delivery import (
    LinkLost,
    Target,
    died_of_call,
    down_of,
    exit_since,
    is_of_nobody,
    reach,
    was_sent_too_late,
)
from supervisor._client.looped import LoopTransport
from supervisor._client.requests import discard, going_down_of, is_going_down
from supervisor._errors import CallTimeout, ProcessDown, SupervisorError
from supervisor._forward.calls import ForwardedCall
from supervisor._forward.forwarder import Remote
from supervisor._forward.sweeper import Sweeper
from supervisor._loop import Reactor
from supervisor._wire.frames import Frame, Header, response_prefix

__all__ = ["RemoteBackend"]

# How often a call is sent again, at most.
_RESENDS = 8

Fail = Callable[[ForwardedCall, SupervisorError], None]


class RemoteBackend:
    """Passes calls on to one process, over one connection.

    Args:
        loop: the loop to run on.
        route: which process, and which operations may be sent to it again.
        fail: is called with a call that cannot be answered, and why.
    """

    def __init__(self, loop: Reactor, route: Remote, fail: Fail) -> None:
        self._loop = loop
        self._target: Target = route.target
        self._idempotent = route.idempotent
        self._fail = fail
        self._transport = LoopTransport(loop)
        self._channel: Channel | None = None
        self._last_channel: Channel | None = None
        self._connecting: asyncio.Task[None] | None = None
        # What waits for a connection: calls, and notifications, in order of arrival.
        self._waiting: list[ForwardedCall | bytes] = []
        self._sweeper = Sweeper(loop, self._expire)
        self._lost: list[tuple[ForwardedCall, LinkLost]] = []
        # Casts that wait for a connection.
        self._casts = 0

    # --- there and back ------------------------------------------------------------------------

    @property
    def load(self) -> int:
        """How many calls are not answered, and casts not sent."""
        return len(self._sweeper.pending) + self._casts

    def forward(self, call: ForwardedCall) -> None:
        """Pass a call on."""
        self._sweeper.add(call)
        self._send(call)

    def cast(self, data: bytes) -> bool:
        """Pass a notification on; where there is no connection, it waits for one or is lost.

        Returns:
            False: the backend does not read what it was sent before.
        """
        channel = self._channel
        if channel is None or channel.closed:
            self._casts += 1
            self._wait(data)
        elif channel.unsent > MOST_UNSENT:
            return False
        else:
            channel.send(data)
        return True

    def _send(self, call: ForwardedCall) -> None:
        channel = self._channel
        if channel is None or channel.closed:
            self._wait(call)
            return
        call.sent_at = time.monotonic()
        try:
            call.channel_id = channel.request(
                call.body, call.descriptors, partial(self._received, call)
            )
        except OSError as error:
            self._done(call)
            self._fail(call, CallTimeout(f"{call.operation} could not be passed on: {error}"))
        except LinkLost:
            self._channel = None
            self._send(call)

    def _received(
        self,
        call: ForwardedCall,
        frame: Frame | None,
        header: Header | None,
        lost: LinkLost | None,
    ) -> None:
        if frame is None or header is None:
            self._link_lost(call, lost or LinkLost(taken=True))
            return
        if is_going_down(frame, header):
            self._abandon_channel()
            self._link_lost(call, going_down_of(frame))
            return
        self._done(call)
        if call.finish():
            call.connection.put_later(
                response_prefix(call.id) + frame.data[header.body :], frame.descriptors
            )
        discard(frame)

    def _done(self, call: ForwardedCall) -> None:
        self._sweeper.discard(call)

    # --- connections ---------------------------------------------------------------------------

    def _wait(self, item: ForwardedCall | bytes) -> None:
        self._waiting.append(item)
        if self._connecting is None or self._connecting.done():
            self._connecting = self._loop.create_task(self._connect())

    def _take_waiting(self) -> list[ForwardedCall | bytes]:
        waiting, self._waiting = self._waiting, []
        self._casts = 0
        return waiting

    async def _connect(self) -> None:
        """Make a connection, and send what waits for one; each call has its own patience."""
        try:
            channel = await reach(self._transport, self._target, None)
            self._channel = self._last_channel = channel
        except SupervisorError as error:
            for item in self._take_waiting():
                # A cast promises nothing.
                if not isinstance(item, bytes):
                    self._done(item)
                    self._fail(item, error)
            return
        for item in self._take_waiting():
            if isinstance(item, bytes):
                self.cast(item)
            elif not item.answered:
                self._send(item)

    def _link_lost(self, call: ForwardedCall, lost: LinkLost) -> None:
        if call.answered:
            return
        self._lost.append((call, lost))
        if len(self._lost) == 1:
            self._loop.create_task(self._recover(self._last_channel))

    def _abandon_channel(self) -> None:
        """The process at its other end is ending: what comes from now on is for the next one."""
        if self._channel is not None:
            self._transport.forget(self._channel)
            self._channel = None

    async def _recover(self, channel: Channel | None) -> None:
        """Find out why the backend died, and see to the calls that were with it."""
        ended = None
        if channel is not None:
            now = time.monotonic()
            ended = await exit_since(self._transport, self._target.node, channel, now + 1.0)
        losses, self._lost = self._lost, []
        for call, lost in losses:
            if not call.answered:
                self._decide(call, lost, down_of(self._target, lost, ended))

    def _decide(self, call: ForwardedCall, lost: LinkLost, down: ProcessDown) -> None:
        again = call.operation in self._idempotent and call.resends < _RESENDS
        if (
            was_sent_too_late(lost, call.sent_at)
            or (is_of_nobody(down) and call.resends < _RESENDS)
            or (again and not (lost.suspect and died_of_call(down)))
        ):
            if down.exit is None or down.exit.reason != "shutdown":
                call.resends += 1
            self._send(call)
        else:
            self._done(call)
            self._fail(call, down)

    def _expire(self, call: ForwardedCall) -> None:
        if self._channel is not None:
            self._channel.cancel(call.channel_id)
        if call in self._waiting:
            self._waiting.remove(call)
        self._fail(call, CallTimeout(f"{self._target} did not answer {call.operation} in time"))

    def close(self) -> None:
        """Close the connection."""
        self._sweeper.close()
        self._transport.close()
