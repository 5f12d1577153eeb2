"""Peers: those that are not there, and how one that is there is asked."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks._report import Settings
from benchmarks.peers import Peer, PeerFailed

MISSING = Peer("Missing,", "missing", requires="no_such_package")
ELSEWHERE = Peer("Elsewhere", "elsewhere", program="no-such-program")
UNABLE = Peer("Unable", "no_such_module")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(True, tmp_path, lambda what, done, of: None)


def test_what_is_absent_is_left_out_and_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "PEERS", [MISSING, ELSEWHERE])
    report = peers.measure(settings)
    assert (report.lines, report.charts) == ([], ())
    assert "left out: Missing (not installed: pip install 'regrow[bench]')" in report.notes
    assert "left out: Elsewhere (no no-such-program on the PATH)" in report.notes


def test_one_that_fails_is_left_out_and_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(peers, "PEERS", [UNABLE])
    with caplog.at_level(logging.ERROR):
        report = peers.measure(settings)
    assert "left out: Unable (failed, see above)" in report.notes
    assert "No module named benchmarks._peers.no_such_module" in caplog.text


def test_a_client_process_makes_as_many_calls_as_it_is_asked_for(settings: Settings) -> None:
    with peers._asked("regrow_server", settings) as ask:
        for count in (3, 5):
            samples = ask(count)
            assert len(samples) == count
            assert min(samples) > 0
        with pytest.raises(PeerFailed, match="not a number"):
            ask("not a number")  # type: ignore[arg-type]
