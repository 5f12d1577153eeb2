"""Monitors know how their process ended, whenever they are asked; and refs mean who they say."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ports import ArtifactStore, StorageError
from stores import CompositeSessionStore, InMemorySessionStore
from supervisor import BadCall, Child, Supervisor, SupervisorRef, connect, whereis
from supervisor.testing import assert_kill, eventually


class Echo:
    def echo(self, *args: Any, **kwargs: Any) -> list[Any]:
        return [list(args), kwargs]


class SlowArtifacts(ArtifactStore):
    def put(self, key: str, data: Any) -> None:
        time.sleep(3)

    def get(self, key: str) -> bytes:
        return b""

    def delete(self, key: str) -> None:
        return None

    def view(self, key: str) -> memoryview:
        return memoryview(b"")


@pytest.fixture
def tree(run_dir: Path) -> Iterator[SupervisorRef]:
    with Supervisor([Child(Echo, name="echo")], max_restarts=100).start() as tree:
        yield tree


def test_a_monitor_of_a_tree_that_has_ended(tree: SupervisorRef):
    ref = whereis("echo")
    assert ref is not None
    of_child, of_root = ref.monitor(), tree.monitor()
    tree.stop()
    assert of_child.wait(5).reason == "shutdown"
    assert of_root.wait(5).reason == "shutdown"
    assert whereis("echo") is None


def test_a_monitor_of_a_killed_root(tree: SupervisorRef):
    monitor = tree.monitor()
    assert tree.pid is not None
    os.kill(tree.pid, signal.SIGKILL)
    assert monitor.wait(5).signal == signal.SIGKILL
    # The next node of that name removes what a dead one has left.
    with Supervisor([]).start():
        assert whereis("echo") is None


def test_a_monitor_can_be_asked_again_after_its_timeout(tree: SupervisorRef):
    ref = whereis("echo")
    assert ref is not None
    monitor = ref.monitor()
    with pytest.raises(TimeoutError):
        monitor.wait(0.01)
    assert_kill(ref)
    assert monitor.wait(5) == monitor.wait(5)
    assert monitor.wait(5).signal == signal.SIGKILL


def test_a_pinned_ref_has_no_pid_of_a_successor(tree: SupervisorRef):
    ref = whereis("echo")
    assert ref is not None
    pinned = ref.pinned()
    assert_kill(ref)
    eventually(lambda: ref.pid is not None)
    assert pinned.pid is None
    assert not pinned.is_alive()


def test_an_argument_named_self_is_the_callers_fault(tree: SupervisorRef):
    ref = whereis("echo")
    assert ref is not None
    pid = ref.pid
    with pytest.raises(BadCall):
        ref.call("echo", self=1)
    assert ref.call("echo", op=1) == [[], {"op": 1}]
    assert ref.pid == pid


def test_a_hosted_store_that_hangs_is_a_storage_error(run_dir: Path):
    options = {
        "session_store": (InMemorySessionStore, {}),
        "artifact_store": (SlowArtifacts, {}),
    }
    child = Child(CompositeSessionStore, options, name="store", shutdown="brutal_kill")
    with (
        Supervisor([child]).start(),
        connect("store", ArtifactStore, timeout=0.5) as artifacts,
        pytest.raises(StorageError),
    ):
        artifacts.put("key", b"data")
