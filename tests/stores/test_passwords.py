"""The password of a database is seen nowhere: not in messages, logs, listings or process lists."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from ports import StorageUnavailable, ValidationError
from stores import CompositeSessionStore, SQLAlchemySessionStore
from supervisor import Child, ProcessDown, StartError, Supervisor, connect, whereis
from tests.stores.postgresql import empty_database
from tests.stores.processes import ROOT
from tests.support import descendants, eventually

SECRET = "correct-horse"
UNREACHABLE = f"postgresql://me:{SECRET}@127.0.0.1:1/db"


class CrashingStore(SQLAlchemySessionStore):
    """Has an operation with a bug."""

    def break_down(self, url: str) -> None:
        raise RuntimeError("broken")


def command_lines() -> str:
    """The arguments of every process below this one, and of this one, in full."""
    pids = [os.getpid(), *(process.pid for process in descendants())]
    return "".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in pids)


@pytest.mark.usefixtures("run_dir")
def test_of_a_store_that_runs(capfd: pytest.CaptureFixture[str]):
    logged: list[str] = []

    def has_logged(text: str) -> bool:
        logged.append(capfd.readouterr().err)
        return text in "".join(logged)

    with empty_database() as without:
        # The server of the tests asks for no password, and so takes any.
        url = make_url(without).set(password=SECRET).render_as_string(hide_password=False)
        store = Child(CrashingStore, {"url": url}, name="sessions")
        with Supervisor([store], max_restarts=9).start() as tree, connect("sessions") as client:
            shown = [repr(tree.which_children()), repr(tree.get_child("sessions"))]
            listed = subprocess.run(
                [sys.executable, "-m", "supervisor", "tree", "--json"],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
            shown += [listed.stdout, command_lines()]
            with pytest.raises(ProcessDown) as crashed:
                client.break_down(url)
            shown.append(str(crashed.value))
            eventually(lambda: has_logged("while it carried out break_down"))
            running = whereis("sessions")
            assert running is not None
            os.kill(eventually(lambda: running.pid), signal.SIGKILL)
            assert client.get_latest_sequence("s") == 0
            with pytest.raises(StartError) as refused:
                tree.start_child(Child(SQLAlchemySessionStore, {"url": UNREACHABLE}, name="other"))
            shown.append(f"{refused.value} {refused.value!r} {refused.value.traceback}")
    assert has_logged("break_down(['postgresql://postgres:***@")
    assert has_logged("other (pid")
    assert SECRET not in "\n".join([*shown, *logged])


@pytest.mark.usefixtures("run_dir")
@pytest.mark.parametrize(
    "backend", [UNREACHABLE, (SQLAlchemySessionStore, {"url": UNREACHABLE}), [UNREACHABLE]]
)
def test_of_a_store_that_does_not_start(backend: object, capfd: pytest.CaptureFixture[str]):
    options = {"session_store": backend, "artifact_store": "artifacts"}
    with pytest.raises(StartError) as raised:
        Supervisor([Child(CompositeSessionStore, options, name="store")]).start()
    assert SECRET not in f"{raised.value} {raised.value!r} {raised.value.traceback}"
    assert SECRET not in capfd.readouterr().err


def test_of_a_plain_object():
    with pytest.raises(StorageUnavailable) as raised:
        SQLAlchemySessionStore(UNREACHABLE)
    assert "me:***@127.0.0.1" in raised.value.message
    assert SECRET not in f"{raised.value!r} {raised.value.details} {raised.value.__cause__!r}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:{}@host:port/db", "'postgresql://***@host:port/db'"),
        ("postgresql://me:{}?@host:port/db", "'postgresql://***'"),
        ("postgresql://me:\n{}@host:port/db", "'postgresql://***@host:port/db'"),
        ("postgresql:/me:{}@host/db", "'postgresql:/***@host/db'"),
        ("postgresql:me:{}@host/db", "'postgresql:***@host/db'"),
        ("me:{}@host/db", "'me:***@host/db'"),
        ("postgresql//me:{}@host/db", "'***@host/db'"),
        ("mysql://me:{}@host/db", "mysql://"),
        # SQLAlchemy, and so the server's name service, would take the rest for the host.
        ("postgresql://me:a@{}@127.0.0.1:1/db", "%40"),
        ("postgresql://me:a@b/{}@127.0.0.1:1/db", "%40"),
    ],
)
def test_of_a_url_that_is_wrong(url: str, shown: str):
    with pytest.raises(ValidationError) as raised:
        SQLAlchemySessionStore(url.format(SECRET))
    assert shown in raised.value.message
    assert SECRET not in f"{raised.value!r} {raised.value.details} {raised.value.__cause__!r}"
    assert raised.value.__context__ is None
