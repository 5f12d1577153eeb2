"""``python -m tests.soak``: kill every kind of process under load, and check what was promised.

The root comes last: its death ends the tree, and what was acknowledged is there all the same.
The exit status is 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from supervisor import SupervisorRef
from tests.soak.audit import Findings, audit
from tests.soak.client import Journal, Orders
from tests.soak.killer import Killer
from tests.soak.tree import make_tree

_SHOWN = 20


def main() -> int:
    """Run the soak; return the exit status."""
    options = _options()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="regrow-soak-") as folder:
        return _soak(options, Path(folder))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--kills", type=int, help="stop after so many kills, if that comes first")
    parser.add_argument("--clients", type=int, default=8, help="how many processes call (8)")
    parser.add_argument("--timeout", type=float, default=10.0, help="of each call, seconds (10)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the choices")
    return parser.parse_args()


def _soak(options: argparse.Namespace, folder: Path) -> int:
    run_dir = str(folder / "run")
    begun = time.monotonic()
    with make_tree(folder).start("soak", run_dir=run_dir) as tree:
        killer = Killer(tree, run_dir, random.Random(options.seed))
        journals = _run_clients(options, run_dir, tree, killer)
        killer.kill_root()
    seconds = time.monotonic() - begun
    findings = audit(folder, journals)
    return _tell(killer, journals, findings, seconds)


def _run_clients(
    options: argparse.Namespace, run_dir: str, tree: SupervisorRef, killer: Killer
) -> dict[str, Journal]:
    """Kill while the clients work; return their journals once they have ended."""
    with ExitStack() as stack:
        clients = {
            f"client-{number}": stack.enter_context(
                _start_client(Orders(number, options.seed, run_dir, options.timeout))
            )
            for number in range(options.clients)
        }
        deadline = time.monotonic() + options.seconds

        def is_over() -> bool:
            enough = options.kills is not None and sum(killer.kills.values()) >= options.kills
            return enough or time.monotonic() > deadline

        killer.go_on_until(is_over)
        return {name: _journal_of(client) for name, client in clients.items()}


def _start_client(orders: Orders) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.soak.client", json.dumps(asdict(orders))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _journal_of(client: subprocess.Popen[str]) -> Journal:
    """Tell the client to end, and read what it has to say."""
    output, _ = client.communicate()
    if client.returncode != 0:
        return Journal(broken=[f"a client ended with status {client.returncode}"])
    return Journal(**json.loads(output))


def _tell(killer: Killer, journals: dict[str, Journal], findings: Findings, seconds: float) -> int:
    calls = sum(sum(journal.calls.values()) for journal in journals.values())
    failures = [failure for journal in journals.values() for failure in journal.failures]
    broken = [what for journal in journals.values() for what in journal.broken]
    slowest = max((journal.slowest for journal in journals.values()), default=0.0)
    for title, found in (
        ("failed", [f"{operation}: {how}" for operation, _, how in failures]),
        ("contradicted", broken),
        ("lost", findings.lost),
        ("duplicates", findings.duplicates),
        ("gaps", findings.gaps),
        ("not recovered", killer.problems),
    ):
        for what in found[:_SHOWN]:
            print(f"{title}: {what}")
    kills = sum(killer.kills.values())
    each = ", ".join(f"{name} {count}" for name, count in sorted(killer.kills.items()))
    print(f"{seconds:.0f} s, {len(journals)} clients")
    print(f"kills         {kills} ({each})")
    print(f"stops         {killer.stops} (SIGSTOP, for a moment)")
    print(f"calls         {calls} (slowest {slowest:.3f} s)")
    print(f"events        {findings.events}")
    print(f"failed        {len(failures)}")
    print(f"contradicted  {len(broken)}")
    print(f"lost          {len(findings.lost)}")
    print(f"duplicates    {len(findings.duplicates)}")
    print(f"gaps          {len(findings.gaps)}")
    print(f"recovery      {_percentiles(killer.recoveries)}")
    is_kept = not (failures or broken or findings or killer.problems) and kills and calls
    return 0 if is_kept else 1


def _percentiles(seconds: list[float]) -> str:
    if not seconds:
        return "never measured"
    ordered = sorted(seconds)

    def percentile(part: float) -> str:
        return f"{ordered[min(len(ordered) - 1, int(part * len(ordered)))] * 1000:.1f} ms"

    return f"p50 {percentile(0.5)}, p99 {percentile(0.99)}, slowest {percentile(1.0)}"


if __name__ == "__main__":
    sys.exit(main())
