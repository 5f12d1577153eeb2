"""``regrow bench``: what it measures, what it shows, and what it says of what cannot be called."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor import BadCall, Child, Supervisor, connect
from supervisor._cli import main, status
from supervisor._cli.bench import duration, parse_arguments
from tests.cli.command import environment, regrow
from tests.support import PATIENCE, eventually


class OutOfStock(Exception):
    """Declared."""


class Shop:
    replies_with = (OutOfStock,)

    def __init__(self) -> None:
        self.sold: list[Any] = []

    def sell(self, what: str, count: int = 1) -> int:
        self.sold.append([what, count])
        if what == "rare" and len(self.sold) % 2:
            raise OutOfStock(f"no {what}\nat all")
        return count

    def how_many(self) -> list[Any]:
        return [len(self.sold), self.sold[:1]]


@contextlib.contextmanager
def shop() -> Iterator[Any]:
    with Supervisor([Child(Shop, name="shop")]).start(), connect("shop") as client:
        yield client


QUICK = ("--seconds", "0.2", "--warm-up", "0.01")


def test_json_has_what_was_measured(run_dir: Path, tmp_path: Path) -> None:
    with shop() as client:
        options = ("--clients", "2", "--in-flight", "3", "--json", *QUICK)
        done = regrow("bench", "shop", "sell", '"a pear"', "count=2", *options, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (status.OK, "")
        calls, first = client.how_many()
    shown = json.loads(done.stdout)
    assert first == [["a pear", 2]]
    assert (shown["node"], shown["name"], shown["operation"]) == ("default", "shop", "sell")
    assert (shown["args"], shown["kwargs"]) == (["a pear"], {"count": 2})
    assert (shown["clients"], shown["in_flight"], shown["seconds"]) == (2, 3, 0.2)
    # The first call, and those to warm up, are made as well.
    assert 0 < shown["answered"] < calls
    assert (shown["failed"], shown["failures"], shown["interrupted"]) == (0, {}, False)
    assert sum(row["count"] for row in shown["histogram"]) == shown["answered"]
    latency = shown["latency"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p999"]
    assert latency["maximum"] > 0
    assert shown["rounds"] == 5
    assert shown["calls_per_second"]["lower"] <= shown["calls_per_second"]["upper"]


def test_text_has_a_rate_percentiles_failures_and_a_histogram(
    run_dir: Path, tmp_path: Path
) -> None:
    with shop():
        done = regrow("bench", "shop", "sell", '"rare"', *QUICK, cwd=tmp_path)
    assert done.returncode == status.FAILED_CALLS
    assert "the first call has failed: OutOfStock: no rare" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "shop.sell: 1 client, 0.2 s"
    assert "calls answered" in lines[1]
    assert lines[2].split() == ["p50", "p90", "p99", "p99.9", "max"]
    failed = lines.index(next(line for line in lines if line.endswith("calls failed")))
    assert lines[failed + 1].split()[0] == "OutOfStock"
    assert lines[failed + 1].endswith("  no rare")
    assert any(".." in line and "%" in line for line in lines[failed + 2 :])


def run(*arguments: str) -> int:
    """The command in this process, for what ends before a client is started."""
    try:
        return main(["bench", *arguments])
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("shop", "sell", "pear"), "'pear' is not"),
        (("", "sell"), "NAME has 1 to 255 characters, not 0"),
        (("shop", "sell", "--clients", "0"), "must be at least 1, not 0"),
        (("shop", "sell", "--seconds", "nan"), "must be more than 0, not nan"),
        (("shop", "sell", "--clients", "x"), "must be a whole number, not 'x'"),
        (("shop", "sell", "--seconds", "x"), "must be a number, not 'x'"),
        (("shop", "sell", "--node", ""), "node must be a string of 1 to 255"),
    ],
)
def test_what_cannot_be_understood(
    run_dir: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], problem: str
) -> None:
    assert run(*arguments) == status.BAD_USAGE
    assert problem in capsys.readouterr().err


def test_what_the_process_cannot_be_called_with(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with shop():
        for arguments, problem in [
            (("steal",), "Shop has no operation 'steal'; it has: how_many, sell"),
            (("_sell", '"a pear"'), "'_sell'"),
            (("sell",), "missing 1 required positional argument: 'what'"),
            (("sell", '"a pear"', "price=3"), "unexpected keyword argument 'price'"),
        ]:
            assert run("shop", *arguments) == status.BAD_USAGE
            assert problem in capsys.readouterr().err


def test_whom_there_is_none_of(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with shop():
        assert run("shops", "sell") == status.NOT_RUNNING
    said = capsys.readouterr().err
    assert "'shops'" in said
    assert said.endswith("; names there: 'shop'\n")
    assert run("shop", "sell") == status.NOT_RUNNING
    said = capsys.readouterr().err
    assert said == f"regrow: node 'default' does not run in {run_dir}; none runs there\n"


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_an_interrupt_shows_what_was_measured(run_dir: Path, tmp_path: Path) -> None:
    command = ["bench", "shop", "sell", '"a pear"', "--seconds", "3600", "--json"]
    with (
        shop() as client,
        subprocess.Popen(
            [sys.executable, "-m", "supervisor", *command, "--warm-up", "0.01"],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
            # Where these tests run in the background of a shell, SIGINT is ignored, and inherited.
            preexec_fn=_heed_interrupts,  # noqa: PLW1509  no thread is running
        ) as process,
    ):
        eventually(lambda: client.how_many()[0] > 2000)
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == status.INTERRUPTED
    found = json.loads(shown)
    assert found["interrupted"]
    assert found["seconds"] < 3600
    assert found["answered"] > 0


def test_arguments_are_json_values_and_keywords() -> None:
    words = ["1", "-2.5", '"a=b"', "[1, null]", "key={}", 'other="x=y"']
    assert parse_arguments(words) == ([1, -2.5, "a=b", [1, None]], {"key": {}, "other": "x=y"})


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["pear"], "'pear' is not"),
        (["key="], "'key=' is not"),
        (["NaN"], "JSON has no NaN"),
        (["-Infinity"], "JSON has no -Infinity"),
        (["two words=1"], "'two words=1' is not"),
        (["key=1", "key=2"], "'key' is given twice"),
    ],
)
def test_arguments_that_are_none(words: list[str], problem: str) -> None:
    with pytest.raises(BadCall, match=problem):
        parse_arguments(words)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(2e-7, "0.20 µs"), (5e-5, "50 µs"), (0.0015, "1.50 ms"), (1.0, "1 s"), (75, "75 s")],
)
def test_durations_have_the_unit_that_suits_them(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
