"""``regrow tree``: what it shows, to whom."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from supervisor import Child, Command, Supervisor, whereis
from supervisor._cli import status
from supervisor._cli.snapshot import ProcessSnapshot, TreeSnapshot, root_of, take_snapshot
from supervisor._cli.style import Style, aligned, width
from supervisor._cli.tree import describe_tree
from tests.cli.command import environment, regrow
from tests.support import PATIENCE, eventually

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Echo:
    """Answers."""

    def echo(self, value: object) -> object:
        return value


def small_tree() -> Supervisor:
    return Supervisor(
        [
            Child(Echo, name="echo"),
            Supervisor([Child(Command(["sleep", "3600"]), id="sleeper")], id="nested"),
        ]
    )


class Terminal(io.StringIO):
    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return True


def snapshot() -> TreeSnapshot:
    def process(
        id: str,
        kind: str,
        seconds: float | None,
        children: list[ProcessSnapshot] | None = None,
        state: str = "running",
    ) -> ProcessSnapshot:
        runs = seconds is not None
        return ProcessSnapshot(
            id=id,
            name=id if kind == "server" else None,
            kind=kind,
            status=state,
            pid=100 if runs else None,
            restarts=2,
            started_at=NOW - timedelta(seconds=seconds) if seconds is not None else None,
            children=children,
        )

    inner = process("in", "supervisor", 3700, [process("a", "server", 59.9)])
    other = process("b\x1b[2J", "server", None, state="stopped")
    unknown = process("lost", "supervisor", None, state="restarting")
    root = process("default", "supervisor", 90061, [inner, other, unknown])
    return TreeSnapshot("default", "/run", root, process("registry", "registry", 61), NOW)


PLAIN = """\
ID             NAME          KIND        STATE       PID  RESTARTS  UPTIME
default        -             supervisor  running     100         2  1d 01h
├─ in          -             supervisor  running     100         2  1h 01m
│  └─ a        a             server      running     100         2     59s
├─ b\\x1b[2J    b\\x1b[2J      server      stopped       -         2       -
└─ lost        -             supervisor  restarting    -         2       -
registry       -             registry    running     100         2  1m 01s"""


def test_plain_text_in_columns() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    lines = describe_tree(snapshot(), Style(stream))
    assert [line.split() for line in lines] == [line.split() for line in PLAIN.splitlines()]
    assert len({line.rstrip().rfind(" ") for line in lines[2:4]}) == 1
    assert not any("\x1b" in line for line in lines), "an id does not reach the terminal as it is"


def test_colours_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    text = "\n".join(describe_tree(snapshot(), Style(Terminal())))
    assert "\x1b[32mrunning" in text
    assert "\x1b[31mstopped" in text
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in "\n".join(describe_tree(snapshot(), Style(Terminal())))
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in "\n".join(describe_tree(snapshot(), Style(Terminal())))


def test_a_terminal_without_box_drawing() -> None:
    text = "\n".join(describe_tree(snapshot(), Style(Terminal("ascii"))))
    assert "|- in" in text
    assert "`- lost" in text
    assert text.isascii()


def test_wide_characters_take_two_columns() -> None:
    rows = aligned([["木", "x"], ["tree", "y"], ["e\u0301", "z"]])
    assert {width(first) for first, _ in rows} == {4}


def test_json_has_the_whole_tree(run_dir: Path) -> None:
    with small_tree().start() as root:
        done = regrow("tree", "--json", cwd=run_dir)
        assert (done.returncode, done.stderr) == (status.OK, "")
        shown = json.loads(done.stdout)
        pids = {info.id: info.pid for info in root.which_children()}
        own, registry = root.pid, root.registry().pid
    assert set(shown) == {"node", "folder", "taken_at", "registry", "root"}
    fields = {"id", "name", "kind", "status", "pid", "restarts", "started_at", "uptime"}
    assert set(shown["registry"]) == fields
    assert shown["registry"]["pid"] == registry
    assert set(shown["root"]) == {*fields, "children"}
    assert shown["root"]["pid"] == own
    echo, nested = shown["root"]["children"]
    assert (echo["id"], echo["name"], echo["kind"]) == ("echo", "echo", "server")
    assert (echo["pid"], nested["pid"]) == (pids["echo"], pids["nested"])
    assert echo["uptime"] >= 0
    assert "children" not in echo
    [sleeper] = nested["children"]
    assert (sleeper["id"], sleeper["name"], sleeper["kind"]) == ("sleeper", None, "command")


def test_restarts_are_counted(run_dir: Path) -> None:
    with small_tree().start():
        echo = whereis("echo")
        assert echo is not None
        before = echo.pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        assert echo.call("echo", 1) == 1

        def restarted() -> ProcessSnapshot | None:
            child = (take_snapshot(root_of("default", None)).root.children or [])[0]
            return child if child.pid not in (None, before) else None

        child = eventually(restarted)
        assert child is not None
        assert child.restarts == 1


def test_a_node_that_does_not_run(run_dir: Path, tmp_path: Path) -> None:
    done = regrow("tree", cwd=tmp_path)
    assert done.returncode == status.NOT_RUNNING
    assert done.stderr == f"regrow: node 'default' does not run in {run_dir}; none runs there\n"
    with small_tree().start("there"):
        done = regrow("tree", "--node", "here", "--json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status.NOT_RUNNING, "")
    assert f"node 'here' does not run in {run_dir}; running there: 'there'" in done.stderr


def test_a_node_name_that_is_none(run_dir: Path, tmp_path: Path) -> None:
    assert regrow("tree", "--node", "", cwd=tmp_path).returncode == status.BAD_USAGE


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon"])
def test_seconds_that_are_none(tmp_path: Path, seconds: str) -> None:
    done = regrow("tree", "--watch", seconds, cwd=tmp_path)
    assert done.returncode == status.BAD_USAGE
    assert "--watch" in done.stderr


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_watching_until_interrupted(run_dir: Path, tmp_path: Path) -> None:
    with (
        small_tree().start(),
        subprocess.Popen(
            [sys.executable, "-m", "supervisor", "tree", "--watch", "0.01"],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
            # Where these tests run in the background of a shell, SIGINT is ignored, and inherited.
            preexec_fn=_heed_interrupts,  # noqa: PLW1509  no thread is running
        ) as process,
    ):
        assert process.stdout is not None
        shown = [process.stdout.readline() for _ in range(12)]
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(PATIENCE) == status.INTERRUPTED
    assert sum(line.startswith("ID") for line in shown) >= 2


def test_a_reader_that_has_seen_enough(run_dir: Path, tmp_path: Path) -> None:
    with small_tree().start():
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "supervisor", "tree"],
                cwd=tmp_path,
                env=environment(),
                stdout=writer,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                timeout=60,
            )
        finally:
            os.close(writer)
    assert (done.returncode, done.stderr) == (status.PIPE_CLOSED, "")
