"""What children log reaches the root's handlers, whole, whatever becomes of them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from supervisor import Child, Server, Supervisor, connect
from supervisor._log.records import RecordError, pack_record, unpack_record
from tests.supervisor.logged import logged
from tests.support import eventually

log = logging.getLogger("tests.child")


class Unshown:
    def __repr__(self) -> str:
        raise ValueError("no repr")


class Logger(Server):
    """Logs what it is told to."""

    def say(self, text: str, level: int = logging.INFO, name: str = "tests.child") -> int:
        logging.getLogger(name).log(level, "%s", text)
        return os.getpid()

    def say_with(self, text: str, extra: dict[str, Any]) -> None:
        log.info(text, extra=extra)

    def say_what_failed(self) -> None:
        try:
            raise KeyError("lost")
        except KeyError:
            log.exception("it failed", extra={"what": Unshown(), "many": [1, {"a": (2, None)}]})

    def say_and_leave(self, text: str) -> None:
        log.error(text)
        os._exit(3)

    def say_and_die(self, text: str) -> None:
        log.error(text)
        os.kill(os.getpid(), signal.SIGKILL)

    def say_together(self, threads: int, lines: int) -> None:
        def work(number: int) -> None:
            for line in range(lines):
                log.info("thread %d line %d %s", number, line, "x" * 500)

        workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def flood(self, lines: int) -> None:
        for line in range(lines):
            log.info("flood %d", line)

    def levels(self) -> list[int]:
        return [logging.getLogger(name).level for name in ("", "quiet")]


def tree(**options: Any) -> Supervisor:
    return Supervisor(
        [Supervisor([Child(Logger, name="logger", **options)], id="inner")], max_restarts=10
    )


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_record_arrives_as_it_was(run_dir: Path, method: str) -> None:
    with logged(tree(start_method=method), run_dir) as running, connect("logger") as client:
        pid = client.say("h\u00e9llo %s \ud800", logging.WARNING, name="some.name")
        record = running.wait_for(name="some.name")
        assert record["message"] == "h\u00e9llo %s \ud800"
        assert record["levelname"] == "WARNING"
        assert record["path"] == ["inner", "logger"]
        assert record["child"] == "logger"
        assert record["process"] == pid
        assert record["threadName"] == "MainThread"
        assert record["funcName"] == "say"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_levels_are_the_root_s(run_dir: Path, method: str) -> None:
    with logged(tree(start_method=method), run_dir) as running, connect("logger") as client:
        client.say("fine", logging.DEBUG)
        client.say("not so fine", logging.WARNING, name="quiet")
        client.say("bad", logging.ERROR, name="quiet")
        assert running.wait_for(name="quiet")["message"] == "bad"
        assert client.levels() == [logging.INFO, logging.ERROR]
        assert not running.records(levelname="DEBUG")


def test_tracebacks_and_extras_come_along(run_dir: Path) -> None:
    with logged(tree(), run_dir) as running, connect("logger") as client:
        client.say_what_failed()
        record = running.wait_for(message="it failed")
        assert "KeyError: 'lost'" in record["exc_text"]
        assert record["many"] == [1, {"a": [2, None]}]
        assert "cannot be shown" in record["what"]
        client.say_with("elsewhere", {"path": "mine"})
        assert running.wait_for(message="elsewhere")["path"] == "mine"


@pytest.mark.parametrize("end", ["say_and_leave", "say_and_die"])
def test_the_last_record_before_a_crash_arrives(run_dir: Path, end: str) -> None:
    with logged(tree(), run_dir) as running, connect("logger", retry=False) as client:
        for number in range(3):
            with pytest.raises(Exception, match="died"):
                getattr(client, end)(f"last words {number}")
            assert running.wait_for(message=f"last words {number}")


def test_records_of_threads_are_neither_mixed_nor_lost(run_dir: Path) -> None:
    with logged(tree(), run_dir) as running, connect("logger", timeout=30) as client:
        client.say_together(4, 100)
        wanted = {f"thread {number} line {line}" for number in range(4) for line in range(100)}

        def found() -> set[str]:
            return {text.removesuffix(" " + "x" * 500) for text in running.messages()} & wanted

        eventually(lambda: found() == wanted)


def test_what_is_logged_at_the_end_arrives(run_dir: Path) -> None:
    class Last(Server):
        def close(self) -> None:
            log.info("closing")

    spec = Supervisor([Supervisor([Child(Last)], id="inner")])
    with logged(spec, run_dir) as running:
        running.stop()
        assert running.messages(name="tests.child") == ["closing"]


def test_a_flood_holds_nobody_up_and_what_is_missing_is_told(run_dir: Path) -> None:
    """The root does not turn: the one who floods goes on without its records."""
    with logged(tree(), run_dir) as running, connect("logger", timeout=60) as client:
        client.say("before")
        running.process.send_signal(signal.SIGSTOP)
        try:
            client.flood(20_000)
        finally:
            running.process.send_signal(signal.SIGCONT)
        said = 20_000

        def is_heard() -> bool:
            # What is said while the root has still much to read may be dropped as well.
            nonlocal said
            client.say("after")
            said += 1
            return "after" in running.messages()

        def is_told_of_all() -> bool:
            messages = running.messages()
            arrived = sum(text.startswith(("flood", "after")) for text in messages)
            notes = [text for text in messages if text.endswith("were dropped")]
            return bool(notes) and arrived + sum(int(note.split()[0]) for note in notes) == said

        eventually(is_heard)
        eventually(is_told_of_all)


def test_without_handlers_warnings_go_to_stderr(run_dir: Path) -> None:
    code = """
from supervisor import Child, Supervisor, connect
from tests.supervisor.test_logging import Logger
with Supervisor([Child(Logger, name="logger")]).start(), connect("logger") as client:
    client.say("unheard", 20)
    client.say("heard", 30)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == "heard\n"


def test_a_record_that_is_too_long_loses_its_middle() -> None:
    record = logging.LogRecord("name", logging.INFO, "file", 1, "a" * 10**6 + "z", (), None)
    record.exc_text = "\U0001f600" * 10**6
    record.other = ["b" * 10**6] * 100
    packed = pack_record(record)
    assert len(packed) < 65536
    message = unpack_record(packed).getMessage()
    assert message.startswith("aaa")
    assert message.endswith("az")
    assert "characters" in message


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x01", b"\x80", b"\x93\x01\x02\x03"])
def test_garbage_is_no_record(data: bytes) -> None:
    with pytest.raises(RecordError):
        unpack_record(data)
