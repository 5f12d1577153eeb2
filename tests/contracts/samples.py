"""Sessions, runs and events for tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from ports import Event, Run, Session

NOON = datetime(2024, 5, 17, 12, 0, 0, 123456, UTC)


def at(minutes: float) -> datetime:
    """Return a moment so many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def session(**fields: Any) -> Session:
    return Session(**{"agent_id": "agent", **fields})


def run(session_id: str = "s", **fields: Any) -> Run:
    return Run(**{"session_id": session_id, **fields})


def event(session_id: str = "s", **fields: Any) -> Event:
    return Event(**{"session_id": session_id, "type": "message_sent", **fields})


def nested(levels: int) -> Any:
    """Return lists in lists, so many."""
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


# What JSON can carry, and some format or column might not.
AWKWARD_JSON: dict[str, Any] = {
    "": "an empty key",
    "empty": [{}, [], "", None],
    "small": [0, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)],
    "big": [2**63, 2**64, -(2**64), 10**100],
    "huge": 10**5000,
    "floats": [0.1, -0.0, 1e308, 5e-324, 1.0],
    "true": [True, False, None, 1, 1.0],
    "unicode": "Zoë \U0001f600 \u2028 \x7f \x01 \"'\\ %s ; --",
    "\u00fcber": {"\U0001f600": "\ufeff"},
    "long": "x" * 100_000,
    "deep": nested(200),
    "$ref": {"__type__": "datetime", "2024-01-01T00:00:00+00:00": "2024-01-01T00:00:00+00:00"},
}
