"""The switch of a forwarder's process: each frame goes the way of its operation."""

from __future__ import annotations

from collections.abc import Mapping

from supervisor._errors import BadCall
from supervisor._forward.calls import ForwardedCall
from supervisor._forward.forwarder import Forwarder, Hosted, Remote, Route
from supervisor._forward.hosted import HostedBackend
from supervisor._forward.remote import RemoteBackend
from supervisor._loop import Reactor
from supervisor._server.endpoint import Connection
from supervisor._server.mailbox import DroppedCasts, mailbox_size, refusal
from supervisor._server.responses import Response, error_response
from supervisor._wire.frames import (
    NOTIFICATION,
    REQUEST,
    Frame,
    FrameError,
    Header,
    close_all,
    read_header,
)

__all__ = ["Switch"]

Backend = RemoteBackend | HostedBackend


class Switch:
    """Passes frames on.

    Args:
        loop: the process's loop.
        forwarder: the object that says where operations go.
    """

    def __init__(self, loop: Reactor, forwarder: Forwarder) -> None:
        self._loop = loop
        self._forwarder = forwarder
        self._limit = mailbox_size(forwarder)
        self._dropped = DroppedCasts(loop)
        self._by_operation = self._connect(forwarder.routes())

    def _connect(self, routes: Mapping[str, Route]) -> dict[str, Backend]:
        backends: dict[int, Backend] = {}
        found: dict[str, Backend] = {}
        for operation, route in routes.items():
            if id(route) not in backends:
                backends[id(route)] = self._backend(route)
            found[operation] = backends[id(route)]
        self._all = tuple(backends.values())
        return found

    def _backend(self, route: Route) -> Backend:
        match route:
            case Remote():
                return RemoteBackend(self._loop, route, self._fail)
            case Hosted():
                return HostedBackend(self._loop, route, self._answer, self._fail)

    def receive(self, connection: Connection, frames: list[Frame]) -> None:
        """Pass frames on."""
        for frame in frames:
            if connection.closed:
                close_all(frame.descriptors)
            else:
                self._receive(connection, frame)

    def _receive(self, connection: Connection, frame: Frame) -> None:
        try:
            header = read_header(frame.data)
        except FrameError:
            close_all(frame.descriptors)
            connection.close()
            return
        backend = self._by_operation.get(header.operation)
        is_full = backend is not None and backend.load >= self._limit
        if header.kind == REQUEST and backend is not None and not is_full:
            backend.forward(ForwardedCall(connection, header, frame))
            return
        close_all(frame.descriptors)
        if is_full:
            self._refuse(connection, header)
        elif header.kind == REQUEST:
            known = ", ".join(sorted(self._by_operation))
            error = BadCall(f"there is no operation {header.operation!r}; there are: {known}")
            connection.put_later(error_response(header.id, error).data)
        elif header.kind == NOTIFICATION and backend is not None and not backend.cast(frame.data):
            self._dropped.add("its backend does not read what it is sent")

    def _refuse(self, connection: Connection, header: Header) -> None:
        """The backend has not answered so many others yet."""
        if header.kind == REQUEST:
            connection.put_later(refusal(header.id, self._limit).data)
        else:
            self._dropped.add(f"its backend has {self._limit} others to carry out")

    def close(self) -> None:
        """Close the connections, and the objects that are hosted."""
        for backend in self._all:
            backend.close()

    # --- answers -------------------------------------------------------------------------------

    def _answer(self, call: ForwardedCall, response: Response) -> None:
        if call.finish():
            call.connection.put_later(response.data, response.descriptors)

    def _fail(self, call: ForwardedCall, error: Exception) -> None:
        told = self._forwarder.failure(call.operation, error)
        self._answer(call, error_response(call.id, told))
