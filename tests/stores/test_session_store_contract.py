"""Every session store keeps the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ports import SessionStore
from tests.contracts.session_store import *  # noqa: F403 (the tests)
from tests.stores.backends import SESSION_STORES, SessionStoreFactory, ready


@pytest.fixture(scope="module", params=SESSION_STORES)
def factory(request: pytest.FixtureRequest) -> Iterator[SessionStoreFactory]:
    with ready(SESSION_STORES[request.param]) as factory:
        yield factory


@pytest.fixture
def session_store(factory: SessionStoreFactory, tmp_path: Path) -> Iterator[SessionStore]:
    with factory(tmp_path) as store:
        yield store
