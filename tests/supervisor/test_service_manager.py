"""The root as a service: what the service manager is told, second signals, process 1."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervisor import connect, whereis
from supervisor._service_manager import Settings, read_settings, taken
from tests.supervisor.conftest import remove_killed_node
from tests.supervisor.servers import lines
from tests.support import all_gone, descendants, eventually, members, proc

ROOT = Path(__file__).parents[2]


# --- what the environment asks for ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "1000000"}, None),
        ({"NOTIFY_SOCKET": ""}, None),
        ({"NOTIFY_SOCKET": "vsock:2:1"}, None),
        ({"NOTIFY_SOCKET": "relative"}, None),
        ({"NOTIFY_SOCKET": "@"}, None),
        ({"NOTIFY_SOCKET": "/run/s"}, Settings("/run/s")),
        ({"NOTIFY_SOCKET": "@s"}, Settings("\0s")),
        ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "1500000"}, Settings("/s", 1.5)),
        (
            {"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"},
            Settings("/s", 3.0),
        ),
        ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, Settings("/s")),
        ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "0"}, Settings("/s")),
        ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "-1"}, Settings("/s")),
        ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "soon"}, Settings("/s")),
    ],
)
def test_settings(environment: dict[str, str], settings: Settings | None) -> None:
    assert read_settings(environment, pid=7) == settings


def test_the_variables_are_taken_for_as_long_as_the_tree_runs() -> None:
    before = {"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}
    environment = dict(before)
    with taken(environment):
        assert environment == {"HOME": "/"}
    assert environment == before


# --- a root that is told of -----------------------------------------------------------------------


@contextmanager
def running(
    run_dir: Path,
    children: str,
    *,
    environment: dict[str, str] | None = None,
    before: tuple[str, ...] = (),
) -> Iterator[subprocess.Popen[str]]:
    """A process that runs these, and ends with the exit status of ``run()``."""
    text = f"""
        import sys
        from supervisor import *
        from tests.supervisor.servers import *
        from tests.supervisor.test_service_manager import *
        sys.exit(Supervisor({children}).run())
        """
    with subprocess.Popen(
        [*before, sys.executable, "-u", "-c", textwrap.dedent(text)],
        cwd=ROOT,
        env={**os.environ, "REGROW_RUN_DIR": str(run_dir), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


class Manager:
    """Listens as a service manager does."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def has_heard(self, message: str, times: int = 1) -> bool:
        try:
            while True:
                self.heard.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return self.heard.count(message) >= times

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Manager, str]]:
    if request.param == "path":
        name = address = str(tmp_path / "notify")
    else:
        name, address = f"@regrow-test-{os.getpid()}", f"\0regrow-test-{os.getpid()}"
    found = Manager(address)
    yield found, name
    found.close()


class Asked:
    """Tells of its environment."""

    def variables(self) -> list[str]:
        return sorted(name for name in os.environ if name.startswith(("NOTIFY_", "WATCHDOG_")))


def test_ready_and_stopping(run_dir: Path, manager: tuple[Manager, str]) -> None:
    told, name = manager
    children = '[Child(Asked, name="w"), Child(Slow, {"start": 0.2})]'
    environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}
    with running(run_dir, children, environment=environment) as process:
        eventually(lambda: told.has_heard("READY=1"))
        with connect("w") as client:
            assert client.variables() == []
        assert told.heard == ["READY=1"]
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0, output
    assert told.has_heard("STOPPING=1")
    assert told.heard == ["READY=1", "STOPPING=1"]


def test_the_loop_is_said_to_turn(run_dir: Path, manager: tuple[Manager, str]) -> None:
    told, name = manager
    environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "200000"}
    with running(run_dir, '[Child(Worker, name="w")]', environment=environment) as process:
        eventually(lambda: told.has_heard("READY=1") and told.has_heard("WATCHDOG=1", 5))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def test_one_that_gives_up_is_stopping_too(run_dir: Path, manager: tuple[Manager, str]) -> None:
    told, name = manager
    children = "[Child(task_that_raises)], max_restarts=0"
    with running(run_dir, children, environment={"NOTIFY_SOCKET": name}) as process:
        process.communicate(timeout=30)
        assert process.returncode == 1
    assert told.has_heard("STOPPING=1")


def test_a_manager_that_is_not_there_is_no_reason_to_end(run_dir: Path, tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "nobody")}
    with running(run_dir, '[Child(Asked, name="w")]', environment=environment) as process:
        eventually(lambda: _answers("w"))
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0
    assert output.count("the service manager could not be told") == 1


