"""``python -m tests.leaks``: do it all a thousand times, and show what each process holds.

The exit status is 1 where a process has grown.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.leaks.scenarios import SCENARIOS, Scene, make_tree, run
from tests.supervisor.conftest import stderr_to

# The registry that has died too often in a row is waited with: see _root.py.
_SLOW = {"registry restarts": 10}


def main() -> int:
    """Run every scenario; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.leaks", description=__doc__)
    parser.add_argument("--times", type=int, default=1000, help="how often each is done (1000)")
    times = parser.parse_args().times
    leaks = []
    with tempfile.TemporaryDirectory(prefix="regrow-leaks-") as folder:
        os.environ["REGROW_RUN_DIR"] = folder
        # A thousand deaths are a thousand records.
        with stderr_to(Path(folder) / "log"):
            tree = make_tree().start("leaks", run_dir=folder)
        with tree:
            found = Scene(tree)
            for name, do in SCENARIOS.items():
                begun = time.monotonic()
                result = run(found, do, max(10, times // _SLOW.get(name, 1)))
                seconds = time.monotonic() - begun
                print(f"{result.times} {name}, {seconds:.1f} s", flush=True)
                for process, after in result.after.items():
                    before = result.before[process]
                    print(
                        f"  {process:10} descriptors {before.descriptors:4} -> "
                        f"{after.descriptors:4}   memory {before.resident >> 10:7,} -> "
                        f"{after.resident >> 10:7,} KiB"
                    )
                leaks += [f"{name}: {leak}" for leak in result.leaks()]
            found.close()
    for leak in leaks:
        print(f"leak: {leak}")
    print("leaks         ", len(leaks))
    return 1 if leaks else 0


if __name__ == "__main__":
    sys.exit(main())
