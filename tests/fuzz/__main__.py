"""``python -m tests.fuzz``: send garbage for a while, and check that every process is whole.

The exit status is 1 where one is not.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from supervisor import SupervisorError, SupervisorRef, connect
from tests.fuzz.garbage import KINDS
from tests.fuzz.sender import Sender
from tests.fuzz.tree import SOCKETS, make_tree, pids
from tests.supervisor.conftest import stderr_to

_NAMES = ("server", "async", "deep")


class Bystander(threading.Thread):
    """Calls servers all the while, and checks what they answer.

    Attributes:
        answered: how many calls were answered rightly.
        wrong: the others, in words.
    """

    def __init__(self) -> None:
        super().__init__(name="bystander")
        self.answered = 0
        self.wrong: list[str] = []
        self._over = threading.Event()

    def run(self) -> None:
        clients = {name: connect(name, timeout=30) for name in _NAMES}
        while not self._over.is_set():
            for name, client in clients.items():
                try:
                    answer = client.echo([name, self.answered])
                except SupervisorError as error:
                    self.wrong.append(f"{name}: {type(error).__name__}: {error}")
                    continue
                if answer == [name, self.answered]:
                    self.answered += 1
                else:
                    self.wrong.append(f"{name} answered {answer!r:.200}")
        for client in clients.values():
            client.close()

    def stop(self) -> None:
        """Let the last calls end."""
        self._over.set()
        self.join()


def main() -> int:
    """Run the fuzz; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--frames", type=int, help="stop after so many, if that comes first")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the garbage")
    options = parser.parse_args()
    print(f"seed          {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="regrow-fuzz-") as folder:
        os.environ["REGROW_RUN_DIR"] = os.path.join(folder, "run")
        # What is refused is logged, and there will be a lot of that.
        with stderr_to(Path(folder) / "log"):
            tree = make_tree(Path(folder)).start("fuzz")
        with tree:
            return _fuzz(tree, options)


def _fuzz(tree: SupervisorRef, options: argparse.Namespace) -> int:
    rng = random.Random(options.seed)
    sender = Sender(tree)
    before, held = pids(tree), sender.descriptors(pids(tree))
    bystander = Bystander()
    bystander.start()
    begun = time.monotonic()
    targets = (*SOCKETS, "control pipe", "log socket")
    while time.monotonic() - begun < options.seconds:
        if options.frames is not None and sum(sender.sent.values()) >= options.frames:
            break
        kind = rng.choice(tuple(KINDS))
        sender.send(kind, rng.choice(targets), *KINDS[kind](rng))
    seconds = time.monotonic() - begun
    bystander.stop()
    after = pids(tree)
    changed = [name for name in before if before[name] != after[name]]
    problems = [*sender.problems, *bystander.wrong, *sender.grown(held, after)]
    problems += [f"{name}: process {before[name]}, then {after[name]}" for name in changed]
    sender.close()
    for kind in KINDS:
        print(f"{kind:20} {sender.sent[kind]:9,}")
    for target in targets:
        print(f"  to {target:15} {sender.by_target[target]:9,}")
    print(f"sent                 {sum(sender.sent.values()):9,} in {seconds:.0f} s")
    print(f"connections closed   {sender.closed:9,}")
    print(f"answers to garbage   {sender.answered:9,} bytes")
    print(f"calls beside it      {bystander.answered:9,} answered, {len(bystander.wrong)} wrong")
    print(f"processes whole      {len(before) - len(changed):9,} of {len(before)}")
    for problem in problems[:20]:
        print(f"problem: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
