"""The contract of session stores: a test class for each part of it.

A test module takes all of it over with `from tests.contracts.session_store import *`, and offers a
fixture `session_store`: an empty store, or a client of one. The tests use nothing but the port.
"""

from tests.contracts.events import TestAppending, TestFlush, TestQueries
from tests.contracts.runs import TestRuns
from tests.contracts.sessions import TestDeleting, TestKeeping, TestListing, TestSessions
from tests.contracts.waiting import TestConcurrency, TestWaiting, threads
from tests.contracts.wrong_arguments import TestWhatCannotTravel, TestWrongArguments

__all__ = [
    "TestAppending",
    "TestConcurrency",
    "TestDeleting",
    "TestFlush",
    "TestKeeping",
    "TestListing",
    "TestQueries",
    "TestRuns",
    "TestSessions",
    "TestWaiting",
    "TestWhatCannotTravel",
    "TestWrongArguments",
    "threads",
]
