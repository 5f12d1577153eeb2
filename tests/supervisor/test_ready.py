"""A child that has answered a call runs, for whoever asks its supervisor."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from supervisor import Child, Supervisor, connect, whereis
from tests.supervisor.servers import Worker


def test_who_has_answered_has_a_pid(run_dir: Path):
    spec = Supervisor([Child(Worker, name="worker")], max_restarts=1000)
    with spec.start(run_dir=run_dir), connect("worker", run_dir=run_dir) as worker:
        ref = whereis("worker", run_dir=run_dir)
        assert ref is not None
        for _ in range(30):
            pid = worker.pid()
            assert ref.pid == pid
            os.kill(pid, signal.SIGKILL)
