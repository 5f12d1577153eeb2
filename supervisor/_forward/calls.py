"""A call on its way through a forwarder."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgpack

from supervisor._server.endpoint import Connection
from supervisor._wire.frames import Frame, Header, close_all

__all__ = ["ForwardedCall", "deadline_of"]

# The answer that a backend did not give in time is given for it, so much before its caller stops
# waiting: this part of what was left, and no more than so many seconds.
_MARGIN_PART, _MARGIN_SECONDS = 0.2, 0.05


class ForwardedCall:
    """A request, held until it is answered: it may have to be sent again.

    Attributes:
        connection: the caller's.
        id: the caller's, for this call.
        operation: its name.
        body: the frame from the operation on, as it came.
        descriptors: of its large binaries; the call owns them.
        answered: whether the caller has had its answer.
        resends: how often it was sent again.
        sent_at: when it was sent last, on the monotonic clock.
        channel_id: its id at the backend.
    """

    __slots__ = (
        "answered",
        "body",
        "channel_id",
        "connection",
        "descriptors",
        "id",
        "operation",
        "resends",
        "sent_at",
    )

    def __init__(self, connection: Connection, header: Header, frame: Frame) -> None:
        self.connection = connection
        self.id = header.id
        self.operation = header.operation
        self.body = frame.data[header.body :]
        self.descriptors: Sequence[int] = frame.descriptors
        self.answered = False
        self.resends = 0
        self.sent_at = 0.0
        self.channel_id = 0

    def finish(self) -> bool:
        """It is answered now; False if it was already."""
        if self.answered:
            return False
        self.answered = True
        if self.descriptors:
            close_all(self.descriptors)
            self.descriptors = ()
        return True

    def give_up_at(self) -> float:
        """When to answer it for a backend that does not; infinity if its caller waits for ever."""
        deadline = deadline_of(self.body)
        if deadline is None:
            return float("inf")
        return deadline - min(_MARGIN_SECONDS, _MARGIN_PART * (deadline - time.monotonic()))


def deadline_of(body: bytes) -> float | None:
    """The deadline that the runtime has added to a request's params; None if there is none."""
    unpacker = msgpack.Unpacker(unicode_errors="surrogatepass", read_size=4096)
    unpacker.feed(body)
    try:
        unpacker.skip()
        if unpacker.read_array_header() < 3:
            return None
        unpacker.skip()
        unpacker.skip()
        deadline = unpacker.unpack()
    except Exception:  # noqa: BLE001  the backend will say what is wrong with it
        return None
    return deadline if isinstance(deadline, float) else None
