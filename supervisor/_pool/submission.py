"""A task as the program sees it that has submitted it, until it is settled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from supervisor._errors import NoProcess, TaskTimeout, WorkerCrashed
from supervisor._exit import Exit
from supervisor._pool.futures import Admission, PoolFuture
from supervisor._pool.messages import CANCELLED, CRASHED, ERROR, RESULT, TIMED_OUT
from supervisor._pool.payload import Body, load_error, load_result
from supervisor._wire.codec import Decoder

__all__ = ["Settings", "Submission"]

_WENT_ALONG = "went with the pool, which has died: it was not begun, and can be submitted again"


@dataclass(frozen=True, slots=True)
class Settings:
    """What tasks are submitted with."""

    retries: int = 0
    timeout: float | None = None
    priority: int = 0
    when_full: str = "block"


class Submission:
    """A task that is not settled yet."""

    __slots__ = (
        "admission",
        "begun",
        "blob",
        "body",
        "future",
        "is_closed",
        "key",
        "name",
        "settings",
        "wait",
    )

    def __init__(self, key: int, name: str, body: Body, settings: Settings, *, wait: bool) -> None:
        self.key = key
        self.name = name
        self.body = body.data
        self.blob = body.blob
        self.settings = settings
        self.wait = wait
        self.begun = False
        self.is_closed = False
        self.future: PoolFuture
        self.admission: Admission | None = None

    def row(self) -> tuple[Any, ...]:
        """How it goes to the pool."""
        settings = self.settings
        return (
            self.key,
            self.name,
            settings.priority,
            settings.retries,
            settings.timeout,
            self.wait,
            self.body,
        )

    def settle(self, kind: int, body: bytes, descriptor: int | None) -> bool:
        """The pool has answered: fill in the future.

        Returns:
            False if such an answer is nothing known; nothing was done then.
        """
        if kind == RESULT:
            self._succeed(body, descriptor)
        elif kind == CANCELLED:
            self.close()
            self.future.cancel()
        elif kind == ERROR:
            self.close()
            self.future.fail(load_error(body, descriptor))
        elif kind == CRASHED:
            self.close()
            self.future.fail(WorkerCrashed(self.name, *_decode(body)))
        elif kind == TIMED_OUT:
            self.close()
            stacks = _decode(body)
            self.future.fail(TaskTimeout(self.name, self.settings.timeout or 0.0, stacks))
        else:
            return False
        return True

    def _succeed(self, body: bytes, descriptor: int | None) -> None:
        self.close()
        try:
            result = load_result(body, descriptor)
        except BaseException as error:  # noqa: BLE001  whatever the objects in it do
            error.add_note(f"the result of {self.name} could not be rebuilt here")
            self.future.fail(error)
        else:
            self.future.succeed(result)

    def fail(self, error: BaseException) -> None:
        """There will be no result, because of this."""
        self.close()
        if self.admission is not None:
            self.admission.settle(error)
        self.future.fail(error)

    def renew(self) -> Exception | None:
        """The pool's process has died: make this ready to be sent to the next one.

        Returns:
            What its caller is to be told instead, where it cannot be sent again.
        """
        settings = self.settings
        if self.is_closed and not self.begun:
            return NoProcess(f"the arguments of {self.name} {_WENT_ALONG}")
        if self.begun:
            if not settings.retries or self.is_closed:
                lost = Exit("error", error="the process of the pool itself has died")
                return WorkerCrashed(self.name, lost)
            self.settings = replace(settings, retries=settings.retries - 1)
            self.begun = False
            self.future.begin_again()
        return None

    def close(self) -> None:
        """Let go of its file."""
        if self.blob is not None:
            self.blob.close()
            self.is_closed = True


def _decode(body: bytes) -> Any:
    return Decoder(importing=True).decode(body)
