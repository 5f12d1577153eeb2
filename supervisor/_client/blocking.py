"""Calls through blocking sockets: one connection per thread and process called.

A thread waits for one answer at a time, so a connection carries one call at a time, and what it
reads is the answer to that. Where the answer does not come in time the connection is closed: a late
answer is never taken for the next call's.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any

from supervisor._client.delivery import LinkLost, Request, Unreachable
from supervisor._client.requests import check_going_down, discard, make_request, open_response
from supervisor._context import current, is_main_thread
from supervisor._errors import BadCall, CallTimeout
from supervisor._node import Node, ProcessPath, short_address
from supervisor._spin import SPIN_SECONDS, Spin, give_way, now
from supervisor._wire.codec import CodecError, Decoder
from supervisor._wire.frames import (
    NIL,
    RESPONSE,
    Frame,
    FrameError,
    FrameReader,
    frame_limit,
    read_header,
    request_prefix,
    response_prefix,
)
from supervisor._wire.sockets import receive, send

__all__ = ["BlockingLink", "BlockingTransport"]

_DONTWAIT = int(socket.MSG_DONTWAIT)

# For so many seconds an answer is waited for in recvmsg(2) itself.
_BRIEFLY = 0.001

# poll(2) takes so many milliseconds as fit an int; who waits longer waits again.
_LONGEST_POLL = 86400.0

# At each 32nd call it is looked whether there are other threads.
_LOOK_AROUND = 31

_forks = 0


def _forked() -> None:
    global _forks  # noqa: PLW0603  what the parent's connections are told apart by
    _forks += 1


os.register_at_fork(after_in_child=_forked)


class BlockingLink:
    """A connection that one thread uses for one call at a time."""

    def __init__(self, node: Node, path: ProcessPath, deadline: float | None) -> None:
        self.path = path
        self.since = time.monotonic()
        self.forks = _forks
        self._reader = FrameReader(frame_limit())
        self._socket = _connect(node.socket_path(path), deadline)
        self._timeouts: list[float | None] = [None, None]
        self._id = 0
        self._spin = Spin()
        self._is_alone = threading.active_count() == 1
        self._is_own = _is_own(node, path)
        # A signal's handler, or a finaliser, may call while its thread waits for an answer.
        self.is_busy = False
        self.closed = False

    def close(self) -> None:
        """Close it."""
        self.closed = True
        self._reader.close()
        # Absent where the connection was refused.
        if (sock := getattr(self, "_socket", None)) is not None:
            sock.close()

    def detach(self) -> socket.socket:
        """Hand the socket over to one who speaks through it in another way; the link is closed."""
        sock = self._socket.dup()
        self.close()
        return sock

    def __del__(self) -> None:
        # Its thread has ended.
        self.close()

    def exchange(self, request: Request) -> Frame:
        """Send a request, and wait for its response.

        Raises:
            LinkLost: the connection broke.
            CallTimeout: there was no answer by the deadline.
        """
        self._check_other()
        self.is_busy = True
        try:
            self.begin(request)
            frame = self.finish(request)
        except BaseException:
            # Whatever it was, also a KeyboardInterrupt: an answer may still be on its way.
            self.close()
            raise
        self.is_busy = False
        return frame

    def call(self, request: Request, decoder: Decoder) -> Any:
        """The result of a request: ``exchange`` and ``open_response``, by a shorter way.

        Raises:
            Exception: as of these two.
        """
        self._check_other()
        self.is_busy = True
        try:
            self.begin(request)
            data, descriptors = self._receive(request)
            # As a rule that is the response, the whole of it, and it is a result.
            if not descriptors and data.startswith(response_prefix(self._id) + NIL):
                try:
                    result = decoder.decode(data)[3]
                except CodecError:
                    # A part of it, or something wrong with it: the long way finds out.
                    pass
                else:
                    self.is_busy = False
                    return result
            frame = self._response_in(data, descriptors) or self.finish(request)
        except BaseException:
            # Whatever it was, also a KeyboardInterrupt: an answer may still be on its way.
            self.close()
            raise
        self.is_busy = False
        return open_response(decoder, frame)

    def _check_other(self) -> None:
        if self._is_own and is_main_thread():
            raise BadCall("a server cannot call itself: it would wait for its own answer")

    @property
    def is_of_parent(self) -> bool:
        """Whether it was made before this process was forked, and so is not for it to read."""
        return self.forks != _forks

    def begin(self, request: Request) -> None:
        """Send a request, whose response ``finish`` waits for."""
        self._id = self._id % 0xFFFFFFFF + 1
        data: bytes | memoryview = request_prefix(self._id) + request.body
        descriptors: Sequence[int] = ()
        if request.blobs:
            descriptors = [blob.fileno() for blob in request.blobs]
        else:
            # As a rule there is room for it, and nothing to wait for.
            try:
                sent = self._socket.send(data, _DONTWAIT)
            except BlockingIOError:
                sent = 0
            except OSError:
                raise LinkLost(taken=False, sent=False) from None
            if sent == len(data):
                return
            data = memoryview(data)[sent:]
        self._send_all(data, descriptors, request)

    def finish(self, request: Request) -> Frame:
        """Wait for the response to the request sent last; after a CallTimeout, again if wanted."""
        while True:
            frame = self._response_in(*self._receive(request))
            if frame is not None:
                return frame

    def cast(self, data: bytes, deadline: float | None) -> None:
        """Send a notification.

        Raises:
            LinkLost: the connection is broken.
            CallTimeout: the peer does not read.
        """
        self.is_busy = True
        try:
            self._send_all(data, (), Request("cast", b"", deadline))
        except BaseException:
            self.close()
            raise
        self.is_busy = False

    def _send_all(
        self, rest: bytes | memoryview, descriptors: Sequence[int], request: Request
    ) -> None:
        while True:
            self._limit(socket.SO_SNDTIMEO, 0, request.remaining())
            try:
                sent = send(self._socket, rest, descriptors)
            except BlockingIOError:
                continue
            except OSError:
                # It did not get all of it, so it cannot have begun with it.
                raise LinkLost(taken=False, sent=False) from None
            if sent == len(rest):
                return
            rest = memoryview(rest)[sent:]
            descriptors = ()

    def _response_in(self, data: bytes, descriptors: Sequence[int]) -> Frame | None:
        """The response, if it is complete with these bytes."""
        try:
            for frame in self._reader.feed(data, descriptors):
                header = read_header(frame.data)
                if header.kind == RESPONSE and header.id == self._id:
                    check_going_down(frame, header)
                    return frame
                discard(frame)
        except FrameError:
            raise LinkLost(taken=True) from None
        return None

    def _receive(self, request: Request) -> tuple[bytes, Sequence[int]]:
        """Some bytes, at least one, and descriptors."""
        while True:
            try:
                received = self._receive_soon() or self._receive_later(request)
            except BlockingIOError:
                continue
            except CallTimeout:
                # It is a TimeoutError, and so an OSError too.
                raise
            except ConnectionResetError:
                raise LinkLost(taken=False) from None
            except OSError:
                raise LinkLost(taken=True) from None
            if not received[0]:
                raise LinkLost(taken=True)
            if self._id == 1:
                # What has ended before was another run, whose successor has found this in the
                # queue of the socket.
                self.since = time.monotonic()
            return received

    def _receive_soon(self) -> tuple[bytes, list[int]] | None:
        """What comes within a moment; None where it is not worth to look for it, or not there."""
        spin = self._spin
        if not spin.is_worth_it():
            return None
        if self._id & _LOOK_AROUND == 0:
            # Looking again would keep the interpreter from other threads.
            self._is_alone = threading.active_count() == 1
        if not self._is_alone:
            return None
        limit = now() + SPIN_SECONDS
        while now() < limit:
            try:
                received = receive(self._socket, _DONTWAIT)
            except BlockingIOError:
                give_way()
            else:
                spin.paid()
                return received
        spin.was_in_vain()
        return None

    def _receive_later(self, request: Request) -> tuple[bytes, list[int]]:
        remaining = request.remaining()
        briefly = _BRIEFLY if remaining is None else min(remaining, _BRIEFLY)
        self._limit(socket.SO_RCVTIMEO, 1, briefly)
        try:
            return receive(self._socket)
        except BlockingIOError:
            # Who waits longer can afford a poll(2). Where a signal's handler interrupts recvmsg(2),
            # Python calls it again, and the kernel counts from the beginning: with a timer that
            # rings now and then, a wait there would never be over. That of a poll is (PEP 475).
            remaining = request.remaining()
            limit = None if remaining is None else min(remaining, _LONGEST_POLL) * 1000
            poller = select.poll()
            poller.register(self._socket, select.POLLIN)
            poller.poll(limit)
            return receive(self._socket, _DONTWAIT)

    def _limit(self, option: int, index: int, remaining: float | None) -> None:
        """Let the kernel end the wait after so long; that saves a poll(2) before each read."""
        known = self._timeouts[index]
        if remaining is None:
            if known is None:
                return
        elif known is not None and abs(known - remaining) <= 0.01 * remaining:
            # Near enough: what is missed by is made good by the next turn.
            return
        self._timeouts[index] = remaining
        microseconds = 0 if remaining is None else max(1, int(remaining * 1e6))
        value = struct.pack("ll", *divmod(microseconds, 1_000_000))
        self._socket.setsockopt(socket.SOL_SOCKET, option, value)


def _is_own(node: Node, path: ProcessPath) -> bool:
    """Whether this process is the one at the other end, and its main thread carries out calls."""
    identity = current()
    return (
        identity is not None and identity.serves and identity.path == path and identity.node == node
    )


class _Socket(socket.socket):
    """A socket that may be forgotten, as links are when their thread or their client is.

    Where the garbage collector finds the two together, it may finalize the socket before the link
    that would close it; and a plain one then warns.
    """

    def __del__(self) -> None:
        self.close()


def _connect(path: str, deadline: float | None) -> socket.socket:
    remaining = None if deadline is None else deadline - time.monotonic()
    if remaining is not None and remaining <= 0:
        raise CallTimeout("no connection in time")
    sock = _Socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Of a Unix socket, connect(2) waits only where the queue of the listener is full.
        sock.settimeout(remaining)
        with short_address(path) as address:
            sock.connect(address)
        sock.setblocking(True)
    except TimeoutError:
        sock.close()
        raise CallTimeout("no connection in time: the process takes up none") from None
    except OSError as error:
        sock.close()
        raise Unreachable(str(error)) from None
    except BaseException:
        sock.close()
        raise
    return sock


class BlockingTransport:
    """The connections of one client: for each thread its own, by the process called."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._decoder = Decoder(importing=True, specs=True)
        self._lock = threading.RLock()
        self._links: weakref.WeakSet[BlockingLink] = weakref.WeakSet()

    def cached(self, node: Node, path: ProcessPath) -> BlockingLink | None:
        """This thread's connection to a process, if it has one that was not broken."""
        links: dict[Any, BlockingLink] = self._local.__dict__
        link = links.get((node.folder, path))
        if link is None or link.closed or link.is_busy or link.is_of_parent:
            return None
        return link

    async def open(self, node: Node, path: ProcessPath, deadline: float | None) -> BlockingLink:
        """A connection of this thread to that process."""
        link = self.cached(node, path)
        if link is not None:
            return link
        links: dict[Any, BlockingLink] = self._local.__dict__
        stale = links.pop((node.folder, path), None)
        link = BlockingLink(node, path, deadline)
        links[node.folder, path] = link
        with self._lock:
            self._links.add(link)
        if stale is not None and not stale.is_busy:
            stale.close()
        return link

    async def exchange(self, link: BlockingLink, request: Request) -> Frame:
        """Send the request, and wait for its response."""
        return link.exchange(request)

    async def ask(
        self, link: BlockingLink, operation: str, args: tuple[Any, ...], deadline: float
    ) -> Any:
        """The result of a small call of the runtime's own."""
        request = make_request(operation, args, {}, timeout=deadline - time.monotonic())
        return open_response(self._decoder, link.exchange(request))

    async def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def close(self) -> None:
        """Close the connections of every thread."""
        with self._lock:
            links = list(self._links)
        for link in links:
            with contextlib.suppress(OSError):
                link.close()
