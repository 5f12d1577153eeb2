"""The soak itself: it runs, and it would notice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ports import Event
from stores import SQLAlchemySessionStore
from tests.soak.audit import audit
from tests.soak.client import Journal
from tests.soak.tree import database_url


def test_a_short_one_keeps_every_promise() -> None:
    command = [sys.executable, "-m", "tests.soak", "--seconds", "60", "--kills", "20"]
    done = subprocess.run(
        [*command, "--clients", "2"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seed" in done.stdout
    assert "failed        0" in done.stdout


def test_what_is_missing_is_noticed(tmp_path: Path) -> None:
    with SQLAlchemySessionStore(database_url(tmp_path)) as sessions:
        for number, content in ((1, 1), (2, 2), (3, 2)):
            data = {"client": "client-0", "number": content}
            event = Event(
                type="message_received", session_id="ses_client-0", id=f"evt_{number}", data=data
            )
            sessions.append_event(event)
    journal = Journal(
        events=[
            ("ses_client-0", "evt_2", 2, 2),
            ("ses_client-0", "evt_1", 1, 1),
            ("ses_client-0", "evt_3", 3, 7),
            ("ses_client-0", "evt_4", 4, 0),
        ],
        session=3,
        runs={"0": 1},
        artifacts={"kept": "digest", "deleted": None, "unsure": "digest"},
        unsure=["unsure"],
    )
    findings = audit(tmp_path, {"client-0": journal})
    assert findings
    assert findings.events == 3
    assert findings.duplicates == ["event 2 of client-0 is stored 2 times"]
    assert findings.gaps == ["evt_1 came after number 2, but is number 1"]
    assert [what.split(":")[0] for what in findings.lost] == [
        "evt_3 as number 7 of ses_client-0",
        "evt_4 as number 0 of ses_client-0",
        "version 3 of ses_client-0",
        "turn 1 of run 0 of client-0",
        "artifact kept",
    ]