def _answers(name: str) -> bool:
    with connect(name, timeout=1) as client:
        try:
            client.variables()
        except Exception:
            return False
    return True


# --- signals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_each_signal_stops_in_order(run_dir: Path, journal: str, number: signal.Signals) -> None:
    children = f'[Child(Worker, {{"journal": {journal!r}}}, name="w")]'
    with running(run_dir, children) as process:
        eventually(lambda: lines(journal))
        eventually(lambda: len(members(process.pid)) == 3)
        # It has begun to run when it writes; a signal before it is ready would end its start.
        eventually(lambda: (ref := whereis("w")) is not None and ref.is_alive())
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0, output
    assert lines(journal) == ["start worker", "terminate worker shutdown", "close worker"]


def test_a_second_signal_kills_nested_trees_and_what_commands_have_started(
    run_dir: Path, journal: str
) -> None:
    program = f"sleep 600 & echo ready >> {journal}; wait"
    deaf = f'Child(task_that_ignores_sigterm, {{"journal": {journal!r}}}, shutdown=None)'
    inner = f'Supervisor([Child(Command(["sh", "-c", {program!r}])), {deaf}], id="inner")'
    children = f'[{deaf}, Supervisor([{inner}, Child(Slow, {{"stop": 600}}, shutdown=None)])]'
    with running(run_dir, children) as process:
        eventually(lambda: len(lines(journal)) == 3)
        # Registry, guard and deaf task; two supervisors, with sh, sleep, the task, the server.
        everyone = eventually(lambda: found if len(found := members(process.pid)) == 9 else set())
        process.send_signal(signal.SIGTERM)
        eventually(lambda: has_taken_signals(process.pid))
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 128 + signal.SIGTERM, output
        assert all_gone(everyone)
    assert not (run_dir / "default").exists()


def has_taken_signals(pid: int) -> bool:
    """Whether none is pending: two of one kind may come as one."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    masks = [line.split()[1] for line in status if line.startswith(("SigPnd", "ShdPnd"))]
    return not any(int(mask, 16) for mask in masks)


# --- process 1 ------------------------------------------------------------------------------------


def _namespace() -> tuple[str, ...]:
    """How to be process 1 of a namespace of one's own."""
    command = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    for before in (command, (*command, "--user", "--map-root-user")):
        try:
            subprocess.run([*before, "true"], check=True, capture_output=True, timeout=30)
        except (OSError, subprocess.SubprocessError):
            continue
        return before
    pytest.skip("namespaces of process ids are not permitted here")


def test_process_1_reaps_orphans_and_stops_in_order(run_dir: Path, journal: str) -> None:
    children = f'[Child(Worker, {{"journal": {journal!r}}}, name="w")]'
    with running(run_dir, children, before=_namespace()) as process:
        eventually(lambda: lines(journal))
        root = eventually(lambda: _first_child(process.pid))
        with connect("w") as client:
            eventually(lambda: client.echo(1))
            for _ in range(5):
                client.spawn_short_orphan()
            # The root has adopted and reaped them: of what is below it, nothing is a zombie.
            eventually(lambda: len(members(root, zombies=True)) == 2)
        assert root
        proc(root).kill(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0, output
    assert lines(journal)[-2:] == ["terminate worker shutdown", "close worker"]


def test_process_1_is_forced_by_a_second_signal(run_dir: Path, journal: str) -> None:
    children = f'[Child(task_that_ignores_sigterm, {{"journal": {journal!r}}}, shutdown=None)]'
    with running(run_dir, children, before=_namespace()) as process:
        eventually(lambda: lines(journal))
        root = eventually(lambda: _first_child(process.pid))
        everyone = descendants(process.pid)
        proc(root).kill(signal.SIGINT)
        proc(root).kill(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM)
        assert all_gone(everyone)


def _first_child(pid: int) -> int:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(text[0]) if text else 0


def test_kill_9_of_process_1_ends_all(run_dir: Path, journal: str) -> None:
    children = f'[Supervisor([Child(Worker, {{"journal": {journal!r}}}, name="w")])]'
    with running(run_dir, children, before=_namespace()) as process:
        eventually(lambda: lines(journal))
        root = eventually(lambda: _first_child(process.pid))
        everyone = descendants(process.pid)
        proc(root).kill()
        process.wait(30)
        eventually(lambda: all_gone(everyone))
    remove_killed_node(run_dir / "default")
