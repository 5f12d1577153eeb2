"""Child processes of the tests of stores."""

import subprocess
import sys
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
