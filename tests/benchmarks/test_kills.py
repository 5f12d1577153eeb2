"""What a soak has counted, as it says it."""

from __future__ import annotations

import pytest

from benchmarks.kills import counted

SAID = """\
seed 7
12 s, 8 clients
kills         60 (artifacts 11, store 49)
calls         2858 (slowest 0.214 s)
events        1187
failed        1
contradicted  2
lost          3
duplicates    4
gaps          5
recovery      p50 92.3 ms, p99 613.5 ms, slowest 613.5 ms
"""


def test_the_numbers_are_read() -> None:
    found = counted(SAID, "")
    names = ("kills", "calls", "events", "failed", "contradicted", "lost", "duplicates", "gaps")
    assert [found[name] for name in names] == [60, 2858, 1187, 1, 2, 3, 4, 5]


def test_one_that_has_not_come_to_an_end_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)has not counted \['gaps'\].*no space left"):
        counted(SAID.replace("gaps", "caps"), "no space left")
