"""A program's connection to a pool: tasks out, answers in, on a thread of its own.

Those who submit leave tasks here and go on; the thread sends what has come together, and fills in
the futures. If the pool's process dies, it connects to the next one, and sends again what had not
begun, and what may be tried again.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import select
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import msgpack

from supervisor._client.blocking import BlockingTransport
from supervisor._client.delivery import LinkLost, Target, reach, run_blocking
from supervisor._client.requests import make_request, open_response
from supervisor._errors import NoProcess, Overloaded, SupervisorError
from supervisor._log.records import RecordError, unpack_record
from supervisor._pool.futures import Admission, PoolFuture
from supervisor._pool.messages import (
    ATTACH,
    CANCEL,
    CLEAR,
    LOG,
    PRINTED,
    REFUSED,
    SUBMIT,
    notification,
)
from supervisor._pool.output import print_line
from supervisor._pool.payload import Body
from supervisor._pool.submission import Settings, Submission
from supervisor._wire.codec import Decoder
from supervisor._wire.frames import FrameError, FrameReader, close_all, frame_limit
from supervisor._wire.outbox import Outbox
from supervisor._wire.sockets import receive

__all__ = ["Link"]

logger = logging.getLogger("supervisor")

# How long a pool that has died is waited for.
_PATIENCE = 30.0

# Tasks are cut into frames of about so many bytes, and no more are made ready than so many.
_BATCH = 256 * 1024

# So many files with large arguments, sent to a pool and not begun, are kept in case it dies.
_MOST_FILES = 128
_MOST_READY = 4 * 1024 * 1024


class Link:
    """A connection to a pool.

    Args:
        target: the pool.
        on_end: is called, on the link's thread, when it has been closed.

    Raises:
        NoProcess: there is no such pool.
        BadCall: its workers run no functions.
    """

    def __init__(self, target: Target, on_end: Callable[[], None]) -> None:
        self.target = target
        self._on_end = on_end
        self._keys = itertools.count(1)
        self._lock = threading.Lock()
        self._submissions: dict[int, Submission] = {}
        self._unsent: deque[Submission] = deque()
        self._withdrawn: deque[int] = deque()
        self._awake = False
        self._closing = False
        self._clearing = False
        # Those whose files were sent, and are kept.
        self._files: list[Submission] = []
        self._broken: SupervisorError | None = None
        self._owner = os.getpid()
        self._decoder = Decoder(importing=True)
        self._outbox = Outbox()
        self._socket, self.about = self._connect()
        self._reader = FrameReader(frame_limit())
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="regrow-pool", daemon=True)
        _links.add(self)
        self._thread.start()

    # --- for those who submit ------------------------------------------------------------------

    @property
    def is_bounded(self) -> bool:
        """Whether a task may have to wait for its place in the queue."""
        return self.about["queue_size"] is not None

    @property
    def max_size(self) -> int:
        """How many workers the pool has at most."""
        return int(self.about["max_size"])

    @property
    def is_own_thread(self) -> bool:
        """Whether this is the thread that hears the pool."""
        return threading.current_thread() is self._thread

    def submit(self, name: str, body: Body, settings: Settings, *, wait: bool) -> Submission:
        """Leave a task here to be sent.

        Raises:
            NoProcess: the pool is gone for good.
            RuntimeError: the link is closed, or belongs to another process.
        """
        submission = Submission(next(self._keys), name, body, settings, wait=wait)
        key = submission.key
        submission.future = PoolFuture(lambda: self._withdraw(key))
        if self.is_bounded:
            submission.admission = Admission()
        with self._lock:
            try:
                self._check()
            except BaseException:
                body.close()
                raise
            self._submissions[key] = submission
            self._unsent.append(submission)
            self._wake()
        return submission

    def _check(self) -> None:
        if os.getpid() != self._owner:
            raise RuntimeError(
                f"this executor belongs to process {self._owner}, which this one was forked from: "
                "make another one here"
            )
        if self._broken is not None:
            raise NoProcess(*self._broken.args)
        if self._closing:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def _withdraw(self, key: int) -> None:
        with self._lock:
            submission = self._submissions.pop(key, None)
            if submission is None:
                return
            submission.close()
            self._withdrawn.append(key)
            self._wake()

    def _wake(self) -> None:
        """Wake the thread, unless it was woken already; with the lock held."""
        if self._awake or os.getpid() != self._owner:
            return
        self._awake = True
        with contextlib.suppress(OSError):
            self._wake_sender.send(b"\0")

    def cancel_pending(self) -> None:
        """Cancel every task that no worker has, and that none is free for; the pool knows which."""
        with self._lock:
            self._clearing = True
            self._wake()

    def close(self) -> None:
        """Close the link when every task is settled; take no more."""
        with self._lock:
            self._closing = True
            self._wake()

    def join(self) -> None:
        """Wait until it is closed."""
        if not self.is_own_thread and os.getpid() == self._owner:
            self._thread.join()

    def forget(self) -> None:
        """This is a forked child: the connection is the parent's."""
        for sock in (self._socket, self._wake_receiver, self._wake_sender):
            sock.close()

    # --- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._is_over():
                try:
                    self._talk()
                except OSError:
                    self._recover()
        finally:
            self._end()

    def _is_over(self) -> bool:
        with self._lock:
            return self._closing and not self._submissions and not self._withdrawn

    def _talk(self) -> None:
        """Send and receive, until all is done.

        Raises:
            OSError: the connection is broken.
        """
        poller = select.poll()
        poller.register(self._wake_receiver, select.POLLIN)
        poller.register(self._socket, select.POLLIN)
        waits_for_room = False
        while True:
            sent = self._send()
            if sent == waits_for_room:
                waits_for_room = not sent
                mask = select.POLLIN if sent else select.POLLIN | select.POLLOUT
                poller.modify(self._socket, mask)
            if sent and self._is_over():
                return
            for descriptor, _ in poller.poll():
                if descriptor == self._wake_receiver.fileno():
                    self._wake_receiver.recv(64)
                else:
                    self._receive()

    def _send(self) -> bool:
        """Send what there is; says whether all of it went."""
        while True:
            done = self._outbox.flush(self._socket)
            if not done or not self._make_ready():
                return done

    def _make_ready(self) -> bool:
        """Make frames of what was left here; says whether there was something."""
        rows: list[tuple[Any, ...]] = []
        size = 0
        with self._lock:
            self._awake = False
            withdrawn = list(self._withdrawn)
            self._withdrawn.clear()
            while self._unsent and size < _BATCH:
                submission = self._unsent.popleft()
                if submission.key not in self._submissions:
                    continue
                if submission.blob is not None:
                    if rows:
                        self._unsent.appendleft(submission)
                        break
                    frame = notification(SUBMIT, [submission.row()])
                    self._outbox.put(frame, (submission.blob.fileno(),))
                    self._keep_file(submission)
                    return True
                rows.append(submission.row())
                size += len(submission.body)
            is_clearing = self._clearing and not self._unsent
            self._clearing = self._clearing and not is_clearing
        if rows:
            self._outbox.put(notification(SUBMIT, rows))
        if is_clearing:
            self._outbox.put(notification(CLEAR))
        if withdrawn:
            self._outbox.put(notification(CANCEL, withdrawn))
        return bool(rows or withdrawn or is_clearing)

    def _keep_file(self, submission: Submission) -> None:
        """Keep a file that was sent, to send it again should the pool die; but not too many."""
        self._files = [sent for sent in self._files if not sent.is_closed]
        self._files.append(submission)
        if len(self._files) > _MOST_FILES:
            self._files.pop(0).close()

    def _receive(self) -> None:
        try:
            data, descriptors = receive(self._socket)
            if not data:
                raise ConnectionResetError("the pool has closed the connection")
            frames = self._reader.feed(data, descriptors)
        except BlockingIOError:
            return
        except FrameError as error:
            raise OSError(str(error)) from None
        for frame in frames:
            try:
                message = msgpack.unpackb(
                    frame.data, use_list=False, unicode_errors="surrogatepass"
                )
                begun, admitted, answers = message[2][0]
                self._hear(begun, admitted, answers, frame.descriptors)
            finally:
                close_all(frame.descriptors)

    def _hear(self, begun: Any, admitted: Any, answers: Any, descriptors: Any) -> None:
        submissions = self._submissions
        for key in begun:
            submission = submissions.get(key)
            if submission is not None:
                submission.begun = True
                submission.future.begin()
                if not submission.settings.retries:
                    submission.close()
        for key in admitted:
            submission = submissions.get(key)
            if submission is not None and submission.admission is not None:
                submission.admission.settle(None)
        descriptor = descriptors[0] if descriptors else None
        for key, kind, body in answers:
            if key:
                self._settle(key, kind, body, descriptor)
            elif kind == PRINTED:
                print_line(body)
            elif kind == LOG:
                _log(body)

    def _settle(self, key: int, kind: int, body: bytes, descriptor: int | None) -> None:
        with self._lock:
            submission = self._submissions.pop(key, None)
        if submission is None:
            return
        if kind == REFUSED:
            waiting = self.about["queue_size"]
            submission.fail(Overloaded(f"{self.target}: {waiting} tasks wait already"))
        elif not submission.settle(kind, body, descriptor):
            unknown = f"{self.target} has answered with {kind}, which is nothing known"
            submission.fail(SupervisorError(unknown))

    # --- connections ---------------------------------------------------------------------------

    def _connect(self) -> tuple[socket.socket, dict[str, Any]]:
        transport = BlockingTransport()
        deadline = time.monotonic() + _PATIENCE
        try:
            while True:
                link = run_blocking(reach(transport, self.target, deadline))
                request = make_request(ATTACH, (), {}, timeout=deadline - time.monotonic())
                try:
                    frame = link.exchange(request)
                except LinkLost:
                    continue
                about: dict[str, Any] = open_response(self._decoder, frame)
                sock = link.detach()
                sock.setblocking(False)
                return sock, about
        finally:
            transport.close()

    def _recover(self) -> None:
        """The pool's process is gone: go on with the next one."""
        self._socket.close()
        self._outbox.clear()
        self._reader.close()
        try:
            self._socket, self.about = self._connect()
        except SupervisorError as error:
            self._break(error)
            return
        self._reader = FrameReader(frame_limit())
        with self._lock:
            known = list(self._submissions.values())
            self._unsent.clear()
            self._withdrawn.clear()
        for submission in known:
            self._send_again(submission)

    def _send_again(self, submission: Submission) -> None:
        loss = submission.renew()
        if loss is not None:
            self._fail(submission, loss)
            return
        with self._lock:
            self._unsent.append(submission)

    def _fail(self, submission: Submission, error: BaseException) -> None:
        with self._lock:
            self._submissions.pop(submission.key, None)
        submission.fail(error)

    def _break(self, error: SupervisorError) -> None:
        """The pool is gone for good."""
        gone = NoProcess(f"the pool is gone: {error}")
        with self._lock:
            self._broken = gone
            self._closing = True
            self._withdrawn.clear()
            known = list(self._submissions.values())
        for submission in known:
            self._fail(submission, NoProcess(*gone.args))

    def _end(self) -> None:
        with self._lock:
            self._closing = True
            left = list(self._submissions.values())
        for submission in left:
            self._fail(submission, NoProcess("the link to the pool has ended"))
        _links.discard(self)
        self._outbox.clear()
        self._reader.close()
        self.forget()
        self._on_end()


def _log(data: bytes) -> None:
    """Give a record to whoever handles those of its logger here."""
    try:
        record = unpack_record(data)
    except RecordError as error:
        logger.warning("a worker has sent what is no log record: %s", error)
        return
    logging.getLogger(record.name).handle(record)


_links: weakref.WeakSet[Link] = weakref.WeakSet()


def _forked() -> None:
    for link in list(_links):
        link.forget()


os.register_at_fork(after_in_child=_forked)
