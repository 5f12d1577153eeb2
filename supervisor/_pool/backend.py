"""What stands behind an executor: its own pool, or a running one; and its end, whatever comes.

An executor's own pool stands in a tree whose root watches this process (``_embed``): however this
process ends, the tree does. Where the interpreter ends in order, it waits for the tasks first, as
it does for those of ``concurrent.futures``.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import secrets
import threading
import weakref
from collections.abc import Callable
from typing import Any

from supervisor._client.delivery import Target
from supervisor._embed import StartedTree, start_tree
from supervisor._errors import NodeRunning, SupervisorError
from supervisor._node import ROOT, Node
from supervisor._pool.link import Link
from supervisor._pool.spec import Pool
from supervisor._refs import SupervisorRef
from supervisor._supervisor import Supervisor

__all__ = ["Backend", "private_pool", "running_pool"]

_numbers = itertools.count(1)

# How often, within five seconds, a pool that was killed comes back.
_MAX_RESTARTS = 20

# What the interpreter does before its last threads are gone; it may be asked for until then.
_is_ending = False


class Backend:
    """The pool of an executor, and of its views.

    Args:
        start: finds or starts the pool; is given the names of modules that it should import.
        stop: is called when all is done.
    """

    def __init__(
        self, start: Callable[[tuple[str, ...]], Target], stop: Callable[[], None], what: str
    ) -> None:
        self._state = _State(start, stop)
        self._what = what
        # Whoever lets go of the executor, and of its views, has shut it down.
        weakref.finalize(self, self._state.close).atexit = False
        _states.add(self._state)

    def __repr__(self) -> str:
        return self._what

    @property
    def is_started(self) -> bool:
        """Whether there is a connection to the pool."""
        return self._state.link is not None

    @property
    def is_called_back(self) -> bool:
        """Whether this is the thread of the connection, which calls back when a task is done."""
        link = self._state.link
        return link is not None and link.is_own_thread

    def link(self, functions: tuple[Any, ...]) -> Link:
        """The connection to the pool, which is started first where it is the executor's own.

        Args:
            functions: those that it will run; their modules are imported before its workers start.

        Raises:
            RuntimeError: the executor is shut down, or belongs to another process.
            SupervisorError: the pool did not start, or does not exist.
        """
        link = self._state.link
        return link if link is not None else self._state.open(_modules_of(functions))

    def shutdown(self, *, wait: bool, cancel_futures: bool) -> None:
        """End when all is done; see Executor.shutdown."""
        link = self._state.link
        if cancel_futures and link is not None:
            link.cancel_pending()
        self._state.close()
        if wait and link is not None:
            link.join()


class _State:
    """What outlives the executor until its tasks are done."""

    def __init__(
        self, start: Callable[[tuple[str, ...]], Target], stop: Callable[[], None]
    ) -> None:
        self.link: Link | None = None
        self._start = start
        self._stop = stop
        self._lock = threading.Lock()
        self._closed = False
        self._owner = os.getpid()

    def open(self, preload: tuple[str, ...]) -> Link:
        if os.getpid() != self._owner:
            raise RuntimeError(
                f"this executor belongs to process {self._owner}, which this one was forked from: "
                "make another one here"
            )
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if _is_ending:
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            if self.link is None:
                target = self._start(preload)
                try:
                    self.link = Link(target, self._stop)
                except BaseException:
                    self._stop()
                    raise
            return self.link

    def close(self) -> None:
        if os.getpid() != self._owner:
            return
        with self._lock:
            self._closed = True
        if self.link is not None:
            self.link.close()


_states: weakref.WeakSet[_State] = weakref.WeakSet()


def _end() -> None:
    """The interpreter is about to end: finish what was begun."""
    global _is_ending  # noqa: PLW0603  it ends once
    _is_ending = True
    states = list(_states)
    for state in states:
        state.close()
    for state in states:
        if state.link is not None:
            state.link.join()


# As concurrent.futures has it done: before threads are waited for, and so before atexit.
threading._register_atexit(_end)  # type: ignore[attr-defined]  # noqa: SLF001


def _modules_of(functions: tuple[Any, ...]) -> tuple[str, ...]:
    modules = []
    for function in functions:
        while isinstance(function, functools.partial):
            function = function.func  # noqa: PLW2901  what it is about
        module = getattr(function, "__module__", None)
        if isinstance(module, str) and module != "__main__":
            modules.append(module)
    return tuple(modules)


def running_pool(target: Target) -> Backend:
    """The backend of an executor over a pool that runs."""
    return Backend(lambda _: target, _nothing, str(target))


def _nothing() -> None:
    """The pool is others' as well."""


def private_pool(make: Callable[..., Pool], node: str | None, run_dir: Any) -> Backend:
    """The backend of an executor with a pool of its own.

    Args:
        make: makes its spec, with these arguments beside its own.
        node: where it is to be; None is a node of its own.
        run_dir: the folder of the nodes' folders.
    """
    own_name = f"pool-{os.getpid()}-{next(_numbers)}-{secrets.token_hex(3)}"
    name = node if node is not None else own_name
    own = _OwnPool(make, Node.named(name, run_dir), run_dir, own_name, is_private=node is None)
    return Backend(own.start, own.stop, f"node {name!r}")


class _OwnPool:
    """The pool that an executor has started: in a tree of its own, or in one that runs."""

    def __init__(
        self, make: Callable[..., Pool], node: Node, run_dir: Any, id: str, *, is_private: bool
    ) -> None:
        self._make = make
        self._node = node
        self._run_dir = run_dir
        self._id = id
        self._is_private = is_private
        self._tree: StartedTree | None = None
        self._host: SupervisorRef | None = None

    def start(self, preload: tuple[str, ...]) -> Target:
        pool = self._make(id=self._id, preload=preload)
        tree = Supervisor([pool], id="root", max_restarts=_MAX_RESTARTS)
        try:
            self._tree = start_tree(
                tree, self._node.name, self._run_dir, is_private=self._is_private
            )
        except NodeRunning:
            if self._is_private:
                raise
            # There it is a guest: it ends with its executor, and nobody brings it back.
            self._host = SupervisorRef(Target(self._node, path=ROOT))
            guest = self._make(id=self._id, preload=preload, restart="temporary")
            self._host.start_child(guest)
        return Target(self._node, path=(self._id,))

    def stop(self) -> None:
        if self._tree is not None:
            self._tree.stop()
        elif self._host is not None:
            with contextlib.suppress(SupervisorError):
                # It may have ended, or its node may have.
                self._host.terminate_child(self._id)
            self._host = None
