"""Short ways to write specs and exits in tests."""

from __future__ import annotations

import signal
from typing import Any

from supervisor._exit import Exit
from supervisor._spec import Child
from supervisor._supervisor import DynamicSupervisor, Supervisor
from supervisor.testing import SimulatedSupervisor

NORMAL = Exit("normal")
SHUTDOWN = Exit("shutdown")
ERROR = Exit("error", code=1, error="ValueError('boom')", traceback="Traceback: boom")
SIGNAL = Exit("signal", signal=signal.SIGKILL)
ENDS = {"normal": NORMAL, "shutdown": SHUTDOWN, "error": ERROR, "signal": SIGNAL}


def work() -> None:
    """A target; nothing in these tests runs it."""


def child(id: str, restart: Any = "permanent", **options: Any) -> Child:
    return Child(work, id=id, restart=restart, **options)


def anonymous(restart: Any = "permanent", **options: Any) -> Child:
    """A child without an id of its own, for a DynamicSupervisor."""
    return Child(work, restart=restart, **options)


def tree(*children: Any, **options: Any) -> SimulatedSupervisor:
    """A world whose supervisor has booted; letters are permanent children."""
    specs = [child(each) if isinstance(each, str) else each for each in children]
    return SimulatedSupervisor(Supervisor(specs, **options)).boot()


def pool(**options: Any) -> SimulatedSupervisor:
    return SimulatedSupervisor(DynamicSupervisor(**options)).boot()
