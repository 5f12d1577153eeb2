"""The operations that write: what each of them wants written, and what it returns.

The functions have the names and the arguments of the operations. What they are given belongs to the
store from then on; a caller who shares it with others gives a copy.
"""

from collections.abc import Callable
from typing import Any

from ports._arguments import (
    event_argument,
    events_argument,
    run_argument,
    session_argument,
    session_id_argument,
)

from ._writes import Write, Written, write_of

__all__ = ["prepare", "result"]


def prepare(operation: str, *args: Any, **kwargs: Any) -> Write:
    """Return what an operation wants written.

    Raises:
        ValidationError: An argument cannot be what it is.
        TypeError: The operation takes other arguments.
        KeyError: It is none that writes.

    """
    return _PREPARE[operation](*args, **kwargs)


def result(operation: str, written: Written) -> Any:
    """Return what an operation returns once everything it wanted is written."""
    if operation == "append_event_with_sequence":
        return written.events[0]
    return written.events if operation == "append_events" else None


def _save_session(session: object) -> Write:
    return write_of(session=session_argument(session))


def _delete_session(session_id: object) -> Write:
    return Write(delete=session_id_argument(session_id))


def _save_run(run: object) -> Write:
    return write_of(run=run_argument(run))


def _append_event(event: object) -> Write:
    return write_of(events=[event_argument(event)])


def _append_events(events: object) -> Write:
    return write_of(events=events_argument(events))


def _flush(session: object, run: object, events: object) -> Write:
    return write_of(
        session=session_argument(session), run=run_argument(run), events=events_argument(events)
    )


_PREPARE: dict[str, Callable[..., Write]] = {
    "save_session": _save_session,
    "delete_session": _delete_session,
    "save_run": _save_run,
    "append_event": _append_event,
    "append_event_with_sequence": _append_event,
    "append_events": _append_events,
    "flush": _flush,
}
