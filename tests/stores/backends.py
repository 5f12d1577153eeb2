"""The stores that the contracts are held against: one line for each.

A factory is given an empty folder, and returns a context manager whose value is an empty store, or
a client of one. A factory whose service is absent calls `pytest.skip`. One that is a context
manager itself is entered before the first test of a module, and left after the last.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from ports import ArtifactRegistry, ArtifactStore, Maintenance, SessionQuery, SessionStore
from stores import (
    CompositeSessionStore,
    FileArtifactStore,
    InMemorySessionStore,
    S3ArtifactStore,
    SQLAlchemySessionStore,
)
from supervisor import Child
from tests.stores import postgresql, s3
from tests.stores.emptied import EmptiedSessionStore
from tests.stores.remote import Tree

F = TypeVar("F", bound=Callable[[Path], AbstractContextManager[Any]])


class FullSessionStore(SessionStore, SessionQuery, Maintenance, ArtifactRegistry):
    """What our session stores offer."""


SessionStoreFactory: TypeAlias = Callable[[Path], AbstractContextManager[SessionStore]]
ArtifactStoreFactory: TypeAlias = Callable[[Path], AbstractContextManager[ArtifactStore]]


def _sqlite(folder: Path) -> dict[str, str]:
    return {"url": f"sqlite:///{folder}/sessions.db", "synchronous": "NORMAL"}


def _in_memory() -> Child:
    return Child(EmptiedSessionStore, name="sessions")


def _of_database(url: str) -> Child:
    return Child(SQLAlchemySessionStore, {"url": url}, name="sessions")


def _files(folder: Path) -> Child:
    options = {"root": f"{folder}/artifacts", "fsync": False}
    return Child(FileArtifactStore, options, name="artifacts")


def _objects(_: Path) -> Child:
    return Child(S3ArtifactStore, s3.options(s3.empty_bucket()), name="artifacts")


def _composite(session_store: object = "sessions", artifact_store: object = "artifacts") -> Child:
    options = {"session_store": session_store, "artifact_store": artifact_store}
    return Child(CompositeSessionStore, options, name="store")


SESSION_STORES: dict[str, SessionStoreFactory] = {
    "memory": lambda _: InMemorySessionStore(),
    "sqlite": lambda folder: SQLAlchemySessionStore(**_sqlite(folder)),
    "sqlite_memory": lambda _: SQLAlchemySessionStore("sqlite:///:memory:"),
    "postgresql": postgresql.EmptyStore(),
    "memory process": Tree(
        FullSessionStore,
        lambda _: [_in_memory()],
        emptied="sessions",
    ),
    "sqlite process": Tree(
        FullSessionStore,
        lambda data: [Child(SQLAlchemySessionStore, _sqlite(data), name="sessions")],
    ),
    "postgresql process": postgresql.StoreTree(
        FullSessionStore, lambda url, _: [_of_database(url)]
    ),
    "memory composite": Tree(
        FullSessionStore,
        lambda data: [_in_memory(), _files(data), _composite()],
        emptied="sessions",
    ),
    "postgresql composite": postgresql.StoreTree(
        FullSessionStore, lambda url, data: [_of_database(url), _files(data), _composite()]
    ),
    "sqlite hosted by the composite": Tree(
        FullSessionStore,
        lambda data: [
            _files(data),
            _composite(session_store=(SQLAlchemySessionStore, _sqlite(data))),
        ],
    ),
}

# More ways to reach one, for the contracts of queries and maintenance: another store is called on
# the composite's threads.
QUERY_STORES: dict[str, SessionStoreFactory] = {
    **SESSION_STORES,
    "memory hosted by the composite": Tree(
        FullSessionStore,
        lambda data: [_files(data), _composite(session_store=(InMemorySessionStore, {}))],
        keeper="store",
    ),
}

ARTIFACT_STORES: dict[str, ArtifactStoreFactory] = {
    "file": lambda folder: FileArtifactStore(folder, fsync=False),
    "file process": Tree(ArtifactStore, lambda data: [_files(data)]),
    "file composite": Tree(
        ArtifactStore,
        lambda data: [Child(InMemorySessionStore, name="sessions"), _files(data), _composite()],
    ),
    "file hosted by the composite": Tree(
        ArtifactStore,
        lambda data: [
            _composite(
                session_store=(InMemorySessionStore, {}),
                artifact_store=(FileArtifactStore, {"root": f"{data}/artifacts", "fsync": False}),
            )
        ],
    ),
    "s3": s3.EmptyStore(),
    "s3 process": Tree(ArtifactStore, lambda data: [_objects(data)], empty=s3.empty_bucket),
    "s3 composite": Tree(
        ArtifactStore,
        lambda data: [Child(InMemorySessionStore, name="sessions"), _objects(data), _composite()],
        empty=s3.empty_bucket,
    ),
    "s3 hosted by the composite": Tree(
        ArtifactStore,
        lambda data: [
            _composite(
                session_store=(InMemorySessionStore, {}),
                artifact_store=(S3ArtifactStore, s3.options(s3.empty_bucket())),
            )
        ],
        empty=s3.empty_bucket,
    ),
}


@contextmanager
def ready(factory: F) -> Iterator[F]:
    """A factory, entered if it has to be."""
    if isinstance(factory, AbstractContextManager):
        with factory:
            yield factory
    else:
        yield factory
