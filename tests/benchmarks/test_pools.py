"""What becomes of a pool, as the benchmark says it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks._pool_peers import FATES, PEERS, Regrow, meet, name_of


def test_a_fate(run_dir: Path) -> None:
    contender = Regrow()
    try:
        found = meet(contender, "die")
    finally:
        contender.close()
    assert (found["task"], found["others"], found["pool"]) == ("WorkerCrashed", 100, "works")


def test_the_program(run_dir: Path) -> None:
    command = [sys.executable, "-m", "benchmarks._pool_peers", Regrow.title, "raise_unpicklable"]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=False, timeout=60).stdout
    assert json.loads(said)["task"] == "RemoteError"
    assert "raise_unpicklable" in FATES


def test_names() -> None:
    assert name_of(Regrow) == "regrow PoolExecutor"
    assert len({peer.title for peer in PEERS}) == len(PEERS)
