"""Monitors: each watches one run of a process."""

from __future__ import annotations

import threading
import time
from typing import Any

from supervisor._client.blocking import BlockingLink
from supervisor._client.caller import Caller
from supervisor._client.delivery import LinkLost, Request, Unreachable, deadline_after
from supervisor._client.requests import make_request, open_response
from supervisor._errors import BadCall, CallTimeout, NoProcess, ProcessDown
from supervisor._exit import Exit
from supervisor._node import ROOT, ProcessPath
from supervisor._wire.codec import Decoder

__all__ = ["Monitor"]

# Seconds in which its supervisor takes up a connection.
_PATIENCE = 5.0


class Monitor:
    """Watches one run of a process.

    Its supervisor is asked at once, over a connection that stays open until the answer is read: so
    the answer is there even if the supervisor, or the whole node, has ended by then.
    """

    def __init__(
        self, caller: Caller, path: ProcessPath | None, instance: int | None, ended: Exit | None
    ) -> None:
        self._caller = caller
        self._path = path
        self._instance = instance
        self._exit = ended
        self._lock = threading.Lock()
        self._link = None if ended is not None or path is None else self._subscribe(path)

    def _subscribe(self, path: ProcessPath) -> BlockingLink | None:
        operation, args = self._question(path)
        try:
            limit = time.monotonic() + _PATIENCE
            link = BlockingLink(self._caller.target.node, path[:-1], limit)
            link.begin(make_request(operation, args, {}, timeout=None))
        except (Unreachable, CallTimeout, LinkLost):
            # It is restarting, perhaps: it is asked when the answer is wanted.
            return None
        return link

    def _question(self, path: ProcessPath) -> tuple[str, tuple[Any, ...]]:
        return ("wait", ()) if path == ROOT else ("wait_child", (path[-1], self._instance))

    def wait(self, timeout: float | None = None) -> Exit:
        """Why it ended, once it has.

        Args:
            timeout: seconds to wait; None waits without limit.

        Raises:
            TimeoutError: it had not ended by then.
        """
        deadline = deadline_after(timeout)
        if not self._lock.acquire(timeout=-1 if timeout is None else min(max(timeout, 0), 1e6)):
            raise self._not_ended()
        try:
            if self._exit is None and self._path is not None:
                self._exit = self._answer(deadline) or self._ask(self._path, deadline)
        finally:
            self._lock.release()
        return self._exit or Exit("error", error="there was no such process")

    def _answer(self, deadline: float | None) -> Exit | None:
        """What comes over the open connection; None where there is none, or it is broken."""
        link = self._link
        if link is None or link.is_of_parent:
            return None
        try:
            frame = link.finish(Request("wait", b"", deadline))
        except CallTimeout:
            raise self._not_ended() from None
        except LinkLost:
            self._link = None
            return None
        self._link = None
        link.close()
        return _checked(open_response(Decoder(importing=True), frame))

    def _ask(self, path: ProcessPath, deadline: float | None) -> Exit:
        operation, args = self._question(path)
        remaining = None if deadline is None else deadline - time.monotonic()
        try:
            asked = path if path == ROOT else path[:-1]
            return _checked(self._caller.ask(asked, operation, *args, timeout=remaining))
        except (ProcessDown, NoProcess) as error:
            # Its supervisor, or the whole node, ended with it.
            return Exit("error", error=f"its supervisor could not be asked: {error}")
        except CallTimeout:
            raise self._not_ended() from None

    def _not_ended(self) -> CallTimeout:
        return CallTimeout(f"{self._caller.target} has not ended")


def _checked(answer: object) -> Exit:
    if not isinstance(answer, Exit):
        raise BadCall(f"a supervisor answered {answer!r}")
    return answer
