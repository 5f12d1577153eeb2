"""How far something has come that takes a while, on the standard error."""

from __future__ import annotations

import sys
import time

__all__ = ["show_progress"]

# A terminal's line is written over; into a file or a log goes one line in so many seconds.
_TERMINAL_PAUSE, _LOG_PAUSE = 0.1, 10.0


class _Shown:
    """What was shown last, and when."""

    what = ""
    at = float("-inf")


def show_progress(what: str, done: float, of: float, more: str = "") -> None:
    """Show how much is done; where all is, a terminal is left as if there had been nothing.

    Args:
        what: is being done.
        done: how much of it.
        of: how much there is to do.
        more: what else there is to say.
    """
    now, terminal, ends = time.monotonic(), sys.stderr.isatty(), done >= of
    if what != _Shown.what:
        # What takes less than a pause is not worth a line in a log.
        _Shown.at, _Shown.what = (now - _TERMINAL_PAUSE if terminal else now), what
    pause = _TERMINAL_PAUSE if terminal else _LOG_PAUSE
    if now - _Shown.at < pause and not (terminal and ends):
        return
    _Shown.at = now
    text = f"{what}: {done:.0f} of {of:.0f}{more}"
    if terminal:
        print(f"\r\x1b[K{'' if ends else text}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)
