"""Every session store keeps the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ports import SessionStore
from tests.contracts.session_store import *  # noqa: F403 (the tests)
from tests.stores.backends import SESSION_STORES


@pytest.fixture(params=SESSION_STORES)
def session_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SessionStore]:
    with SESSION_STORES[request.param](tmp_path) as store:
        yield store
