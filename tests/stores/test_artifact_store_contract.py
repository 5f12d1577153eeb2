"""Every artifact store keeps the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ports import ArtifactStore
from tests.contracts.artifact_store import *  # noqa: F403 (the tests)
from tests.stores.backends import ARTIFACT_STORES, ArtifactStoreFactory, ready


@pytest.fixture(scope="module", params=ARTIFACT_STORES)
def factory(request: pytest.FixtureRequest) -> Iterator[ArtifactStoreFactory]:
    with ready(ARTIFACT_STORES[request.param]) as factory:
        yield factory


@pytest.fixture
def artifact_store(factory: ArtifactStoreFactory, tmp_path: Path) -> Iterator[ArtifactStore]:
    with factory(tmp_path) as store:
        yield store
