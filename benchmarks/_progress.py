"""How far a run has come, on the standard error."""

from __future__ import annotations

import sys
import time

__all__ = ["show_progress"]

# A terminal's line is written over; into a file or a log goes one line in so many seconds.
_TERMINAL_PAUSE, _LOG_PAUSE = 0.1, 10.0

_shown_at = float("-inf")
_shown = ""


def show_progress(what: str, done: int, of: int) -> None:
    """Show that so many of so many rounds are done; at the last one, nothing is left to see."""
    global _shown_at, _shown
    now, terminal = time.monotonic(), sys.stderr.isatty()
    ends = done + 1 >= of
    pause = _TERMINAL_PAUSE if terminal else _LOG_PAUSE
    if what == _shown and now - _shown_at < pause and not (terminal and ends):
        return
    _shown_at, _shown = now, what
    if not terminal:
        print(f"{what}: {done} of {of}", file=sys.stderr, flush=True)
    else:
        text = "" if ends else f"{what}: {done} of {of}"
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
