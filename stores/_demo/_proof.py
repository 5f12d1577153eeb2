"""Holds what was recorded against git itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ports import ArtifactStore, Event, Run, Session, SessionStore, StoreError
from stores._demo._git import Commit, Repository
from stores._demo._history import (
    events_of,
    finished_run,
    patch_key,
    session_id,
    sessions_of,
)
from stores._demo._text import plural
from supervisor import SupervisorError

__all__ = ["Check", "prove"]

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Check:
    """A promise.

    Attributes:
        title: what was promised.
        problems: where it did not hold.
    """

    title: str
    problems: list[str]


@dataclass(slots=True)
class _Expected:
    """What there must be of one session."""

    session: Session
    runs: dict[str, Run] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=dict)


def prove(
    repository: Repository, commits: list[Commit], sessions: SessionStore, artifacts: ArtifactStore
) -> list[Check]:
    """Read git again, and compare.

    Args:
        repository: the repository.
        commits: those that were recorded.
        sessions: the store that they were recorded in.
        artifacts: the store of their patches.

    Raises:
        GitError: git refuses.
        SupervisorError, StoreError: the store does not answer.
    """
    expected = {id: _Expected(session) for id, session in sessions_of(commits).items()}
    patches = _Patches(artifacts)
    for commit in commits:
        changes, patch = repository.diff(commit)
        finished = finished_run(commit, changes, patch)
        owner = expected[session_id(commit)]
        owner.runs[finished.id] = finished
        owner.events[finished.id] = events_of(commit, changes)
        patches.compare(commit, patch)
    recorded = {id: list(_events(sessions, id)) for id in expected}
    return [
        _check_sessions(sessions, expected),
        _check_runs(sessions, expected),
        _check_events(recorded, expected),
        Check(
            f"{plural(len(commits), 'patch', 'patches')}: the {patches.size:,} bytes that git says",
            patches.problems,
        ),
        _check_sequences(sessions, recorded),
    ]


class _Patches:
    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts
        self.size = 0
        self.problems: list[str] = []

    def compare(self, commit: Commit, patch: bytes) -> None:
        self.size += len(patch)
        try:
            stored = self._artifacts.get(patch_key(commit))
        except (StoreError, SupervisorError) as error:
            self.problems.append(f"{commit.id[:12]}: {error}")
            return
        if stored != patch:
            self.problems.append(
                f"{commit.id[:12]}: {len(stored):,} bytes that are not git's {len(patch):,}"
            )


def _events(sessions: SessionStore, id: str) -> Iterator[Event]:
    after = 0
    while page := sessions.get_events(id, after=after, limit=_PAGE):
        yield from page
        after = page[-1].sequence_number or after + _PAGE


def _check_sessions(sessions: SessionStore, expected: dict[str, _Expected]) -> Check:
    stored = {session.id: session for session in sessions.list_sessions(include_deleted=True)}
    wanted = {id: owner.session for id, owner in expected.items()}
    title = f"{plural(len(wanted), 'author')}: {plural(len(stored), 'session')}"
    return Check(title, list(_differences(stored, wanted)))


def _check_runs(sessions: SessionStore, expected: dict[str, _Expected]) -> Check:
    stored = {run.id: run for id in expected for run in sessions.list_runs(id)}
    wanted = {run_id: run for owner in expected.values() for run_id, run in owner.runs.items()}
    title = f"{plural(len(wanted), 'commit')}: {plural(len(stored), 'run')}"
    return Check(title, list(_differences(stored, wanted)))


def _differences(stored: Mapping[str, object], wanted: Mapping[str, object]) -> Iterator[str]:
    for id in wanted.keys() - stored.keys():
        yield f"{id} is missing"
    for id in stored.keys() - wanted.keys():
        yield f"{id} is not in git"
    for id in stored.keys() & wanted.keys():
        if stored[id] != wanted[id]:
            yield f"{id} is not as git has it: {stored[id]}"


def _check_events(recorded: dict[str, list[Event]], expected: dict[str, _Expected]) -> Check:
    problems: list[str] = []
    wanted = 0
    for id, owner in expected.items():
        of_run: dict[str | None, list[Event]] = {}
        for event in recorded[id]:
            of_run.setdefault(event.run_id, []).append(replace(event, sequence_number=None))
        wanted += sum(map(len, owner.events.values()))
        for run_id, events in owner.events.items():
            found = of_run.pop(run_id, [])
            if found != events:
                problems.append(
                    f"{run_id}: {len(found)} events that are not, in order, its {len(events)} files"
                )
        problems += [f"{run_id}: events of a run that is not in git" for run_id in of_run]
    stored = sum(map(len, recorded.values()))
    title = f"{plural(wanted, 'changed file')}: {plural(stored, 'event')}, in order"
    return Check(title, problems)


def _check_sequences(sessions: SessionStore, recorded: dict[str, list[Event]]) -> Check:
    problems = []
    for id, events in recorded.items():
        numbers = [event.sequence_number for event in events]
        if numbers != list(range(1, len(numbers) + 1)):
            problems.append(f"{id}: not 1 to {len(numbers)}: {_first_break(numbers)}")
        if (latest := sessions.get_latest_sequence(id)) != len(numbers):
            problems.append(f"{id}: its latest is said to be {latest}, not {len(numbers)}")
    longest = max(map(len, recorded.values()), default=0)
    return Check(f"sequences without a gap or a repeat, up to 1..{longest:,}", problems)


def _first_break(numbers: Iterable[int | None]) -> str:
    for wanted, number in enumerate(numbers, start=1):
        if number != wanted:
            return f"{number} in the place of {wanted}"
    return "none"
