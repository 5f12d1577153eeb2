"""``regrow demo``: end to end, on histories that are as odd as git allows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ports import Event
from stores import FileArtifactStore, InMemorySessionStore, SQLAlchemySessionStore
from stores._demo._git import GitError, Repository
from stores._demo._history import events_of, finished_run, patch_key, sessions_of
from stores._demo._narrator import Narrator
from stores._demo._proof import Check, prove
from stores._demo._show import _conclude
from supervisor._cli import status
from tests.cli.command import environment, regrow

LARGE = 3_000_000


def git(folder: Path, *arguments: str, author: str = "Ada <ada@example.org>") -> bytes:
    name, _, email = author.partition(" <")
    who = {
        f"GIT_{role}_{field}": value
        for role in ("AUTHOR", "COMMITTER")
        for field, value in (("NAME", name), ("EMAIL", email[:-1]))
    }
    done = subprocess.run(
        ["git", "-c", "commit.gpgsign=false", *arguments],
        cwd=folder,
        env={**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull},
        capture_output=True,
        check=True,
    )
    return done.stdout


def commit(folder: Path, message: str, author: str = "Ada <ada@example.org>") -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message, author=author)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A repository with whatever a commit can hold."""
    folder = tmp_path / "history"
    folder.mkdir()
    git(folder, "init", "--quiet")
    git(folder, "symbolic-ref", "HEAD", "refs/heads/main")
    (folder / "text.txt").write_text("one\n")
    commit(folder, "Begin")
    (folder / "large.bin").write_bytes(os.urandom(LARGE))
    commit(folder, "Add what is large and no text", "Bo <bo@example.org>")
    (folder / "text.txt").chmod(0o755)
    (folder / "link").symlink_to("text.txt")
    commit(folder, "Change a mode, and link")
    (folder / os.fsdecode(b"no\xffutf8")).write_bytes(b"\x00\xff\r\n")
    (folder / 'line\nbreak\tand "quotes"').write_text("no newline at the end")
    commit(folder, "Name files as nobody should", "Çelik <çelik@example.org>")
    git(folder, "checkout", "--quiet", "-b", "side", "HEAD~1")
    (folder / "side.txt").write_text("side\n")
    commit(folder, "Work aside", "Bo <bo@example.org>")
    git(folder, "checkout", "--quiet", "main")
    git(folder, "merge", "--quiet", "--no-ff", "--message", "Join", "side")
    commit(folder, "Change nothing")
    (folder / "large.bin").unlink()
    commit(folder, "Remove what is large")
    return folder


