"""A short run of each scenario: ``make leaks`` does it a thousand times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor import SupervisorRef
from tests.leaks.scenarios import SCENARIOS, Found, Held, Scene, make_tree, run
from tests.supervisor.conftest import fresh

_TIMES = {"connections": 100, "look-ups and monitors": 40, "registry restarts": 4}


@pytest.fixture(scope="module")
def shared(module_run_dir: Path) -> Iterator[SupervisorRef]:
    with make_tree().start() as tree:
        yield tree


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_piles_up(shared: SupervisorRef, name: str) -> None:
    with fresh(shared) as tree:
        found = Scene(tree)
        result = run(found, SCENARIOS[name], _TIMES.get(name, 12))
        found.close()
    assert {"client", "root", "registry", "other", "dynamic", "pool"} == set(result.after)
    assert result.leaks() == []


def test_what_piles_up_is_noticed() -> None:
    mib = 1024 * 1024
    before = {"root": Held(10, 20 * mib), "other": Held(10, 20 * mib)}
    after = {"root": Held(13, 20 * mib), "other": Held(9, 24 * mib)}
    assert Found(100, before, after).leaks() == [
        "root: 10 -> 13 descriptors",
        "other: 4096 KiB more, 41943 bytes each time",
    ]
