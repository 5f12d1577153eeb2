"""How an end is judged: what it is put down to, and whether a restart follows."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from supervisor._core.children import Running, Starting, Stopping
from supervisor._exit import Exit
from supervisor._spec import Restart
from supervisor._supervisor import ChildSpec

__all__ = ["blamed", "is_restarted"]


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


def blamed(spec: ChildSpec, state: Starting | Running | Stopping, exit: Exit) -> Exit:
    """How it ended, told by what it was stopped for where it was stopped for a failing."""
    if not isinstance(state, Stopping):
        return exit
    match state.why:
        case "late":
            error = f"it did not become ready within {spec.start_timeout} seconds"
            return replace(exit, reason="error", error=error)
        case "watchdog" | "max_rss":
            return replace(exit, reason=state.why)
        case "hand" | "group" | "shutdown":
            return exit
        case _:
            assert_never(state.why)
