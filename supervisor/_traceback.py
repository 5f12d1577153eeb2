"""What went wrong, as text for those who wrote the code that it went wrong in."""

from __future__ import annotations

import os
import traceback
from types import TracebackType

__all__ = ["format_error", "without_runtime"]

_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep

# Below its frame there are only those of the process's start, which a fork has from its supervisor.
_FIRST_FRAME = f'{os.path.join(_OWN, "_driver", "main.py")}"'


def format_error(error: BaseException) -> str:
    """The traceback of an exception, from the first frame that is not the runtime's own.

    Where all of them are, it is the whole traceback.
    """
    frame = error.__traceback__
    while frame is not None and _is_own(frame):
        frame = frame.tb_next
    shown = frame or error.__traceback__
    return "".join(traceback.format_exception(type(error), error, shown))


def _is_own(frame: TracebackType) -> bool:
    return frame.tb_frame.f_code.co_filename.startswith(_OWN)


def without_runtime(stacks: str) -> str:
    """Stacks as faulthandler(3) writes them, without what is below a process's first frame."""
    shown, is_below = [], False
    for line in stacks.splitlines():
        if not line.startswith("  File "):
            is_below = False
        elif _FIRST_FRAME in line:
            is_below = True
        if not is_below:
            shown.append(line)
    return "\n".join(shown)
