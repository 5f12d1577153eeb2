"""Supervision trees for processes, after Erlang/OTP: kill any process, and it grows back.

::

    from supervisor import Child, Supervisor, connect

    class Counter:
        def __init__(self):
            self.value = 0

        def increment(self):
            self.value += 1
            return self.value

    with Supervisor([Child(Counter, name="counter")]).start():
        connect("counter").increment()

General layout: ``_spec`` and ``_supervisor`` say what a tree is; ``_core`` decides, without a
process or a clock, what a supervisor does; ``_driver`` does it; ``_process`` starts processes;
``_server`` answers calls and ``_client`` makes them, through ``_wire``; ``_pool`` shares work out.
"""

from __future__ import annotations

import os as _os

if _os.path.exists(_os.path.join(_os.path.dirname(__file__), "supervisord.py")):
    raise ImportError(
        "the distributions 'regrow' and 'supervisor' (supervisord) are installed over each other: "
        "both use the import name 'supervisor'. Install one of them into an environment of its "
        "own: pip uninstall supervisor regrow && pip install regrow"
    )

from supervisor._client.client import AsyncClient, Client, connect, connect_async
from supervisor._errors import (
    BadCall,
    CallTimeout,
    ChildExists,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    NameTaken,
    NodeRunning,
    NoProcess,
    Overloaded,
    ProcessDown,
    RemoteError,
    SpecError,
    StartError,
    SupervisorError,
    TaskTimeout,
    WorkerCrashed,
)
from supervisor._exit import Exit
from supervisor._forward.forwarder import Forwarder, Hosted, Remote
from supervisor._operation import idempotent, operation
from supervisor._pool.checkout import checkout
from supervisor._pool.executor import PoolExecutor
from supervisor._pool.spec import Pool
from supervisor._refs import ChildCount, ChildInfo, Monitor, Ref, SupervisorRef, whereis
from supervisor._registry import Registry
from supervisor._server.server import Server
from supervisor._spec import Backoff, Child, Command
from supervisor._supervisor import DynamicSupervisor, Supervisor
from supervisor._wire.blob import Blob

__all__ = [
    "AsyncClient",
    "Backoff",
    "BadCall",
    "Blob",
    "CallTimeout",
    "Child",
    "ChildCount",
    "ChildExists",
    "ChildInfo",
    "ChildNotFound",
    "ChildRestarting",
    "ChildRunning",
    "Client",
    "Command",
    "DynamicSupervisor",
    "Exit",
    "Forwarder",
    "Hosted",
    "Monitor",
    "NameTaken",
    "NoProcess",
    "NodeRunning",
    "Overloaded",
    "Pool",
    "PoolExecutor",
    "ProcessDown",
    "Ref",
    "Registry",
    "Remote",
    "RemoteError",
    "Server",
    "SpecError",
    "StartError",
    "Supervisor",
    "SupervisorError",
    "SupervisorRef",
    "TaskTimeout",
    "WorkerCrashed",
    "checkout",
    "connect",
    "connect_async",
    "idempotent",
    "operation",
    "whereis",
]
