"""The command, with benchmarks that measure nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks._report import Bar, Report, Settings, rate_line


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    asked: list[Settings] = []

    def measure(settings: Settings) -> Report:
        asked.append(settings)
        return Report("echo", "nothing", [rate_line("many", "/s", [[1.0]], bars=[Bar(">=", 2)])])

    monkeypatch.setattr(command, "BENCHMARKS", {"echo": measure, "other": measure})
    return asked


def test_all_are_run_where_none_is_named(benchmarks: list[Settings], tmp_path: Path) -> None:
    assert command.main(["--quick", "--json", str(tmp_path / "found.json")]) == 0
    assert [settings.quick for settings in benchmarks] == [True, True]
    assert not benchmarks[0].scratch.exists()


def test_results_are_written_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], benchmarks: list[Settings]
) -> None:
    assert command.main(["echo", "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert [report["name"] for report in found["reports"]] == ["echo"]
    assert {"cores", "kernel", "python"} <= found["machine"].keys()
    shown = capsys.readouterr().out
    assert found["machine"]["kernel"] in shown
    assert "bars met: 0 of 1" in shown
    assert "no plot: nothing here has a chart" in shown
    assert len(benchmarks) == 1


def test_one_that_fails_takes_nothing_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(settings: Settings) -> Report:
        raise RuntimeError("the disk is full")

    monkeypatch.setitem(command.BENCHMARKS, "echo", fail)
    assert command.main(["--json", str(tmp_path / "found.json")]) == 1
    assert len(json.loads((tmp_path / "found.json").read_text())["reports"]) == 1
    assert "echo failed" in caplog.text


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["nonsense"])
    assert "'nonsense'" in capsys.readouterr().err


def test_a_run_that_is_cut_short_keeps_what_it_has_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(settings: Settings) -> Report:
        raise KeyboardInterrupt

    monkeypatch.setitem(command.BENCHMARKS, "other", interrupt)
    with pytest.raises(KeyboardInterrupt):
        command.main(["--json", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    assert [report["name"] for report in found["reports"]] == ["echo"]


@pytest.mark.parametrize("text", [None, "not JSON"])
def test_what_cannot_be_drawn_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    if text is not None:
        (tmp_path / "found.json").write_text(text)
    with pytest.raises(SystemExit):
        command.main(["--draw", str(tmp_path / "found.json")])
    assert "found.json holds no results" in capsys.readouterr().err
