"""Restart or not: the truth table of ``permanent``, ``transient`` and ``temporary``."""

from __future__ import annotations

from typing import assert_never

from supervisor._exit import Exit
from supervisor._spec import Restart

__all__ = ["is_restarted"]


def is_restarted(restart: Restart, exit: Exit) -> bool:
    """Whether a child of this type that was up and ended so by itself is restarted."""
    match restart:
        case "permanent":
            return True
        case "transient":
            return not exit.is_orderly
        case "temporary":
            return False
        case _:
            assert_never(restart)
