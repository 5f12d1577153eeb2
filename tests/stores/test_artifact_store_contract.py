"""Every artifact store keeps the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ports import ArtifactStore
from tests.contracts.artifact_store import *  # noqa: F403 (the tests)
from tests.stores.backends import ARTIFACT_STORES


@pytest.fixture(params=ARTIFACT_STORES)
def artifact_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ArtifactStore]:
    with ARTIFACT_STORES[request.param](tmp_path) as store:
        yield store
