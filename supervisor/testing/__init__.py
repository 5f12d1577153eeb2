"""What tests of supervised programs need.

Without processes: what does this supervisor do when ... ? ::

    from supervisor import Child, Supervisor
    from supervisor.testing import ObedientWorker, SimulatedSupervisor

    spec = Supervisor(
        [Child(ObedientWorker, id="a"), Child(ObedientWorker, id="b")], strategy="one_for_all"
    )
    tree = SimulatedSupervisor(spec).boot()
    tree.exit("a", "error")
    assert tree.log[-4:] == ["start a", "ready a", "start b", "ready b"]

With processes: kill one, and go on when it is gone::

    with spec.start() as tree:
        assert assert_kill(tree.child("a")).reason == "signal"

``supervisor.testing.fixtures`` has a fixture for pytest that fails a test which leaves a process, a
thread, a descriptor or a socket behind; ``LeakCheck`` does the same anywhere.
"""

from __future__ import annotations

from supervisor.testing._clock import FakeClock
from supervisor.testing._kill import assert_kill
from supervisor.testing._leaks import LeakCheck
from supervisor.testing._simulation import SimulatedProcess, SimulatedSupervisor
from supervisor.testing._waiting import eventually
from supervisor.testing._worker import ObedientWorker, Refused

__all__ = [
    "FakeClock",
    "LeakCheck",
    "ObedientWorker",
    "Refused",
    "SimulatedProcess",
    "SimulatedSupervisor",
    "assert_kill",
    "eventually",
]
