"""Charts: what is drawn of results, and what is said where it cannot be."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import __main__ as command
from benchmarks._plot import NotInstalled, plot
from benchmarks._report import Chart, Report

CHARTS = [
    Chart("growth", "children", "ms", {"start": [(10, 1), (100, 12)], "stop": [(10, 2), (100, 9)]}),
    Chart("latency", "times the bare pipe", bars={"one hop": 1.4, "Manager": 9.0}),
    Chart("throughput", "clients", "calls/s", {"composite": [(1, 2e4), (64, 5e4)]}, from_zero=True),
]


def make_results() -> dict[str, Any]:
    machine = {"cores": 2, "processor": "a fast one", "kernel": "Linux 6", "python": "CPython 3.11"}
    reports = [Report("echo", "a call", [], charts=CHARTS), Report("none", "nothing", [])]
    data = {"machine": machine, "reports": [report.to_map() for report in reports]}
    decoded: dict[str, Any] = json.loads(json.dumps(data))
    return decoded


@pytest.fixture(scope="module", autouse=True)
def _fonts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Load them before the tests, which check that nothing is left open: they stay open."""
    plot(make_results(), tmp_path_factory.mktemp("fonts") / "charts.svg")


@pytest.fixture
def results() -> dict[str, Any]:
    return make_results()


def test_one_file_has_every_chart(results: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "charts.svg"
    assert plot(results, path) == 3
    text = " ".join(ElementTree.parse(path).getroot().itertext())
    for shown in ("growth", "start", "one hop", "1.4", "calls/s", "2 cores (a fast one)"):
        assert shown in text


def test_the_same_results_give_the_same_file(results: dict[str, Any], tmp_path: Path) -> None:
    first, second = tmp_path / "first.svg", tmp_path / "second.svg"
    plot(results, first)
    plot(results, second)
    assert first.read_bytes() == second.read_bytes()


def test_without_a_chart_there_is_no_file(results: dict[str, Any], tmp_path: Path) -> None:
    results["reports"] = results["reports"][1:]
    assert plot(results, tmp_path / "charts.svg") == 0
    assert not (tmp_path / "charts.svg").exists()


def test_without_matplotlib_it_says_what_to_install(
    results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(NotInstalled, match=r"regrow\[bench\]"):
        plot(results, tmp_path / "charts.svg")


def test_the_command_draws_what_a_run_has_written(
    results: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written = tmp_path / "found.json"
    written.write_text(json.dumps(results))
    assert command.main(["--draw", str(written)]) == 0
    assert (tmp_path / "found.svg").exists()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert command.main(["--draw", str(written), "--plot", str(tmp_path / "other.svg")]) == 0
    assert "no plot: it takes matplotlib" in capsys.readouterr().out
