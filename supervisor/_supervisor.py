"""The spec of a supervisor: its children, and what is done when one of them ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from supervisor import _validate as validate
from supervisor._errors import NameTaken, SpecError
from supervisor._spec import (
    RESTARTS,
    Child,
    Kind,
    Restart,
    Shutdown,
    validate_shutdown,
    validate_significant,
)

if TYPE_CHECKING:
    import os

    from supervisor._embed import StartedTree

__all__ = ["AutoShutdown", "ChildSpec", "DynamicSupervisor", "Strategy", "Supervisor"]

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
AutoShutdown = Literal["never", "any_significant", "all_significant"]

STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")
AUTO_SHUTDOWNS = ("never", "any_significant", "all_significant")


@dataclass(frozen=True, slots=True, init=False)
class Supervisor:
    """A supervisor: starts its children in order, restarts them, stops them in reverse.

    It is a spec, and so can be a child of another supervisor; each runs as a process of its own.

    Args:
        children: Child and Supervisor specs, in start order.
        strategy: who is restarted when a child ends: ``one_for_one`` that child, ``one_for_all``
            all, ``rest_for_one`` that child and those after it.
        max_restarts: more restarts than these within ``max_seconds``, and the supervisor gives up.
        max_seconds: the seconds that ``max_restarts`` speaks of.
        auto_shutdown: whether it ends by itself when a significant child does (``any_significant``)
            or when the last significant one has (``all_significant``).
        id: unique within its own supervisor; by default the name, else the class's name.
        name: registers the supervisor's process under this name, unique in the node.
        restart: as for a Child.
        shutdown: as for a Child; by default without limit, so that its children get theirs.
        significant: as for a Child.

    Raises:
        SpecError: a value is not allowed, or two children share an id.
        NameTaken: two processes of the tree share a name.

    """

    children: tuple[ChildSpec, ...]
    strategy: Strategy
    max_restarts: int
    max_seconds: float
    auto_shutdown: AutoShutdown
    id: str
    name: str | None
    restart: Restart
    shutdown: Shutdown
    significant: bool
    has_own_id: bool = field(repr=False, compare=False)

    def __init__(
        self,
        children: Iterable[ChildSpec] = (),
        *,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        auto_shutdown: AutoShutdown = "never",
        id: str | None = None,
        name: str | None = None,
        restart: Restart = "permanent",
        shutdown: Shutdown = None,
        significant: bool = False,
    ) -> None:
        owner = f"{type(self).__name__}({name or id or ''})"
        keep = object.__setattr__
        keep(self, "strategy", validate.choice(owner, "strategy", strategy, STRATEGIES))
        keep(self, "max_restarts", validate.integer(owner, "max_restarts", max_restarts, least=0))
        keep(self, "max_seconds", validate.seconds(owner, "max_seconds", max_seconds))
        validate.choice(owner, "auto_shutdown", auto_shutdown, AUTO_SHUTDOWNS)
        keep(self, "auto_shutdown", auto_shutdown)
        keep(self, "name", name if name is None else validate.identifier(owner, "name", name))
        given = id if id is not None else name or type(self).__name__
        keep(self, "id", validate.identifier(owner, "id", given))
        keep(self, "has_own_id", id is not None or name is not None)
        keep(self, "restart", validate.choice(owner, "restart", restart, RESTARTS))
        keep(self, "shutdown", validate_shutdown(owner, shutdown))
        keep(self, "significant", validate_significant(owner, significant, restart))
        keep(self, "children", _children(owner, children, auto_shutdown))
        check_names(self)

    @property
    def kind(self) -> Kind:
        """``supervisor``."""
        return "supervisor"

    @property
    def start_timeout(self) -> None:
        """None: a supervisor waits for its children, and each of them has its own limit."""
        return

    @property
    def backoff(self) -> None:
        """None: a supervisor is restarted at once."""
        return

    @property
    def max_children(self) -> int | None:
        """None: only a DynamicSupervisor has a bound."""
        return None

    @property
    def is_dynamic(self) -> bool:
        """Whether children are forgotten when they end for good."""
        return False

    def start(
        self, node: str = "default", *, run_dir: str | os.PathLike[str] | None = None
    ) -> StartedTree:
        """Start the tree, its root in a process of its own, and return when every child is ready.

        The tree lives as long as this process, or until it is stopped: by the ref's ``stop`` or by
        leaving it as a context manager.

        Args:
            node: the node's name: what ``connect`` and the command find it by.
            run_dir: the folder of the nodes' folders; by default ``$REGROW_RUN_DIR``, else
                ``$XDG_RUNTIME_DIR/regrow``, else one of this user under the temporary directory.

        Raises:
            StartError: which child did not start, and why; what had started is stopped again.
            NodeRunning: a node of that name runs already.
            SpecError: the spec holds what cannot be carried to another process.

        """
        from supervisor._embed import start_tree  # noqa: PLC0415

        return start_tree(self, node, run_dir)

    def run(self, node: str = "default", *, run_dir: str | os.PathLike[str] | None = None) -> int:
        """Become the root of the tree, until SIGTERM, SIGINT or SIGHUP, or until the tree ends.

        The first of these signals stops the tree in reverse order; a second one kills every process
        of it at once. As process 1 of a container, it reaps every orphan. A service manager that
        has set ``$NOTIFY_SOCKET``, such as systemd (``Type=notify``), is told when the tree is up,
        when it begins to stop, and, where ``$WATCHDOG_USEC`` asks for it, that the root's loop
        turns.

        Args:
            node: the node's name.
            run_dir: as for ``start``.

        Returns:
            The exit status: 0 for an orderly stop, by a signal, by ``stop()`` or because the tree
            ended by itself; 1 where it gave up; 128 and the number of the signal where a second one
            forced the stop.

        Raises:
            StartError: which child did not start, and why; what had started is stopped again.
            NodeRunning: a node of that name runs already.

        """
        from supervisor._root import run_tree  # noqa: PLC0415

        return run_tree(self, node, run_dir)


@dataclass(frozen=True, slots=True, init=False)
class DynamicSupervisor(Supervisor):
    """A supervisor that starts empty: its children come by ``start_child``.

    They need no id (one is made of the target's name and a number), are restarted one for one, stop
    side by side, and are forgotten when they end for good, as in Elixir's ``DynamicSupervisor``.

    Args:
        max_children: more children than these are refused with Overloaded; None: no bound.
        max_restarts, max_seconds, auto_shutdown, id, name, restart, shutdown, significant: as for
            Supervisor.

    Raises:
        SpecError: a value is not allowed.

    """

    limit: int | None = None

    def __init__(
        self,
        *,
        max_children: int | None = None,
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        auto_shutdown: AutoShutdown = "never",
        id: str | None = None,
        name: str | None = None,
        restart: Restart = "permanent",
        shutdown: Shutdown = None,
        significant: bool = False,
    ) -> None:
        if max_children is not None:
            validate.integer("DynamicSupervisor", "max_children", max_children, least=0)
        object.__setattr__(self, "limit", max_children)
        Supervisor.__init__(
            self,
            (),
            max_restarts=max_restarts,
            max_seconds=max_seconds,
            auto_shutdown=auto_shutdown,
            id=id,
            name=name,
            restart=restart,
            shutdown=shutdown,
            significant=significant,
        )

    @property
    def max_children(self) -> int | None:
        """How many children it takes; None: no bound."""
        return self.limit

    @property
    def is_dynamic(self) -> bool:
        """True: children are forgotten when they end for good."""
        return True


ChildSpec = Child | Supervisor


def _children(owner: str, children: Any, auto_shutdown: str) -> tuple[ChildSpec, ...]:
    if isinstance(children, (str, bytes)) or not isinstance(children, Iterable):
        raise validate.refuse(owner, "children", children, "a list of Child and Supervisor specs")
    specs = tuple(children)
    seen: set[str] = set()
    for spec in specs:
        check_child(owner, spec, auto_shutdown)
        if spec.id in seen:
            raise SpecError(f"{owner}: two children have the id {spec.id!r}; give one another id")
        seen.add(spec.id)
    return specs


def check_child(owner: str, spec: Any, auto_shutdown: str) -> None:
    """That this can be a child of such a supervisor.

    Raises:
        SpecError: it is no spec, or it is significant where that means nothing.

    """
    if not isinstance(spec, (Child, Supervisor)):
        raise validate.refuse(owner, "children", spec, "Child and Supervisor specs")
    if spec.significant and auto_shutdown == "never":
        raise SpecError(
            f"{owner}: child {spec.id!r} is significant, which needs auto_shutdown="
            "'any_significant' or 'all_significant', not 'never'"
        )


def names_of(spec: ChildSpec) -> Iterator[str]:
    """The names in a tree, its root's own first, each as often as it is written."""
    if spec.name is not None:
        yield spec.name
    if isinstance(spec, Supervisor):
        for child in spec.children:
            yield from names_of(child)


def check_names(spec: ChildSpec) -> None:
    """That no two processes of the tree share a name.

    Raises:
        NameTaken: which name is there twice.

    """
    seen: set[str] = set()
    for name in names_of(spec):
        if name in seen:
            raise NameTaken(name)
        seen.add(name)
