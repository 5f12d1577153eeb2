"""A thousand kills under load: what callers and stores notice of them."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

from benchmarks._report import Bar, Report, Settings, rate_line

__all__ = ["TITLE", "counted", "measure"]

TITLE = "kill -9 of every kind of process, under load from 8 clients"

_ROOT = Path(__file__).parents[1]
_CLIENTS = 8

# So many seconds apart, it is looked how far it has come.
_LOOKS_EVERY = 0.5

# Of each, there is to be none.
_NONE_OF = {
    "failed": "idempotent calls that failed",
    "contradicted": "answers that contradict what was acknowledged",
    "lost": "acknowledged writes lost",
    "duplicates": "events stored twice",
    "gaps": "gaps in a sequence",
}


def measure(settings: Settings) -> Report:
    """Measure it: this is the soak of the tests, which says what it has counted."""
    kills = settings.pick(1000, 50)
    found = _soak(kills, settings)
    lines = [
        rate_line("kills", "", [[found["kills"]]], bars=[Bar(">=", kills)]),
        rate_line("calls meanwhile", "", [[found["calls"]]]),
        rate_line("events stored meanwhile", "", [[found["events"]]]),
        *(
            rate_line(what, "", [[found[name]]], bars=[Bar("<=", 0)])
            for name, what in _NONE_OF.items()
        ),
    ]
    notes = ("registry, supervisors, stores and composite, chosen at random: see tests/soak",)
    return Report("kills", TITLE, lines, notes)


def _soak(kills: int, settings: Settings) -> dict[str, int]:
    """What it has counted, by what that is."""
    log = settings.scratch / "soak.log"
    command = [sys.executable, "-m", "tests.soak", "--kills", str(kills), "--seconds", "3600"]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [*command, "--clients", str(_CLIENTS)],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        # Each kill is a line in its log.
        while process.poll() is None:
            done = log.read_text().count("SIGKILL")
            settings.progress("kills", min(done, kills - 1), kills)
            time.sleep(_LOOKS_EVERY)
        settings.progress("kills", kills, kills)
        if process.stdout is None:
            raise AssertionError("it is a pipe")
        said = process.stdout.read()
    return counted(said, log.read_text())


def counted(said: str, log: str) -> dict[str, int]:
    """The numbers in what a soak says in the end.

    Raises:
        RuntimeError: it does not say all of them.
    """
    found = {what: int(count) for what, count in re.findall(r"(?m)^(\w+) +(\d+)\b", said)}
    if missing := {"kills", "calls", "events", *_NONE_OF} - found.keys():
        raise RuntimeError(f"the soak has not counted {sorted(missing)}: {said}{log[-2000:]}")
    return found
