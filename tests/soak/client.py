"""A client of the soak: a process that calls every operation, and keeps what was acknowledged.

It reads its orders as JSON from the command line, works until its standard input ends, and then
writes its journal, as JSON, to its standard output.
"""

from __future__ import annotations

import hashlib
import json
import random
import select
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from ports import ArtifactStore, Event, Run, Session, SessionStore
from supervisor import connect

__all__ = ["SHARED_SESSIONS", "Journal", "Orders"]

# All clients append to these, so that their sequences are contended.
SHARED_SESSIONS = ("ses_shared_1", "ses_shared_2")

_SIZES = (0, 10, 1_000, 100_000, 2_000_000)


@dataclass
class Orders:
    """What a client is told.

    Attributes:
        number: which client it is.
        seed: of its random choices.
        run_dir: where the node is.
        timeout: seconds for each call.
    """

    number: int
    seed: int
    run_dir: str
    timeout: float


@dataclass
class Journal:
    """What a client has seen.

    Attributes:
        calls: how many it made, by operation.
        failures: those that failed: the operation, when (on the monotonic clock), and how.
        broken: answers that contradict what was acknowledged before.
        events: the session, the id, the client's own number and the sequence number (0 where the
            operation does not tell) of each acknowledged event, in the order of the calls.
        session: the last acknowledged version of its own session.
        runs: the last acknowledged turn count of each of its runs.
        artifacts: the digest of the last acknowledged content of each of its keys; None if deleted.
        unsure: the versions, runs and keys of which the last write failed, so that either state
            may be found.
        slowest: the seconds that the slowest call took.
    """

    calls: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[str, float, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    events: list[tuple[str, str, int, int]] = field(default_factory=list)
    session: int = 0
    runs: dict[str, int] = field(default_factory=dict)
    artifacts: dict[str, str | None] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)
    slowest: float = 0.0


