"""The composite in front of a store that answers queries, and of one that does not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ports import ArtifactRegistry, Maintenance, SessionQuery, SessionStore
from stores import CompositeSessionStore, FileArtifactStore, InMemorySessionStore
from supervisor import BadCall, Child, Supervisor, connect
from tests.contracts.samples import session


def _keep(name: str) -> Any:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._kept, name)(*args, **kwargs)

    return call


class OnlySessions(SessionStore):
    """A store of somebody else's, which has heard of sessions alone."""

    def __init__(self) -> None:
        self._kept = InMemorySessionStore()


for _name in SessionStore.__abstractmethods__:
    setattr(OnlySessions, _name, _keep(_name))
OnlySessions.__abstractmethods__ = frozenset()


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("composite")
    files = (FileArtifactStore, {"root": f"{folder}/files", "fsync": False})
    tree = Supervisor(
        [
            Child(OnlySessions, name="only"),
            Child(
                CompositeSessionStore, {"session_store": "only", "artifact_store": files}, name="a"
            ),
            Child(
                CompositeSessionStore,
                {"session_store": (OnlySessions, {}), "artifact_store": files},
                name="b",
            ),
        ]
    )
    with tree.start(run_dir=folder / "run") as started:
        started.which_children()
        yield folder / "run"


CALLS = [
    (SessionQuery, "search_sessions", {}),
    (Maintenance, "health_check", {}),
    (ArtifactRegistry, "get_artifact", {"key": "a"}),
]


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_store_without_queries_says_so_and_serves_on(run_dir: Path, name: str):
    for port, operation, arguments in CALLS:
        says = pytest.raises(BadCall, match=f"OnlySessions has no operation '{operation}'")
        with connect(name, port, run_dir=run_dir) as client, says:
            getattr(client, operation)(**arguments)
    with connect(name, SessionStore, run_dir=run_dir) as client:
        client.save_session(session(id=f"by {name}"))
        assert client.get_session(f"by {name}").agent_id == "agent"


def test_in_one_process(tmp_path: Path):
    files = FileArtifactStore(tmp_path, fsync=False)
    with CompositeSessionStore(OnlySessions(), files) as store:
        for _, operation, arguments in CALLS:
            with pytest.raises(BadCall, match=f"OnlySessions has no operation '{operation}'"):
                getattr(store, operation)(**arguments)
    with CompositeSessionStore(InMemorySessionStore(), files) as store:
        store.save_session(session(id="s"))
        assert [each.id for each in store.search_sessions().items] == ["s"]
        assert store.health_check() == []
        for port in (SessionQuery, Maintenance, ArtifactRegistry):
            assert isinstance(store, port)


def test_in_one_process_wrong_arguments_cost_nobody_his_store(tmp_path: Path):
    files = (FileArtifactStore, {"root": str(tmp_path), "fsync": False})
    with CompositeSessionStore((InMemorySessionStore, {}), files) as store:
        store.save_session(session(id="s"))
        with pytest.raises(TypeError, match="session"):
            store.save_session()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="colour"):
            store.get_events("s", colour="red")  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="data"):
            store.put("key")  # type: ignore[call-arg]
        assert store.get_session("s").id == "s"


def test_wrong_arguments_and_a_bad_name_are_the_callers_fault(run_dir: Path, tmp_path: Path):
    tree = Supervisor([Child(InMemorySessionStore, name="sessions")])
    with (
        tree.start(run_dir=tmp_path) as started,
        connect("sessions", SessionQuery, run_dir=tmp_path) as client,
    ):
        started.which_children()
        pid = started.child("sessions").pid
        with pytest.raises(BadCall, match="colour"):
            client.search_sessions(colour="red")
        with pytest.raises(BadCall, match="session_id"):
            client.get_session_stats()
        assert client.search_sessions().items == []
        assert started.child("sessions").pid == pid
