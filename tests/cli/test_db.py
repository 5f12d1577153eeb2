"""``regrow db``: old databases are brought up to date, and no password is shown on the way."""

from __future__ import annotations

import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ports import MigrationRequired
from stores import SQLAlchemySessionStore
from stores._sql._schema import REVISION
from supervisor._cli import main, status
from tests.cli.command import regrow
from tests.stores import before_migrations

SECRET = "correct-horse"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGROW_DATABASE_URL", raising=False)
    return tmp_path


def make_old(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        for statement in before_migrations.statements("sqlite"):
            database.execute(statement)
        database.commit()


def test_what_a_store_says_to_run_is_what_helps(here: Path):
    folder = here / "it's 100% here"
    folder.mkdir()
    make_old(folder / "sessions.db")
    with pytest.raises(MigrationRequired) as raised:
        SQLAlchemySessionStore(f"sqlite:///{folder}/sessions.db")
    command = shlex.split(raised.value.details["command"])
    assert command[0] == "regrow"
    done = regrow(*command[1:], cwd=here)
    assert (done.returncode, done.stderr) == (status.OK, "")
    assert f"to version {REVISION}" in done.stdout
    with SQLAlchemySessionStore(f"sqlite:///{folder}/sessions.db") as store:
        assert [each.id for each in store.get_events("s")] == ["e1", "e2"]


def test_from_old_to_new(here: Path, capsys: pytest.CaptureFixture[str]):
    url = "sqlite:///sessions.db"
    assert main(["db", "current", url]) == status.NOT_USABLE
    assert "there is no database sessions.db" in capsys.readouterr().err
    assert main(["db", "current", "sqlite:///file:sessions.db?uri=true"]) == status.NOT_USABLE
    assert "unable to open" in capsys.readouterr().err
    assert list(here.iterdir()) == []
    make_old(here / "sessions.db")
    said = []
    for action, expected in (
        ("current", status.OUTDATED),
        ("upgrade", status.OK),
        ("upgrade", status.OK),
        ("current", status.OK),
    ):
        assert main(["db", action, url]) == expected
        said.append(capsys.readouterr().out.partition(": ")[2].strip())
    old = "the tables of a version from before there were migrations"
    assert said == [
        f"{old}; this program's is version {REVISION}",
        f"upgraded from {old} to version {REVISION}",
        f"version {REVISION} already",
        f"version {REVISION}; the newest",
    ]


def test_an_empty_one(here: Path, capsys: pytest.CaptureFixture[str]):
    (here / "sessions.db").touch()
    assert main(["db", "current", "sqlite:///sessions.db"]) == status.OUTDATED
    assert "no tables" in capsys.readouterr().out
    assert main(["db", "upgrade", "sqlite:///sessions.db"]) == status.OK
    assert f"made the tables of version {REVISION}" in capsys.readouterr().out


def test_the_environment_names_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("REGROW_DATABASE_URL", "sqlite:///of-the-environment.db")
    assert main(["db", "upgrade"]) == status.OK
    assert main(["db", "upgrade", "sqlite:///of-the-argument.db"]) == status.OK
    assert {path.stem for path in here.glob("*.db")} == {"of-the-environment", "of-the-argument"}


@pytest.mark.parametrize(
    "url", [None, "", "nonsense", f"mysql://u:{SECRET}@h/d", "sqlite://", f"sqlite://u:{SECRET}@h/"]
)
@pytest.mark.parametrize("action", ["upgrade", "current"])
def test_what_is_no_database(
    here: Path, action: str, url: str | None, capsys: pytest.CaptureFixture[str]
):
    assert main(["db", action, *([] if url is None else [url])]) == status.BAD_USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("regrow: ")
    assert SECRET not in said.err


@pytest.mark.parametrize("action", ["upgrade", "current"])
@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{SECRET}@127.0.0.1:1/database",
        f"postgresql://127.0.0.1:1/database?password={SECRET}",
    ],
)
def test_a_password_is_not_shown(
    here: Path,
    action: str,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    assert main(["db", action, url]) == status.NOT_USABLE
    of_argument = capsys.readouterr()
    monkeypatch.setenv("REGROW_DATABASE_URL", url)
    assert main(["db", action]) == status.NOT_USABLE
    of_environment = capsys.readouterr()
    assert SECRET not in "".join((*of_argument, *of_environment))
    assert "$REGROW_DATABASE_URL is the place" in of_argument.err
    assert "$REGROW_DATABASE_URL" not in of_environment.err