def test_the_bundled_sample(tmp_path: Path) -> None:
    done = regrow("demo", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (status.OK, ""), done.stdout
    assert "the bundled sample is taken" in done.stdout
    for victim in ("registry", "sessions", "artifacts", "store", "backends"):
        assert re.search(rf"kill -9 {victim} +\d+ \S+ \d+ +[\d.]+ ms", done.stdout), victim
    assert "✓ 20 commits: 20 runs" in done.stdout
    assert " calls, 0 failed" in done.stdout
    assert "every promise held" in done.stdout
    assert "\x1b" not in done.stdout, "colours are for terminals"


def test_a_history_with_everything(history: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    done = regrow("demo", str(history), "--keep", str(kept), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (status.OK, ""), done.stdout
    # What git says, without the demonstration's own reading of it.
    ids = git(history, "rev-list", "HEAD").decode().split()
    assert f"✓ {len(ids)} commits: {len(ids)} runs" in done.stdout
    artifacts = FileArtifactStore(kept / "artifacts")
    sessions = SQLAlchemySessionStore(f"sqlite:///{kept / 'sessions.db'}")
    with artifacts, sessions:
        assert len(sessions.list_sessions()) == 3
        for id in ids:
            run = sessions.get_run(f"run_{id}")
            assert run.status == "completed"
            ends = [*git(history, "rev-parse", f"{id}^@").decode().split()[:1], id]
            diff = ("diff-tree", "-r", "--root", "--no-commit-id", "--no-renames")
            patch = git(history, *diff, "-p", "--binary", "--full-index", *ends)
            assert artifacts.get(f"{id}.patch") == patch
            names = git(history, *diff, "-z", "--name-only", *ends).split(b"\0")[:-1]
            events = sessions.get_events(run.session_id, run_id=run.id)
            paths = [name.decode("utf-8", "backslashreplace") for name in names]
            assert [event.data["path"] for event in events] == paths
    assert max(len(artifact.read_bytes()) for artifact in kept.rglob("objects/*/*")) > LARGE


def test_the_newest_commits_only(history: Path, tmp_path: Path) -> None:
    done = regrow("demo", str(history), "--commits", "2", "--rounds", "2", cwd=tmp_path)
    assert done.returncode == status.OK, done.stdout
    assert "the newest 2 of 8 commits" in done.stdout
    assert "✓ 2 commits: 2 runs" in done.stdout
    assert "✓ 10 of 10 killed processes grew back" in done.stdout


def test_a_folder_in_no_repository(tmp_path: Path) -> None:
    done = regrow("demo", str(tmp_path), cwd=tmp_path)
    assert done.returncode == status.BAD_USAGE
    assert f"git rev-parse in {tmp_path}: fatal: not a git repository" in done.stderr


def test_a_repository_without_commits(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    done = regrow("demo", str(tmp_path), cwd=tmp_path)
    assert done.returncode == status.BAD_USAGE
    assert f"nothing is committed in {tmp_path}" in done.stderr


def test_without_git(tmp_path: Path) -> None:
    done = regrow("demo", cwd=tmp_path, env=environment(PATH=str(tmp_path)))
    assert done.returncode == status.BAD_USAGE
    assert "there is no program named git" in done.stderr
    assert "install git" in done.stderr


def test_a_folder_to_keep_that_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    done = regrow("demo", "--keep", str(tmp_path), cwd=tmp_path)
    assert done.returncode == status.BAD_USAGE
    assert "is not empty" in done.stderr


def test_no_program_outlives_an_interrupted_demonstration(history: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "supervisor", "demo", str(history)],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "kill -9" in line:
                process.kill()
                break
        process.stdout.read()


class Recorded:
    """A history that was recorded as it should be, and can be spoilt."""

    def __init__(self, folder: Path, artifacts: Path) -> None:
        self.repository = Repository(folder)
        self.commits = self.repository.commits(100)
        self.sessions = InMemorySessionStore()
        self.artifacts = FileArtifactStore(artifacts, fsync=False)
        self.events: list[Event] = []
        for session in sessions_of(self.commits).values():
            self.sessions.save_session(session)
        for commit in self.commits:
            changes, patch = self.repository.diff(commit)
            self.sessions.save_run(finished_run(commit, changes, patch))
            self.events += self.sessions.append_events(events_of(commit, changes))
            self.artifacts.put(patch_key(commit), patch)

    def broken(self) -> list[int]:
        """The numbers of the promises that do not hold."""
        checks = prove(self.repository, self.commits, self.sessions, self.artifacts)
        return [number for number, check in enumerate(checks) if check.problems]


def lose_a_session(recorded: Recorded) -> None:
    recorded.sessions.delete_session(recorded.sessions.list_sessions()[0].id)


def change_a_session(recorded: Recorded) -> None:
    [first, *_] = recorded.sessions.list_sessions()
    recorded.sessions.save_session(first.update_status("failed"))


def change_a_run(recorded: Recorded) -> None:
    run = recorded.sessions.get_run(f"run_{recorded.commits[0].id}")
    recorded.sessions.save_run(run.set_error("spoilt"))


def add_an_event(recorded: Recorded) -> None:
    event = recorded.events[0]
    recorded.sessions.append_event(replace(event, id="evt_more", sequence_number=None))


def lose_a_patch(recorded: Recorded) -> None:
    recorded.artifacts.delete(patch_key(recorded.commits[0]))


def change_a_byte(recorded: Recorded) -> None:
    key = patch_key(recorded.commits[-1])
    patch = bytearray(recorded.artifacts.get(key))
    patch[-1] ^= 1
    recorded.artifacts.put(key, patch)


@pytest.mark.parametrize(
    ("spoil", "broken"),
    [
        (lambda recorded: None, []),
        (lose_a_session, [0, 1, 2]),
        (change_a_session, [0]),
        (change_a_run, [1]),
        (add_an_event, [2]),
        (lose_a_patch, [3]),
        (change_a_byte, [3]),
    ],
)
def test_the_proof_sees_what_is_wrong(
    history: Path, tmp_path: Path, spoil: Callable[[Recorded], None], broken: list[int]
) -> None:
    recorded = Recorded(history, tmp_path / "artifacts")
    with recorded.sessions, recorded.artifacts:
        spoil(recorded)
        assert recorded.broken() == broken


def test_a_gap_in_a_sequence_is_seen(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(history, tmp_path / "artifacts")
    store = recorded.sessions
    read = store.get_events

    def with_a_gap(session_id: str, *, after: int, limit: int) -> list[Event]:
        events = read(session_id, after=after, limit=limit)
        return [event for event in events if event.sequence_number != 1]

    monkeypatch.setattr(store, "get_events", with_a_gap)
    with store, recorded.artifacts:
        assert recorded.broken() == [2, 4]


def test_what_is_too_large_is_left_out(history: Path) -> None:
    repository = Repository(history)
    commits = repository.commits(100)
    assert repository.small_enough(commits, 100, 2 * LARGE) == commits
    # The large file came with the second commit; merges, and what deletes, weigh nothing.
    titles = [commit.subject for commit in repository.small_enough(commits, 100, LARGE - 1)]
    assert "Change nothing" in titles
    assert "Add what is large and no text" not in titles
    assert len(repository.small_enough(commits, 1, 2 * LARGE)) < len(commits)
    assert repository.small_enough(commits, 0, 0) == commits[:1]


def test_the_patch_of_a_commit_that_is_not_there(history: Path) -> None:
    repository = Repository(history)
    [commit] = repository.commits(1)
    with pytest.raises(GitError, match="git diff-tree in "):
        repository.diff(replace(commit, id="0" * 40))


def test_a_broken_promise_is_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [Check("kept", []), Check("broken", [f"problem {number}" for number in range(12)])]
    assert _conclude(checks, 1.0, Narrator(sys.stdout), None) == status.BROKEN_PROMISE
    said = capsys.readouterr().out
    assert "1 promise did not hold:" in said
    assert "- problem 9" in said
    assert "and 2 more" in said
    assert "kept" not in said
