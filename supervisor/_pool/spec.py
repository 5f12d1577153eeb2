"""The spec of a pool, and that of its workers."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from supervisor import _validate as validate
from supervisor._errors import SpecError
from supervisor._pool.actions import Limits
from supervisor._server.server import Server
from supervisor._spec import Child, Kind, Restart, Shutdown, StartMethod
from supervisor._supervisor import Supervisor

__all__ = ["RESERVED", "Pool", "PoolWorker", "default_size"]

# What a pool is asked for itself, as any supervisor: a call of these does not go to a worker.
RESERVED = frozenset(
    {
        "which_children",
        "count_children",
        "get_child",
        "start_child",
        "terminate_child",
        "restart_child",
        "delete_child",
        "child_status",
        "describe_child",
        "describe",
        "child_exit",
        "child_has_run",
        "wait_child",
        "stop_child",
        "stop",
        "wait",
    }
)


def default_size() -> int:
    """As many workers as this process may use processors."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def no_initializer() -> None:
    """What workers do first where nothing else is wanted."""


@dataclass(frozen=True, slots=True, init=False)
class PoolWorker(Child):
    """A worker that runs functions: the target is the initializer, and then it takes tasks.

    Attributes:
        max_tasks: after so many tasks it ends; None is without limit.
        authkey: of the process whose executor's own worker this is, for managers of
            multiprocessing; what it prints and logs goes to that process. None: it is a pool's.
    """

    max_tasks: int | None = None
    authkey: bytes | None = field(default=None, repr=False)

    def __init__(
        self, target: Any, *, max_tasks: int | None, authkey: bytes | None, **options: Any
    ) -> None:
        object.__setattr__(self, "max_tasks", max_tasks)
        object.__setattr__(self, "authkey", authkey)
        Child.__init__(self, target, restart="temporary", **options)

    @property
    def kind(self) -> Kind:
        """``task``: it is stopped by a signal, and answers no calls."""
        return "task"


@dataclass(frozen=True, slots=True, init=False)
class Pool(Supervisor):
    """A pool of workers: a supervisor, under whose name their work is shared out.

    Without a target, the workers run functions: use ``PoolExecutor.connect`` with its name. With a
    class as target, each worker is a server of its own, built as ``target(**kwargs)``: a client of
    the pool's name gets its calls carried out by one that is free, and ``checkout`` gives one to
    oneself. A worker that dies is replaced, and only the task or call that it was carrying out is
    affected.

    Functions, arguments and results are carried by pickle and cloudpickle: whoever may submit tasks
    may run code as the pool's user. Only processes of the same user can (see Limits in the README).

    Args:
        target: a class, or None.
        kwargs: its keyword arguments.
        size: how many workers; by default as many as this process may use processors.
        max_size: while tasks wait, workers are added up to so many; by default ``size``.
        max_tasks: after so many tasks or calls a worker is replaced by a fresh one.
        name: registers the pool under this name, unique in the node.
        queue_size: how many tasks or calls may wait for a worker; beyond that, callers wait, or get
            Overloaded, as they choose. None is without bound for tasks, and 10,000 for calls.
        initializer: is called once in each worker that runs functions, before its first task.
        initargs: its arguments.
        idle_timeout: seconds after which a worker beyond ``size`` that has nothing to do is ended.
        preload: names of modules that the pool imports before it forks its workers, which then have
            them at once. That they cannot be imported is told by the tasks that need them.
        max_restarts: how many deaths of workers are borne within ``max_seconds``. Those that a task
            is to blame for only count beyond ``max_crashes``.
        max_crashes: how many deaths by tasks within ``max_seconds`` do not count.
        max_seconds: the seconds that both speak of.
        id, restart, shutdown, significant: as for a Supervisor.
        start_timeout, max_rss, start_method: of each worker, as for a Child.
        worker_shutdown: as ``shutdown`` for a Child: what a worker has to stop in.

    Raises:
        SpecError: a value is not allowed.

    """

    limits: Limits
    serves: bool
    worker: Child
    preload: tuple[str, ...]
    max_tasks: int | None

    def __init__(
        self,
        target: type | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        size: int | None = None,
        max_size: int | None = None,
        max_tasks: int | None = None,
        name: str | None = None,
        queue_size: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Sequence[Any] = (),
        idle_timeout: float = 30.0,
        preload: Sequence[str] = (),
        max_restarts: int = 100,
        max_crashes: int = 1000,
        max_seconds: float = 5.0,
        id: str | None = None,
        restart: Restart = "permanent",
        shutdown: Shutdown = None,
        significant: bool = False,
        start_timeout: float | None = 30.0,
        max_rss: int | None = None,
        start_method: StartMethod | None = None,
        worker_shutdown: Shutdown = 5.0,
        _authkey: bytes | None = None,
    ) -> None:
        owner = f"Pool({name or id or ''})"
        limits = _limits(owner, size, max_size, queue_size, idle_timeout)
        validate.integer(owner, "max_crashes", max_crashes, least=0)
        if max_tasks is not None:
            validate.integer(owner, "max_tasks", max_tasks, least=1)
        options: dict[str, Any] = {
            "id": "worker-1",
            "shutdown": worker_shutdown,
            "start_timeout": start_timeout,
            "max_rss": max_rss,
            "start_method": start_method,
        }
        if target is None:
            if kwargs:
                raise validate.refuse(owner, "kwargs", kwargs, "left out where there is no target")
            options |= {"max_tasks": max_tasks, "authkey": _authkey}
            worker: Child = _function_worker(owner, initializer, initargs, options)
        else:
            if initializer is not None or initargs:
                what = initializer if initializer is not None else initargs
                raise validate.refuse(
                    owner, "initializer", what, "left out with a target: its constructor is that"
                )
            worker = _server(owner, target, kwargs, options)
        keep = object.__setattr__
        keep(self, "worker", worker)
        keep(self, "serves", target is not None)
        keep(self, "preload", _module_names(owner, preload))
        keep(self, "max_tasks", max_tasks)
        Supervisor.__init__(
            self,
            [numbered(worker, number) for number in range(1, limits.size + 1)],
            max_restarts=max_restarts,
            max_seconds=max_seconds,
            id=id,
            name=name,
            restart=restart,
            shutdown=shutdown,
            significant=significant,
        )
        keep(
            self,
            "limits",
            Limits(
                limits.size,
                limits.max_size,
                limits.queue_size,
                limits.idle_timeout,
                max_restarts,
                max_crashes,
                max_seconds,
                max_tasks if target is not None else None,
                serves=target is not None,
            ),
        )

    @property
    def is_guest(self) -> bool:
        """Whether it ends with the executor that has started it in a tree that ran."""
        own = isinstance(self.worker, PoolWorker) and self.worker.authkey is not None
        return own and self.restart == "temporary"

    @property
    def is_dynamic(self) -> bool:
        """True: workers come and go, and stop side by side."""
        return True


