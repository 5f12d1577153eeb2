"""What the kernel does for a tree: children die with their parent, orphans are adopted."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["adopt_orphans", "die_with_parent", "set_process_name"]

# Of <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _prctl(option: int, argument: object) -> None:
    if _libc is not None and _libc.prctl(option, argument, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def die_with_parent(parent: int) -> None:
    """Have this process killed when the thread that forked it ends; see PR_SET_PDEATHSIG(2const).

    Args:
        parent: the pid of the process that forked this one. If that died before the signal was
            armed, there will be none: so this looks once more, and ends.
    """
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans(adopt: bool = True) -> None:
    """Become the parent of descendants whose own is gone; see PR_SET_CHILD_SUBREAPER(2const).

    Args:
        adopt: False leaves them to others again.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, int(adopt))


def set_process_name(name: str) -> None:
    """What ps(1) and top(1) call this process: 15 bytes of it."""
    _prctl(_PR_SET_NAME, name.encode("utf-8", "replace").replace(b"\0", b"?")[:15])
