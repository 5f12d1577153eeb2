"""What a git history is as agent work: who writes is a session, a commit is a run of it.

Every id is made of git's own, so that whoever says again what a commit is says the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime

from ports import Event, Run, Session
from stores._demo._git import Change, Commit

__all__ = ["events_of", "finished_run", "patch_key", "session_id", "sessions_of", "started_run"]

_EPOCH = datetime.fromtimestamp(0, UTC)


def session_id(commit: Commit) -> str:
    """The id of the session that a commit belongs to: its author's."""
    return "ses_" + hashlib.sha256(commit.author.encode()).hexdigest()[:32]


def sessions_of(commits: Iterable[Commit]) -> dict[str, Session]:
    """A session for each author, by id."""
    sessions: dict[str, Session] = {}
    for commit in commits:
        id = session_id(commit)
        if id not in sessions:
            sessions[id] = Session(
                id=id,
                agent_id=commit.author,
                status="active",
                metadata={"last_commit": commit.id},
                tags=["git"],
                created_at=_moment(commit.author_time),
            )
    return sessions


def started_run(commit: Commit) -> Run:
    """The run of a commit, as it begins."""
    return Run(
        id=f"run_{commit.id}",
        session_id=session_id(commit),
        status="running",
        input={"commit": commit.id, "parents": list(commit.parents), "subject": commit.subject},
        started_at=_moment(commit.author_time),
        provider="git",
    )


def finished_run(commit: Commit, changes: list[Change], patch: bytes) -> Run:
    """The run of a commit, with what came of it."""
    begun = started_run(commit)
    return Run(
        id=begun.id,
        session_id=begun.session_id,
        status="completed",
        input=begun.input,
        output={"patch": patch_key(commit), "bytes": len(patch), "files": len(changes)},
        turn_count=len(changes),
        started_at=begun.started_at,
        ended_at=_moment(commit.commit_time),
        provider=begun.provider,
    )


def events_of(commit: Commit, changes: list[Change]) -> list[Event]:
    """An event for each file that a commit changes."""
    run = started_run(commit)
    return [
        Event(
            id=f"evt_{commit.id}_{number}",
            type="tool_call_completed",
            timestamp=run.started_at,
            session_id=run.session_id,
            run_id=run.id,
            data=asdict(change),
            provider="git",
            correlation_id=commit.id,
        )
        for number, change in enumerate(changes)
    ]


def patch_key(commit: Commit) -> str:
    """The key of the artifact that is a commit's patch."""
    return f"{commit.id}.patch"


def _moment(seconds: int) -> datetime:
    # A commit may claim any time; one that no calendar has is none.
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return _EPOCH
