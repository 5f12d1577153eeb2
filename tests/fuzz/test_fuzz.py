"""A short fuzz: ``make fuzz`` is a long one."""

from __future__ import annotations

import subprocess
import sys

from tests.fuzz.garbage import KINDS


def test_a_short_one_leaves_every_process_whole() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", "60", "--frames", "1000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seed" in done.stdout
    assert "0 wrong" in done.stdout
    assert "10 of 10" in done.stdout
    assert all(kind in done.stdout for kind in KINDS)
