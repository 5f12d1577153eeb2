"""Every session store keeps the contracts of queries, maintenance and the index of artifacts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.artifact_registry import TestListing, TestRegistering, TestWrongArtifacts
from tests.contracts.maintenance import (
    TestDeleting,
    TestHealth,
    TestPruning,
    TestWrongMaintenance,
)
from tests.contracts.session_query import (
    TestPages,
    TestSearchingEvents,
    TestSearchingRuns,
    TestSearchingSessions,
    TestSummaries,
    TestWrongQueries,
)
from tests.stores.backends import QUERY_STORES, FullSessionStore, SessionStoreFactory, ready

__all__ = [
    "TestDeleting",
    "TestHealth",
    "TestListing",
    "TestPages",
    "TestPruning",
    "TestRegistering",
    "TestSearchingEvents",
    "TestSearchingRuns",
    "TestSearchingSessions",
    "TestSummaries",
    "TestWrongArtifacts",
    "TestWrongMaintenance",
    "TestWrongQueries",
]


@pytest.fixture(scope="module", params=QUERY_STORES)
def factory(request: pytest.FixtureRequest) -> Iterator[SessionStoreFactory]:
    with ready(QUERY_STORES[request.param]) as factory:
        yield factory


@pytest.fixture
def session_store(factory: SessionStoreFactory, tmp_path: Path) -> Iterator[FullSessionStore]:
    with factory(tmp_path) as store:
        yield store
