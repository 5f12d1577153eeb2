"""Fixtures for pytest, to be imported into a ``conftest.py``.

::

from supervisor.testing.fixtures import no_leaks
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from supervisor.testing._leaks import LeakCheck

__all__ = ["no_leaks"]


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Nothing that the test has started outlives it: no process, thread, descriptor or socket."""
    check = LeakCheck()
    yield
    check.expect_none()
