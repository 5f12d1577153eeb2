"""Those who have submitted tasks, as the pool's process sees them: one for each connection."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from supervisor._pool.messages import NEWS, notification
from supervisor._pool.tasks import Task
from supervisor._server.endpoint import Connection

__all__ = ["Caller", "Payload", "read_tasks"]

# News are cut into frames of about so many bytes.
_BATCH = 256 * 1024


@dataclass(slots=True)
class Payload:
    """A task's or an answer's body, and the file that goes with it, which this owns."""

    kind: int
    body: bytes
    descriptor: int | None = None

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


class Caller:
    """A connection, its tasks, and what it is to be told."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.tasks: dict[int, Task] = {}
        self._begun: list[int] = []
        self._admitted: list[int] = []
        self._answers: list[tuple[int, int, bytes]] = []
        self._size = 0

    def begun(self, key: int) -> None:
        """Tell it, at the next flush, that the task is with a worker."""
        self._begun.append(key)

    def admitted(self, key: int) -> None:
        """Tell it that the task has its place in the queue."""
        self._admitted.append(key)

    def answer(self, key: int, payload: Payload) -> None:
        """Tell it what has become of the task, or what the task has to say; closes the file."""
        if payload.descriptor is None:
            self._answers.append((key, payload.kind, payload.body))
            self._size += len(payload.body)
            if self._size > _BATCH:
                self._put(())
            return
        self._put(())
        self._answers.append((key, payload.kind, payload.body))
        self._put((payload.descriptor,))
        payload.close()

    def flush(self) -> None:
        """Send it what there is."""
        self._put(())
        self.connection.flush()

    def _put(self, descriptors: tuple[int, ...]) -> None:
        if not (self._begun or self._admitted or self._answers):
            return
        frame = notification(NEWS, self._begun, self._admitted, self._answers)
        self._begun, self._admitted, self._answers = [], [], []
        self._size = 0
        # What is told at one turn is sent together, by ``flush``.
        self.connection.hold()
        self.connection.put(frame, descriptors)

    @property
    def is_stuck(self) -> bool:
        """Whether it does not take what it is told."""
        return self.connection.is_stuck


def read_tasks(
    caller: Caller, rows: Any, descriptors: Sequence[int], numbers: Iterator[int]
) -> Iterator[tuple[Task, bool]]:
    """The tasks of a submission, each with whether its caller waits for room.

    Raises:
        ValueError, TypeError: this is no submission.
    """
    for key, name, priority, retries, timeout, wait, body in rows:
        kinds = (type(key), type(name), type(priority), type(retries), type(wait), type(body))
        if kinds != _KINDS or not (timeout is None or type(timeout) is float):
            raise TypeError(f"not a task: {key!r:.50}, {name!r:.50}, ...")
        payload = Payload(0, body, descriptors[0] if descriptors else None)
        yield Task(next(numbers), caller, key, name, payload, priority, retries, timeout), wait


_KINDS = (int, str, int, int, bool, bytes)
