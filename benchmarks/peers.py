"""The same call through others: what they take, each in turn with one hop of ours."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks._harness import Samples, interleave
from benchmarks._report import Chart, Line, Report, Settings, latency_line

__all__ = ["TITLE", "measure"]

TITLE = "get_session, beside others"

_OURS = "regrow, one hop"

_ROOT = Path(__file__).parents[1]

# Seconds in which each of them starts, even on a busy machine, and in which it ends.
_START_PATIENCE, _END_PATIENCE = 90.0, 20.0

logger = logging.getLogger("benchmarks")


@dataclass(frozen=True, slots=True)
class Peer:
    """Another that carries calls between processes.

    Attributes:
        name: of it, with how it is set up.
        module: of ``benchmarks._peers``, whose process measures it.
        requires: the package that has to be installed.
        program: what has to be on the PATH instead.
    """

    name: str
    module: str
    requires: str = ""
    program: str = ""

    def absence(self) -> str | None:
        """Why it cannot be measured here; None where it can."""
        if self.program and shutil.which(self.program) is None:
            return f"no {self.program} on the PATH"
        if self.requires and importlib.util.find_spec(self.requires) is None:
            return "not installed: pip install 'regrow[bench]'"
        return None

    def title(self) -> str:
        """Its name, with its version where that is known."""
        return f"{self.name} {version(self.requires)}" if self.requires else self.name


PEERS: Sequence[Peer] = (
    Peer("Pyro5, Unix socket, msgpack,", "pyro_proxy", requires="Pyro5"),
    Peer("xoscar, actor in a sub-pool,", "xoscar_actor", requires="xoscar"),
    Peer("Ray, actor,", "ray_actor", requires="ray"),
    Peer("Erlang, gen_server of another local node", "erlang_nodes", program="erl"),
)


class PeerFailed(Exception):
    """A peer did not start, or did not answer: the message says what it said."""


def measure(settings: Settings) -> Report:
    """Measure it."""
    lines: list[Line] = []
    notes = ["each is a client process and a server process with the settings that start them"]
    ours: list[Samples] = []
    for number, peer in enumerate(PEERS):
        settings.progress("peers", number, len(PEERS))
        absence = peer.absence()
        if absence is None:
            try:
                rounds = _beside_us(peer, settings)
            except PeerFailed as error:
                logger.error("%s", error)
                absence = "failed, see above"
            else:
                ours += rounds[_OURS]
                baseline = (_OURS, rounds[_OURS])
                lines.append(latency_line(peer.title(), "µs", rounds[peer.name], baseline=baseline))
        if absence is not None:
            notes.append(f"left out: {peer.name.rstrip(',')} ({absence})")
    settings.progress("peers", len(PEERS), len(PEERS))
    if not lines:
        return Report("peers", TITLE, [], notes)
    lines.insert(0, latency_line(_OURS, "µs", ours))
    return Report("peers", TITLE, lines, notes, charts=[_chart(lines)])


def _chart(lines: Sequence[Line]) -> Chart:
    ratios = {line.what: line.ratio.median for line in lines if line.ratio is not None}
    return Chart(TITLE, f"p50, times that of {_OURS}", bars={_OURS: 1.0, **ratios})


def _beside_us(peer: Peer, settings: Settings) -> dict[str, list[Samples]]:
    """Both in turn, while nobody else runs."""
    calls = settings.pick(500, 100)
    with (
        _asked("regrow_server", settings) as ours,
        _asked(peer.module, settings) as theirs,
    ):
        return interleave(
            {_OURS: lambda: ours(calls), peer.name: lambda: theirs(calls)},
            rounds=settings.pick(15, 3),
            warmups=2,
            progress=lambda done, of: settings.progress(f"peers, {peer.module}", done, of),
        )


@contextlib.contextmanager
def _asked(module: str, settings: Settings) -> Iterator[Callable[[int], Samples]]:
    """The process that measures a peer; asked for so many calls, it says how long each took.

    Raises:
        PeerFailed: it did not start.
    """
    folder = settings.scratch / module
    folder.mkdir(exist_ok=True)
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks._peers.{module}", str(folder)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            # What it starts can be killed with it.
            start_new_session=True,
        )
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both are pipes")
        requests, answers = process.stdin, process.stdout

        def answer() -> str:
            # One line at most is on its way, so nothing is in the buffer.
            if not select.select([answers], [], [], _START_PATIENCE)[0]:
                raise PeerFailed(f"{module} did not answer within {_START_PATIENCE:.0f} s")
            if not (line := answers.readline()):
                process.wait()
                raise PeerFailed(f"{module} has ended: {Path(log.name).read_text()[-2000:]}")
            return line

        def ask(calls: int) -> Samples:
            requests.write(f"{calls}\n")
            requests.flush()
            return [1e6 * float(seconds) for seconds in json.loads(answer())]

        try:
            greeting = answer()
            if greeting != "ready\n":
                raise PeerFailed(f"{module} says {greeting!r}")
            yield ask
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Let it end what it has started; kill all of it where it does not."""
    try:
        process.communicate(timeout=_END_PATIENCE)
    except (subprocess.TimeoutExpired, BrokenPipeError):
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
