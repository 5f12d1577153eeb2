"""A server that does nothing, in a module that imports nothing: what is left is the runtime's."""

from __future__ import annotations

__all__ = ["Idle"]


class Idle:
    """Waits for calls, and answers them."""

    def ping(self) -> None:
        """Answer."""
