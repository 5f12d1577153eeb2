"""Passwords in specs and arguments are not shown."""

from __future__ import annotations

import pytest

from supervisor import Child, Command, SpecError, Supervisor
from supervisor._secrets import without_secrets
from tests.supervisor.servers import Worker

SECRET = "correct-horse"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:{}@host:5432/db?a=b", "postgresql://me:***@host:5432/db?a=b"),
        ("postgresql://:{}@host", "postgresql://:***@host"),
        ("'amqp://me:p@{}/x@host'", "'amqp://me:***@host'"),
        ('"postgresql://me:it\'s {}@host"', '"postgresql://me:***@host"'),
        ("'postgresql://me:a\\'b@{}@host', 'me@there'", "'postgresql://me:***@host', 'me@there'"),
        ("db?password={}&a=b", "db?password=***&a=b"),
        ("db?sslpassword={}", "db?sslpassword=***"),
        ("{{'password': '{}', 'a': 1}}", "{'password': ***, 'a': 1}"),
        ("{{'aws_secret_access_key': '{}'}}", "{'aws_secret_access_key': ***}"),
        ("{{'PGPASSWORD': \"{}'\"}}", "{'PGPASSWORD': ***}"),
        ("token={}, a=1", "token=***, a=1"),
    ],
)
def test_what_looks_like_one(text: str, shown: str) -> None:
    assert without_secrets(text.format(SECRET)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://host:80/path",
        "{'endpoint': 'http://host:80', 'owner': 'me@host'}",
        "sqlite:////var/sessions.db",
        "{'token_usage': {'input_tokens': 7}}",
        "a password is wanted",
        "me@host",
        "",
    ],
)
def test_what_does_not(text: str) -> None:
    assert without_secrets(text) == text


def test_specs_are_shown_without() -> None:
    url = f"postgresql://me:{SECRET}@host/db"
    child = Child(Worker, {"label": url}, name="w")
    command = Child(Command(["run", f"--password={SECRET}"], env={"PGPASSWORD": SECRET}), id="c")
    shown = repr(Supervisor([child, command]))
    assert SECRET not in shown
    assert "kwargs={'label': 'postgresql://me:***@host/db'}" in shown
    assert repr(child).startswith("Child(target=<class ")
    for wrong in ({"kwargs": [url]}, {"args": url}, {"id": ("password", url)}):
        with pytest.raises(SpecError) as raised:
            Child(Worker, **wrong)  # type: ignore[arg-type]
        assert SECRET not in str(raised.value)