def numbered(worker: Child, number: int) -> Child:
    """The spec of that one of the pool's workers."""
    copy = object.__new__(type(worker))
    names = [*_FIELDS_OF_CHILD]
    if isinstance(worker, PoolWorker):
        names += ("max_tasks", "authkey")
    for name in names:
        object.__setattr__(copy, name, getattr(worker, name))
    object.__setattr__(copy, "id", f"worker-{number}")
    return copy


_FIELDS_OF_CHILD = tuple(Child.__dataclass_fields__)


def _limits(owner: str, size: Any, max_size: Any, queue_size: Any, idle_timeout: Any) -> Limits:
    count = default_size() if size is None else validate.integer(owner, "size", size, least=1)
    most = count
    if max_size is not None:
        most = validate.integer(owner, "max_size", max_size, least=1)
        if most < count:
            raise validate.refuse(owner, "max_size", max_size, f"at least size, which is {count}")
    if queue_size is not None:
        validate.integer(owner, "queue_size", queue_size, least=1)
    return Limits(count, most, queue_size, validate.seconds(owner, "idle_timeout", idle_timeout))


def _function_worker(
    owner: str, initializer: Any, initargs: Any, options: dict[str, Any]
) -> PoolWorker:
    if initializer is not None and not callable(initializer):
        raise validate.refuse(owner, "initializer", initializer, "callable, or None")
    if isinstance(initargs, (str, bytes)) or not isinstance(initargs, Sequence):
        raise validate.refuse(owner, "initargs", initargs, "a tuple or a list")
    if initializer is None and initargs:
        raise validate.refuse(owner, "initargs", initargs, "empty where there is no initializer")
    first = no_initializer if initializer is None else initializer
    try:
        return PoolWorker(first, args=tuple(initargs), **options)
    except SpecError as error:
        raise SpecError(f"{owner}: initializer: {error}") from None


def _server(owner: str, target: Any, kwargs: Any, options: dict[str, Any]) -> Child:
    if not inspect.isclass(target):
        raise validate.refuse(
            owner,
            "target",
            target,
            "a class, whose objects serve calls, or None: then functions are submitted to it",
        )
    taken = sorted(name for name in RESERVED if callable(getattr(target, name, None)))
    if taken and not (issubclass(target, Server) and taken == ["stop"]):
        raise SpecError(
            f"{owner}: target {target.__name__} has an operation {taken[0]!r}, which is one of the "
            "pool itself: give it another name"
        )
    return Child(target, kwargs, restart="temporary", **options)


def _module_names(owner: str, names: Any) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise validate.refuse(owner, "preload", names, "a list of names of modules")
    return tuple(names)
