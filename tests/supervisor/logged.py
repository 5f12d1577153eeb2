"""Trees whose root writes what it logs into a file, a JSON object a line."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from supervisor import Supervisor, SupervisorRef
from supervisor._client.delivery import Target
from supervisor._node import ROOT, Node
from supervisor._wire.codec import pack_spec, unpack_spec
from tests.support import eventually

Record = dict[str, Any]

_LEFT_OUT = ("args", "exc_info", "msg")


class _JsonHandler(logging.Handler):
    """Writes each record with all its attributes."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._file = open(path, "a", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115

    def emit(self, record: logging.LogRecord) -> None:
        values = {key: value for key, value in vars(record).items() if key not in _LEFT_OUT}
        values["message"] = record.getMessage()
        self._file.write(json.dumps(values, default=repr) + "\n")
        self._file.flush()


class LoggedTree:
    """A tree that runs in a process of its own.

    Attributes:
        ref: of its root.
    """

    def __init__(self, process: subprocess.Popen[bytes], ref: SupervisorRef, log: Path) -> None:
        self.process = process
        self.ref = ref
        self._log = log

    def records(self, **wanted: object) -> list[Record]:
        """The records so far that have these attributes."""
        if not self._log.exists():
            return []
        lines = self._log.read_text(errors="surrogateescape").split("\n")[:-1]
        found = map(json.loads, lines)
        return [
            record
            for record in found
            if all(record.get(key) == value for key, value in wanted.items())
        ]

    def wait_for(self, **wanted: object) -> Record:
        """The first record that has these attributes, once it is there."""
        return eventually(lambda: self.records(**wanted), what=str(wanted))[0]

    def messages(self, **wanted: object) -> list[str]:
        """The messages of these records."""
        return [record["message"] for record in self.records(**wanted)]

    def stop(self) -> None:
        """Stop the tree in order."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


@contextmanager
def logged(spec: Supervisor, run_dir: Path, *, level: str = "INFO") -> Iterator[LoggedTree]:
    """Run a tree by ``Supervisor.run``, and stop it at the end.

    Args:
        spec: the tree.
        run_dir: where its node is.
        level: of the root logger.
    """
    log = run_dir.parent / "log.json"
    plan = run_dir.parent / "tree.spec"
    plan.write_bytes(pack_spec((sys.path, spec)))
    command = [sys.executable, "-m", "tests.supervisor.logged", str(plan), str(log), level]
    ref = SupervisorRef(Target(Node.named("default", run_dir), path=ROOT))
    with subprocess.Popen(command) as process:
        tree = LoggedTree(process, ref, log)
        try:
            tree.wait_for(message="the tree is up")
            yield tree
        finally:
            tree.stop()
            ref._caller.close()


def main(plan: str, log: str, level: str) -> int:
    """Be the root."""
    sys.path[:], spec = unpack_spec(Path(plan).read_bytes())
    logging.basicConfig(level=level, handlers=[_JsonHandler(log)])
    logging.getLogger("quiet").setLevel(logging.ERROR)
    children = (*spec.children, _announcement())
    return Supervisor(
        children,
        strategy=spec.strategy,
        max_restarts=spec.max_restarts,
        max_seconds=spec.max_seconds,
    ).run()


def _announcement() -> Any:
    from supervisor import Child

    return Child(_announce, id="announce", restart="temporary")


def _announce() -> None:
    logging.getLogger("tests").critical("the tree is up")


if __name__ == "__main__":
    # Under its own name, so that specs that refer to this module find the same classes.
    from tests.supervisor.logged import main as run

    os._exit(run(*sys.argv[1:]))
