"""What the stores hold at the end, against what was acknowledged to the clients."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ports import Event, NotFound
from stores import FileArtifactStore, SQLAlchemySessionStore
from tests.soak.client import SHARED_SESSIONS, Journal
from tests.soak.tree import artifacts_folder, database_url

__all__ = ["Findings", "audit"]


@dataclass
class Findings:
    """Broken promises, each in words."""

    lost: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    events: int = 0

    def __bool__(self) -> bool:
        return bool(self.lost or self.duplicates or self.gaps)


def audit(folder: Path, journals: dict[str, Journal]) -> Findings:
    """Look into the stores, once the tree has been stopped.

    Args:
        folder: where the stores keep what they were given.
        journals: of the clients, by name.
    """
    findings = Findings()
    with SQLAlchemySessionStore(database_url(folder)) as sessions:
        stored: dict[str, list[Event]] = {}
        for session in (*SHARED_SESSIONS, *(f"ses_{name}" for name in journals)):
            stored[session] = sessions.get_events(session)
        _check_events(findings, stored, journals)
        for name, journal in journals.items():
            _check_session(findings, sessions, name, journal)
    with FileArtifactStore(str(artifacts_folder(folder))) as artifacts:
        for journal in journals.values():
            _check_artifacts(findings, artifacts, journal)
    return findings


def _check_events(
    findings: Findings, stored: dict[str, list[Event]], journals: dict[str, Journal]
) -> None:
    for session, events in stored.items():
        numbers = [event.sequence_number for event in events]
        if numbers != list(range(1, len(numbers) + 1)):
            findings.gaps.append(f"{session}: {len(numbers)} events, the last is {numbers[-1]}")
    found = [event for events in stored.values() for event in events]
    findings.events = len(found)
    for what, count in Counter(event.id for event in found).items():
        if count > 1:
            findings.duplicates.append(f"{what} is stored {count} times")
    contents = Counter((event.data["client"], event.data["number"]) for event in found)
    for (client, number), count in contents.items():
        if count > 1:
            findings.duplicates.append(f"event {number} of {client} is stored {count} times")
    places = {event.id: (event.session_id, event.sequence_number) for event in found}
    for journal in journals.values():
        for session, id, _, sequence in journal.events:
            place = places.get(id)
            if place is None or place[0] != session or sequence not in (0, place[1]):
                findings.lost.append(f"{id} as number {sequence} of {session}: found {place}")
        _check_order(findings, journal, places)


def _check_order(
    findings: Findings, journal: Journal, places: dict[str, tuple[str, int | None]]
) -> None:
    """One client's events of one session are in the order in which it had them acknowledged."""
    last: dict[str, int] = {}
    for session, id, _, _ in journal.events:
        number = places.get(id, (session, None))[1] or 0
        if 0 < number <= last.get(session, 0):
            findings.gaps.append(f"{id} came after number {last[session]}, but is number {number}")
        last[session] = max(number, last.get(session, 0))


def _check_session(
    findings: Findings, sessions: SQLAlchemySessionStore, name: str, journal: Journal
) -> None:
    if journal.session and f"session {journal.session}" not in journal.unsure:
        found = _found(lambda: sessions.get_session(f"ses_{name}").metadata["version"])
        if found != journal.session:
            findings.lost.append(f"version {journal.session} of ses_{name}: found {found}")
    for number, turns in journal.runs.items():
        if f"run {number}" not in journal.unsure:
            count = _found(lambda run=f"run_{name}_{number}": sessions.get_run(run).turn_count)
            if count != turns:
                findings.lost.append(f"turn {turns} of run {number} of {name}: found {count}")


def _found(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except NotFound:
        return None


def _check_artifacts(findings: Findings, artifacts: FileArtifactStore, journal: Journal) -> None:
    for key, digest in journal.artifacts.items():
        if key in journal.unsure:
            continue
        found = _found(lambda key=key: hashlib.sha256(artifacts.get(key)).hexdigest())
        if found != digest:
            findings.lost.append(f"artifact {key}: not as it was put, or deleted, last")
