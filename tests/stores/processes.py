"""Child processes of the tests of stores."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def child(code: str, *args: object) -> subprocess.Popen[str]:
    """Run a program with pipes for its input and output."""
    return subprocess.Popen(
        [sys.executable, "-u", "-c", code, *map(str, args)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that a child prints; it has to come."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the child ended without a word"
    return line.strip()


def forked(work: Callable[[], int]) -> int:
    """Do some work in a child process that is forked from this one; return its pid.

    Much quicker than a program that has to import everything first. The child's exit status is what
    `work` returns; 255, if it raises.
    """
    pid = os.fork()
    if pid == 0:
        status = 255
        try:
            status = work()
        finally:
            os._exit(status)
    return pid


def status_of(pid: int) -> int:
    """Wait for a child process, and return its exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
