"""A git repository, as far as the demonstration reads it."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

__all__ = ["SAMPLE", "Change", "Commit", "GitError", "Repository"]

SAMPLE = Path(__file__).with_name("sample.fast-import")

# What the environment says of a repository is not said of the one that is meant here.
_FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY")

_LOG_FIELDS = ("%H", "%P", "%an", "%ae", "%at", "%ct", "%s")

# The same text for the same commit, whatever the user's configuration says.
_DIFF = (
    "diff-tree",
    "--root",
    "--no-commit-id",
    "-r",
    "-z",
    "--raw",
    "--patch",
    "--binary",
    "--full-index",
    "--no-renames",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
)

# :old_mode new_mode old_id new_id status NUL path NUL; see git-diff-tree(1), "raw output format".
_RAW = re.compile(rb":(\d+) (\d+) ([0-9a-f]+) ([0-9a-f]+) ([A-Z])\d*\0([^\0]+)\0")


class GitError(Exception):
    """There is no git, no such repository, or git refuses; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit, as ``git log`` has it."""

    id: str
    parents: tuple[str, ...]
    author: str
    author_time: int
    commit_time: int
    subject: str

    def to_map(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_map(cls, fields: dict[str, Any]) -> Self:
        """What ``to_map`` was made of."""
        return cls(**{**fields, "parents": tuple(fields["parents"])})


@dataclass(frozen=True, slots=True)
class Change:
    """One file that a commit changes."""

    status: str
    path: str
    old_mode: str
    new_mode: str
    old_id: str
    new_id: str


class Repository:
    """A repository.

    Args:
        path: a folder in it.

    Raises:
        GitError: there is no git, or no repository there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(path)
        self._git("rev-parse", "--git-dir")

    @classmethod
    def sample(cls, folder: str | os.PathLike[str]) -> Self:
        """The sample that comes with this package, unpacked into a folder.

        Raises:
            GitError: there is no git.
        """
        target = os.fspath(folder)
        _run(
            ("init", "--quiet", "--bare", "--initial-branch=main", target), os.path.dirname(target)
        )
        with SAMPLE.open("rb") as stream:
            _run(("fast-import", "--quiet"), target, stdin=stream)
        return cls(target)

    def commits(self, limit: int) -> list[Commit]:
        """The newest commits that HEAD leads to, newest first; none where nothing is committed.

        Raises:
            GitError: git refuses.
        """
        if not self._has_head():
            return []
        output = self._git(
            "log",
            "-z",
            f"--max-count={limit}",
            f"--format=tformat:{'%x00'.join(_LOG_FIELDS)}",
            "--encoding=UTF-8",
            "--no-show-signature",
            "--no-notes",
            "--no-color",
            "HEAD",
        )
        words = output.split(b"\0")[:-1]
        size = len(_LOG_FIELDS)
        return [_commit(words[at : at + size]) for at in range(0, len(words), size)]

    def small_enough(self, commits: list[Commit], files: int, size: int) -> list[Commit]:
        """The first of these commits, at least one, that together change no more than this.

        Args:
            commits: as ``commits`` gives them.
            files: how many files they may change.
            size: how many bytes those files may have, after the change.

        Raises:
            GitError: git refuses.
        """
        blobs = self._blobs(len(commits))
        sizes = self._sizes({blob for changed in blobs.values() for blob in changed})
        taken = 0
        for commit in commits:
            changed = blobs.get(commit.id, [])
            files -= len(changed)
            size -= sum(sizes.get(blob, 0) for blob in changed)
            if min(files, size) < 0:
                break
            taken += 1
        return commits[: max(1, taken)]

    def _blobs(self, limit: int) -> dict[str, list[str]]:
        """The ids of the files that each of the newest commits leaves behind; none for a merge."""
        output = self._git(
            "log", f"--max-count={limit}", "--format=%H", "--raw", "--no-abbrev", "--no-renames",
            "--no-show-signature", "--no-notes", "--no-color", "HEAD",
        )  # fmt: skip
        blobs: dict[str, list[str]] = {}
        changed: list[str] = []
        for line in output.split(b"\n"):
            if line.startswith(b":"):
                changed.append(line.split(b" ", 4)[3].decode())
            elif line:
                changed = blobs.setdefault(line.decode(), [])
        return blobs

    def _sizes(self, blobs: set[str]) -> dict[str, int]:
        with tempfile.TemporaryFile() as wanted:
            wanted.write("".join(f"{blob}\n" for blob in sorted(blobs)).encode())
            wanted.seek(0)
            output = self._git(
                "cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=wanted
            )
        lines = (line.split(b" ") for line in output.splitlines())
        # What is not there is a deleted file, or a submodule's commit.
        return {id.decode(): int(size) for id, size in lines if size.isdigit()}

    def count(self) -> int:
        """How many commits HEAD leads to.

        Raises:
            GitError: git refuses.
        """
        return int(self._git("rev-list", "--count", "HEAD")) if self._has_head() else 0

    def diff(self, commit: Commit) -> tuple[list[Change], bytes]:
        """The files that a commit changes, and its patch; a merge is held against its first parent.

        Raises:
            GitError: git refuses.
        """
        ends = (commit.parents[0], commit.id) if commit.parents else (commit.id,)
        output = self._git(*_DIFF, *ends)
        changes, position = [], 0
        while found := _RAW.match(output, position):
            changes.append(_change(found))
            position = found.end()
        # A NUL stands between the two parts.
        return changes, output[position + 1 :]

    def _has_head(self) -> bool:
        try:
            self._git("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        except GitError:
            return False
        return True

    def _git(self, *arguments: str, stdin: Any = subprocess.DEVNULL) -> bytes:
        return _run(arguments, self.path, stdin)


def _run(arguments: Sequence[str], folder: str, stdin: Any = subprocess.DEVNULL) -> bytes:
    environment = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
    if not os.path.isdir(folder):
        raise GitError(f"{folder} is not a folder")
    try:
        done = subprocess.run(
            ("git", *arguments),  # noqa: S607  the git that the user has
            cwd=folder,
            env={**environment, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"},
            stdin=stdin,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise GitError(
            "there is no program named git, and the demonstration reads its input with it: "
            "install git, and try again"
        ) from None
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip()
        raise GitError(f"git {arguments[0]} in {folder}: {reason or f'status {done.returncode}'}")
    return done.stdout


def _commit(words: list[bytes]) -> Commit:
    id, parents, name, email, author_time, commit_time, subject = (
        word.decode("utf-8", "replace") for word in words
    )
    return Commit(
        id,
        tuple(parents.split()),
        f"{name} <{email}>",
        int(author_time or 0),
        int(commit_time or 0),
        subject,
    )


def _change(found: re.Match[bytes]) -> Change:
    old_mode, new_mode, old_id, new_id, status, path = found.groups()
    return Change(
        status.decode(),
        # A path is bytes, and need not be text.
        path.decode("utf-8", "backslashreplace"),
        old_mode.decode(),
        new_mode.decode(),
        old_id.decode(),
        new_id.decode(),
    )