class Client:
    """Calls operations at random."""

    def __init__(self, orders: Orders) -> None:
        self.journal = Journal()
        self.random = random.Random(f"{orders.seed}/{orders.number}")
        self.name = f"client-{orders.number}"
        options = {"timeout": orders.timeout, "run_dir": orders.run_dir, "node": "soak"}
        self.sessions = connect("store", SessionStore, **options)
        self.artifacts = connect("store", ArtifactStore, **options)
        self.session = Session(agent_id=self.name, id=f"ses_{self.name}")
        self._appended = 0

    def work(self) -> None:
        """One operation, with what it takes to judge its answer."""
        action = self.random.choice(_ACTIONS)
        action(self)

    def _call(self, operation: str, *args: Any, **kwargs: Any) -> tuple[bool, Any]:
        """Whether the call succeeded, and its result."""
        client = self.artifacts if hasattr(ArtifactStore, operation) else self.sessions
        self.journal.calls[operation] = self.journal.calls.get(operation, 0) + 1
        begun = time.monotonic()
        try:
            return True, getattr(client, operation)(*args, **kwargs)
        except Exception as error:
            what = "".join(traceback.format_exception_only(error)).strip()
            seconds = time.monotonic() - begun
            self.journal.failures.append((operation, begun, f"{what} (after {seconds:.3f} s)"))
            return False, None
        finally:
            self.journal.slowest = max(self.journal.slowest, time.monotonic() - begun)

    def _expect(self, true: bool, what: str) -> None:
        if not true:
            self.journal.broken.append(what)

    # --- sessions and runs -----------------------------------------------------------------------

    def save_session(self) -> None:
        version = self.journal.session + 1
        saved = self._next_session(version)
        self._note_session(self._call("save_session", saved)[0], version)

    def _next_session(self, version: int) -> Session:
        return Session(agent_id=self.name, id=self.session.id, metadata={"version": version})

    def _note_session(self, ok: bool, version: int) -> None:
        self.journal.session = version
        if not ok:
            self.journal.unsure.append(f"session {version}")

    def get_session(self) -> None:
        if self.journal.session == 0 or self.journal.unsure:
            return
        ok, found = self._call("get_session", self.session.id)
        if ok:
            version = found.metadata["version"]
            self._expect(version == self.journal.session, f"{self.name}: version {version}")

    def save_run(self) -> None:
        number = self.random.randrange(3)
        turns = self.journal.runs.get(str(number), 0) + 1
        ok, _ = self._call("save_run", self._run(number, turns))
        self._note_run(ok, number, turns)

    def _run(self, number: int, turns: int) -> Run:
        return Run(
            session_id=self.session.id,
            id=f"run_{self.name}_{number}",
            status="running",
            turn_count=turns,
        )

    def _note_run(self, ok: bool, number: int, turns: int) -> None:
        self.journal.runs[str(number)] = turns
        if not ok:
            self.journal.unsure.append(f"run {number}")

    def get_run(self) -> None:
        if not self.journal.runs or self.journal.unsure:
            return
        number = self.random.choice(sorted(self.journal.runs))
        ok, found = self._call("get_run", f"run_{self.name}_{number}")
        if ok:
            turns = self.journal.runs[number]
            self._expect(found.turn_count == turns, f"{self.name}: run {number}: {found}")

    def read_around(self) -> None:
        self._call("list_sessions", limit=5)
        self._call("list_runs", self.session.id)
        self._call("get_active_run", self.session.id)

    # --- events ----------------------------------------------------------------------------------

    def append(self) -> None:
        session = self._any_session()
        event = self._event(session)
        ok, stored = self._call("append_event_with_sequence", event)
        if ok:
            self._note_event(event, stored.sequence_number)

    def append_quietly(self) -> None:
        event = self._event(self._any_session())
        if self._call("append_event", event)[0]:
            self._note_event(event, 0)

    def append_several(self) -> None:
        session = self._any_session()
        events = [self._event(session) for _ in range(self.random.randint(1, 5))]
        ok, stored = self._call("append_events", events)
        if ok:
            numbers = [event.sequence_number for event in stored]
            together = list(range(numbers[0], numbers[0] + len(numbers)))
            self._expect(numbers == together, f"{self.name}: appended together: {numbers}")
            for event, number in zip(events, numbers, strict=True):
                self._note_event(event, number)

    def flush(self) -> None:
        version, number = self.journal.session + 1, self.random.randrange(3)
        turns = self.journal.runs.get(str(number), 0) + 1
        events = [self._event(self.session.id) for _ in range(2)]
        session, run = self._next_session(version), self._run(number, turns)
        ok, _ = self._call("flush", session, run, events)
        self._note_session(ok, version)
        self._note_run(ok, number, turns)
        for event in events if ok else []:
            self._note_event(event, 0)

    def read_events(self) -> None:
        session = self._any_session()
        ok, latest = self._call("get_latest_sequence", session)
        if not ok:
            return
        after = max(0, latest - 20)
        ok, events = self._call("get_events", session, after=after, limit=20)
        if ok:
            numbers = [event.sequence_number for event in events]
            complete = list(range(after + 1, after + 1 + len(events)))
            self._expect(numbers == complete, f"{session} after {after}: {numbers}")
            self._expect(len(events) >= min(20, latest - after), f"{session}: {len(events)} events")

    def wait_for_events(self) -> None:
        self._call("get_events", self._any_session(), limit=1, wait_timeout=0.2)

    def _any_session(self) -> str:
        return self.random.choice((*SHARED_SESSIONS, self.session.id))

    def _event(self, session: str) -> Event:
        self._appended += 1
        return Event(
            type="message_received",
            session_id=session,
            id=f"evt_{self.name}_{self._appended}",
            data={"client": self.name, "number": self._appended},
        )

    def _note_event(self, event: Event, sequence: int) -> None:
        number = event.data["number"]
        self.journal.events.append((event.session_id, event.id, number, sequence))

    # --- artifacts -------------------------------------------------------------------------------

    def put(self) -> None:
        key = self._any_key()
        data = self.random.randbytes(self.random.choice(_SIZES))
        self._note_artifact(self._call("put", key, data)[0], key, _digest(data))

    def delete(self) -> None:
        key = self._any_key()
        self._note_artifact(self._call("delete", key)[0], key, None)

    def get(self) -> None:
        self._read("get")

    def view(self) -> None:
        self._read("view")

    def _read(self, operation: str) -> None:
        stored = {key for key, digest in self.journal.artifacts.items() if digest}
        present = sorted(stored.difference(self.journal.unsure))
        if not present:
            return
        key = self.random.choice(present)
        ok, data = self._call(operation, key)
        if ok:
            right = _digest(data) == self.journal.artifacts[key]
            self._expect(right, f"{key}: {len(data)} bytes that are not those put last")

    def _any_key(self) -> str:
        return f"{self.name}/{self.random.randrange(10)}"

    def _note_artifact(self, ok: bool, key: str, digest: str | None) -> None:
        self.journal.artifacts[key] = digest
        if not ok:
            self.journal.unsure.append(key)
        elif key in self.journal.unsure:
            self.journal.unsure.remove(key)


_ACTIONS: tuple[Callable[[Client], None], ...] = (
    Client.save_session,
    Client.get_session,
    Client.save_run,
    Client.get_run,
    Client.read_around,
    Client.append,
    Client.append,
    Client.append_quietly,
    Client.append_several,
    Client.flush,
    Client.read_events,
    Client.wait_for_events,
    Client.put,
    Client.put,
    Client.get,
    Client.view,
    Client.delete,
)


def _digest(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()


def _told_to_end() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def main() -> None:
    """Work until told to end."""
    client = Client(Orders(**json.loads(sys.argv[1])))
    while not _told_to_end():
        client.work()
    json.dump(asdict(client.journal), sys.stdout)


if __name__ == "__main__":
    main()
