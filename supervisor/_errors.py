"""The errors of the runtime, by whose fault they are and what to do next.

::

    SupervisorError
    ├── SpecError (ValueError)      a spec is wrong where it is written: correct it
    ├── StartError                  a tree or a child did not come up: see .child, .error
    │   └── NodeRunning             a node of that name runs already: another name, or stop it
    ├── NameTaken                   another process holds that name
    ├── NoProcess                   nobody is there, and nobody will be: look the name up
    ├── ProcessDown                 died during the call: see .exit and .taken
    ├── CallTimeout (TimeoutError)  no answer in time: the call may have been carried out
    ├── BadCall                     the caller's fault: the server lives on
    ├── Overloaded                  refused, not carried out: try later
    ├── WorkerCrashed               a pool's worker died of, or during, this task: see .exit
    ├── TaskTimeout (TimeoutError)  a pool's task took too long: its worker was ended
    ├── RemoteError                 a declared error of a class that is not known here
    └── ChildNotFound, ChildExists, ChildRunning, ChildRestarting
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from supervisor._exit import Exit

__all__ = [
    "BadCall",
    "CallTimeout",
    "ChildExists",
    "ChildNotFound",
    "ChildRestarting",
    "ChildRunning",
    "NameTaken",
    "NoProcess",
    "NodeRunning",
    "Overloaded",
    "ProcessDown",
    "RemoteError",
    "SpecError",
    "StartError",
    "SupervisorError",
    "TaskTimeout",
    "WorkerCrashed",
]


class SupervisorError(Exception):
    """What every error of the runtime is."""


class SpecError(SupervisorError, ValueError):
    """A spec is wrong: the message names the field, the value and what is allowed."""


class StartError(SupervisorError):
    """A tree, or a child of one, did not start; what had been started is stopped again.

    Attributes:
        child: the path of ids from the root to the child that failed.
        error: why, in one line: the exception's repr, or how the process ended.
        traceback: the child's traceback, where there is one.

    """

    def __init__(self, child: Sequence[str], error: str, traceback: str | None = None) -> None:
        super().__init__(child, error, traceback)
        self._path = tuple(child)
        self.error = error
        self.traceback = traceback

    @property
    def child(self) -> tuple[str, ...]:
        """The path of ids from the root to the child that failed."""
        return tuple(self._path)  # which has come as a list if it has come from another process

    def __str__(self) -> str:
        where = f"child {'/'.join(self.child)!r} did not start" if self.child else "did not start"
        text = f"{where}: {self.error}"
        return f"{text}\n\n{self.traceback.rstrip()}" if self.traceback else text


class NodeRunning(StartError):
    """A node of this name runs already in this run directory.

    Attributes:
        node: the node's name.
        pid: the process that runs it.

    """

    def __init__(self, node: str, pid: int | None) -> None:
        super().__init__((), f"node {node!r} runs already, as process {pid}")
        self.args = (node, pid)
        self.node = node
        self.pid = pid


class NameTaken(SupervisorError):
    """Another process of the node holds this name, or has it reserved.

    Attributes:
        name: the name that was asked for.

    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"the name {self.name!r} is taken"


class NoProcess(SupervisorError):
    """Nobody is there: no such name, stopped by ``terminate_child``, or gone for good.

    You do not get it while a process is restarting: calls wait for that.
    """


class ProcessDown(SupervisorError):
    """The process died during the call.

    Attributes:
        exit: why it ended; None where its supervisor could not be asked.
        taken: False if the process never took the request up, so that sending it again is safe;
            True if it may have been carried out.

    """

    def __init__(self, target: str, exit: Exit | None, taken: bool) -> None:
        super().__init__(target, exit, taken)
        self.target = target
        self.exit = exit
        self.taken = taken

    def __str__(self) -> str:
        how = str(self.exit) if self.exit is not None else "reason unknown"
        what = "the call may have been carried out" if self.taken else "the call was not taken up"
        return f"{self.target} died during the call ({how}); {what}"


class CallTimeout(SupervisorError, TimeoutError):
    """No answer within the timeout; the call may be carried out all the same."""


class BadCall(SupervisorError):
    """The caller's fault: unknown operation, wrong arguments, a value that cannot be encoded.

    The server was not harmed, and did nothing.
    """


class Overloaded(SupervisorError):
    """Refused because a bound is reached; nothing was done. Try again later."""


class WorkerCrashed(SupervisorError):
    """The process that carried out a pool's task died during it, more often than it may be retried.

    No other task is affected.

    Attributes:
        task: the task's name.
        exit: why the process ended; its ``traceback`` is where a fatal signal found it, where that
            is known. None where the pool itself was killed, and nobody can say.

    """

    def __init__(self, task: str, exit: Exit | None, attempts: int = 1) -> None:
        super().__init__(task, exit, attempts)
        self.task = task
        self.exit = exit
        self.attempts = attempts

    def __str__(self) -> str:
        how = "reason unknown" if self.exit is None else str(self.exit)
        times = "" if self.attempts == 1 else f", at the last of {self.attempts} attempts"
        text = f"the worker died while it carried out {self.task} ({how}){times}"
        if self.exit is not None and self.exit.traceback:
            text += f"\n\n{self.exit.traceback.rstrip()}"
        return text


class TaskTimeout(SupervisorError, TimeoutError):
    """A pool's task took longer than its timeout: its worker was ended, and the work with it.

    Attributes:
        task: the task's name.
        timeout: the seconds that it was allowed.
        traceback: where the worker was when it was ended, where that is known.

    """

    def __init__(self, task: str, timeout: float, traceback: str | None = None) -> None:
        super().__init__(task, timeout, traceback)
        self.task = task
        self.timeout = timeout
        self.traceback = traceback

    def __str__(self) -> str:
        text = f"{self.task} took longer than {self.timeout} seconds, and its worker was ended"
        return f"{text}\n\n{self.traceback.rstrip()}" if self.traceback else text


class RemoteError(SupervisorError):
    """A declared error whose class cannot be found in this process.

    Attributes:
        type: the class's name, as ``module:name``.
        details: the attributes that the error carried.

    """

    def __init__(self, type: str, args: Sequence[Any], details: dict[str, Any]) -> None:
        super().__init__(type, args, details)
        self.type = type
        self.details = details

    def __str__(self) -> str:
        _, arguments, _ = self.args
        return f"{self.type}: {', '.join(map(str, arguments))}"


class _ChildError(SupervisorError):
    """An administrative request that the child's state does not allow."""

    problem = ""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id

    def __str__(self) -> str:
        return f"child {self.id!r} {self.problem}"


class ChildNotFound(_ChildError):
    """The supervisor has no child of that id."""

    problem = "does not exist"


class ChildExists(_ChildError):
    """The supervisor has a child of that id already.

    Attributes:
        ref: the child that runs; None where it is stopped or restarting.

    """

    problem = "exists already"

    def __init__(self, id: str, ref: Any = None) -> None:
        super().__init__(id)
        self.args = (id, ref)
        self.ref = ref


class ChildRunning(_ChildError):
    """The child runs; ``restart_child`` and ``delete_child`` want it terminated first."""

    problem = "is running"


class ChildRestarting(_ChildError):
    """The child is restarting; ``restart_child`` and ``delete_child`` want it terminated first."""

    problem = "is restarting"
