"""Processes that die while they write, and disks that are full."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from stores import SQLAlchemySessionStore
from tests.contracts.samples import event
from tests.stores.postgresql import empty_database
from tests.stores.processes import child, line_of


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/sessions.db"
    else:
        with empty_database() as url:
            yield url


# Sixteen threads, so that most transactions carry several appends when the process dies.
APPEND_UNTIL_KILLED = """
import itertools, sys, threading
from ports import Event
from stores import SQLAlchemySessionStore
store = SQLAlchemySessionStore(sys.argv[1])
def append():
    for number in itertools.count():
        event = Event(type="message_sent", session_id="s", data={"number": number})
        if number % 2:
            stored = [store.append_event_with_sequence(event)]
        else:
            both = [event, Event(type="message_sent", session_id="s", correlation_id=event.id)]
            stored = store.append_events(both)
        print("".join(f"{each.sequence_number} {each.id}\\n" for each in stored), end="")
for _ in range(16):
    threading.Thread(target=append, daemon=True).start()
threading.Event().wait()
"""


@pytest.mark.parametrize("acknowledged", [1, 100, 700])
def test_killed_while_appending(url: str, acknowledged: int):
    with SQLAlchemySessionStore(url) as store:
        with child(APPEND_UNTIL_KILLED, url) as process:
            told = [line_of(process) for _ in range(acknowledged)]
            process.send_signal(signal.SIGKILL)
            assert process.stdout is not None
            # The last line may be cut short.
            told += process.stdout.read().split("\n")[:-1]
        stored = {each.sequence_number: each for each in store.get_events("s")}
        assert sorted(stored) == list(range(1, len(stored) + 1))
        for line in told:
            number, id = line.split()
            assert stored[int(number)].id == id
        # Of the two events of one operation, both are there or none is.
        firsts = {each.id for each in stored.values() if each.data.get("number", 1) % 2 == 0}
        assert firsts == {each.correlation_id for each in stored.values()} - {None}
        # A server may find out later than we do that its client is dead, and commit until then.
        store.append_event(event())
        numbers = [each.sequence_number for each in store.get_events("s")]
        assert numbers == list(range(1, len(numbers) + 1))


def test_killed_again_and_again_beside_one_that_goes_on(url: str):
    with SQLAlchemySessionStore(url, busy_timeout=60) as store:
        mine = []
        for _ in range(4):
            with child(APPEND_UNTIL_KILLED, url) as process:
                for _ in range(20):
                    line_of(process)
                    mine.append(store.append_event_with_sequence(event()))
                process.send_signal(signal.SIGKILL)
                process.communicate()
        stored = store.get_events("s")
        assert [each.sequence_number for each in stored] == list(range(1, len(stored) + 1))
        assert {each.id for each in mine} <= {each.id for each in stored}


APPEND_SOME = """
import sys
from ports import Event
from stores import SQLAlchemySessionStore
store = SQLAlchemySessionStore(sys.argv[1], busy_timeout=60)
print("ready")
input()
for _ in range(200):
    print(store.append_event_with_sequence(
        Event(type="message_sent", session_id="s")).sequence_number)
"""


def test_two_processes_append_to_one_session(url: str):
    with child(APPEND_SOME, url) as one, child(APPEND_SOME, url) as other:
        for process in (one, other):
            assert line_of(process) == "ready"
        for process in (one, other):
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        numbers = [[int(line_of(process)) for _ in range(200)] for process in (one, other)]
    for each in numbers:
        assert each == sorted(each)
    assert sorted(numbers[0] + numbers[1]) == list(range(1, 401))


FULL_DISK = """
import resource, sys
from ports import Event, StorageError
from stores import SQLAlchemySessionStore
store = SQLAlchemySessionStore(sys.argv[1])
def append():
    event = Event(type="message_sent", session_id="s", data={"text": "x" * 10_000})
    return store.append_event_with_sequence(event).sequence_number
append()
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, hard))
last = 1
try:
    while True:
        last = append()
except StorageError as error:
    print(error.code, error.message)
print(last, store.get_latest_sequence("s"), len(store.get_events("s")))
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
print(append() - last)
"""


def test_a_disk_that_is_full(tmp_path: Path):
    path = tmp_path / "sessions.db"
    with child(FULL_DISK, f"sqlite:///{path}") as process:
        refused, kept, again = (line_of(process) for _ in range(3))
    assert refused.startswith("storage_error ")
    assert str(path) in refused
    assert len(set(kept.split())) == 1
    assert again == "1"
