"""Ids of new sessions, runs and events."""

from secrets import token_hex
from time import time_ns

__all__ = ["new_id"]


def new_id(prefix: str) -> str:
    """A new id: the prefix and 32 hexadecimal digits, half of them the time and half at random.

    Ids that follow each other in time so lie side by side in a database's index, and do not each
    touch another page of it; as in UUID version 7 (RFC 9562).
    """
    return f"{prefix}{time_ns():016x}{token_hex(8)}"
