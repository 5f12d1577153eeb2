"""The demonstration, step by step, and how it ended."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from ports import ArtifactStore, SessionStore, StoreError
from stores._demo._git import GitError, Repository
from stores._demo._kills import Kill, kill_root, victims_of
from stores._demo._narrator import Narrator
from stores._demo._proof import Check, prove
from stores._demo._recorded import Recorded, record
from stores._demo._recording import RecorderDied, Recorders
from stores._demo._text import plural
from stores._demo._tree import make_tree
from supervisor import SupervisorError, SupervisorRef, connect
from supervisor._cli.snapshot import ProcessSnapshot, TreeSnapshot, take_snapshot
from supervisor._cli.status import BAD_USAGE, BROKEN_PROMISE, OK
from supervisor._cli.style import printable
from supervisor._cli.tree import describe_tree
from supervisor._embed import StartedTree

__all__ = ["demo"]

_RECORDERS = 4
_MOST_ROUNDS = 3
_NODE = "demo"

# What git writes a patch of, and the clients record, in a few seconds.
_MOST_FILES = 4000
_MOST_BYTES = 24 * 2**20


def demo(arguments: Namespace) -> int:
    """Run the demonstration.

    Args:
        arguments: ``repository``, ``keep``, ``commits`` and ``rounds``.

    Returns:
        The exit status.
    """
    begun = time.monotonic()
    say = Narrator(sys.stdout)
    try:
        with _folder(arguments.keep) as folder:
            repository = _find(arguments.repository, folder, say)
            checks = _Demo(repository, folder, say, arguments).run()
    except (GitError, OSError) as error:
        print(f"regrow: {error}", file=sys.stderr)
        return BAD_USAGE
    return _conclude(checks, time.monotonic() - begun, say, arguments.keep)


@contextlib.contextmanager
def _folder(keep: str | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="regrow-demo-") as name:
            yield Path(name)
        return
    folder = Path(keep).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: --keep takes a new folder or an empty one")
    yield folder


def _find(path: str | None, folder: Path, say: Narrator) -> Repository:
    if path is not None:
        return Repository(path)
    try:
        here = Repository(os.getcwd())
        if here.count():
            return here
        reason = "nothing is committed in this repository yet"
    except GitError as error:
        reason = str(error)
    sample = Repository.sample(folder / "sample.git")
    say.note(f"the bundled sample is taken: {printable(reason)}")
    return sample


class _Demo:
    def __init__(
        self, repository: Repository, folder: Path, say: Narrator, arguments: Namespace
    ) -> None:
        self._repository = repository
        self._folder = folder
        self._run_dir = folder / "run"
        self._say = say
        found = repository.commits(arguments.commits)
        self._commits = repository.small_enough(found, _MOST_FILES, _MOST_BYTES) if found else []
        self._rounds = arguments.rounds

    def run(self) -> list[Check]:
        """Record, kill and prove; the promises that were made."""
        if not self._commits:
            raise GitError(f"nothing is committed in {self._repository.path}")
        authors = len({commit.author for commit in self._commits})
        self._say.step(
            "the input",
            f"{printable(self._repository.path)}: {self._extent()}, by {plural(authors, 'author')}",
        )
        try:
            return self._recorded()
        except (SupervisorError, StoreError, RecorderDied) as error:
            return [Check("the demonstration ran to its end", [f"{type(error).__name__}: {error}"])]

    def _extent(self) -> str:
        taken, there = len(self._commits), self._repository.count()
        if taken == there:
            return plural(taken, "commit")
        return f"the newest {taken:,} of {plural(there, 'commit')}"

    def _recorded(self) -> list[Check]:
        begun = time.monotonic()
        with self._start() as tree:
            self._say.step("the tree", f"up in {(time.monotonic() - begun) * 1000:.0f} ms")
            self._say.lines(describe_tree(take_snapshot(tree), self._say.style))
            recorded = self._record(tree)
            checks = self._prove(recorded)
            checks += [_check_kills(recorded.kills), _check_calls(recorded)]
            checks.append(self._end(tree))
        for check in checks:
            self._say.check(check)
        return checks

    def _start(self) -> StartedTree:
        # Each restart is logged, by the root, to the standard error that it has inherited.
        with _standard_error_to(self._folder / "tree.log"):
            spec = make_tree(self._folder, kills=100 + 10 * (self._rounds or 0))
            return spec.start(_NODE, run_dir=self._run_dir)

    def _record(self, tree: SupervisorRef) -> Recorded:
        victims = victims_of(tree)
        rounds = self._rounds or _rounds(len(self._commits), len(victims))
        self._say.step(
            "the work",
            f'{_RECORDERS} client processes record it through "store", while each process is '
            f"killed {plural(rounds, 'time')} with SIGKILL",
        )
        with Recorders(_RECORDERS, self._repository, _NODE, self._run_dir) as recorders:
            recorders.wait()
            recorded = record(self._commits, recorders, victims * rounds, self._say.kill)
        self._say.line(
            f"{plural(len(recorded.commits), 'commit')} recorded in {recorded.seconds:.1f} s: "
            f"{recorded.calls:,} calls, the slowest took {recorded.slowest * 1000:.0f} ms"
        )
        return recorded

    def _prove(self, recorded: Recorded) -> list[Check]:
        self._say.step("the proof", "what the store holds, beside what git says")
        sessions = connect("store", SessionStore, timeout=30.0)
        artifacts = connect("store", ArtifactStore, timeout=30.0)
        return prove(self._repository, recorded.commits, sessions, artifacts)

    def _end(self, tree: SupervisorRef) -> Check:
        """Kill the root: what nobody can restart takes everything with it."""
        root, others = _pids(take_snapshot(tree))
        seconds, left = kill_root(root, others)
        title = (
            f"kill -9 of the root takes the other {len(others)} processes with it, "
            f"in {seconds * 1000:.0f} ms"
        )
        return Check(title, [f"process {pid} is left" for pid in left])


def _rounds(commits: int, victims: int) -> int:
    """How often each process can die while every client has a commit to record."""
    return max(1, min(_MOST_ROUNDS, commits // (_RECORDERS * victims)))


def _pids(snapshot: TreeSnapshot) -> tuple[int, list[int]]:
    def walk(process: ProcessSnapshot) -> Iterator[int | None]:
        yield process.pid
        for child in process.children or []:
            yield from walk(child)

    found = [pid for pid in (*walk(snapshot.root), snapshot.registry.pid) if pid is not None]
    return found[0], found[1:]


@contextlib.contextmanager
def _standard_error_to(file: Path) -> Iterator[None]:
    sys.stderr.flush()
    before = os.dup(2)
    try:
        with file.open("ab") as log:
            os.dup2(log.fileno(), 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def _check_kills(kills: list[Kill]) -> Check:
    back = [kill.seconds * 1000 for kill in kills if kill.problem is None]
    title = f"{len(back)} of {len(kills)} killed processes grew back"
    if back:
        title += f": {statistics.median(back):.1f} ms in the median, {max(back):.1f} ms at most"
    failed = [kill for kill in kills if kill.problem is not None]
    return Check(title, [f"{kill.label} (pid {kill.before}): {kill.problem}" for kill in failed])


def _check_calls(recorded: Recorded) -> Check:
    title = f"{recorded.calls:,} calls, {len(recorded.failed)} failed"
    return Check(title, recorded.failed)


def _conclude(checks: list[Check], seconds: float, say: Narrator, keep: str | None) -> int:
    broken = [check for check in checks if check.problems]
    if not broken:
        say.verdict(True, f"every promise held, in {seconds:.1f} s")
        if keep:
            say.line(f"data, sockets and log are in {keep}")
        return OK
    say.verdict(False, f"{plural(len(broken), 'promise')} did not hold:")
    for check in broken:
        say.problems(check)
    where = f"the log is {keep}/tree.log" if keep else "--keep DIR keeps the data and the log"
    say.line(where)
    return BROKEN_PROMISE
