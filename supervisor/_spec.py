"""The spec of a child: what runs, and what is done when it ends.

Terms and defaults are those of OTP's ``supervisor`` (https://www.erlang.org/doc/man/supervisor),
with what operating system processes need beside: backoff, a watchdog, a memory limit.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from supervisor import _validate as validate
from supervisor._errors import SpecError
from supervisor._secrets import without_secrets

__all__ = ["Backoff", "Child", "Command", "Kind", "Restart", "Shutdown", "StartMethod"]

Kind = Literal["server", "task", "command", "supervisor"]
Restart = Literal["permanent", "transient", "temporary"]
Shutdown = float | Literal["brutal_kill"] | None
StartMethod = Literal["fork", "spawn"]

RESTARTS = ("permanent", "transient", "temporary")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Restarts that wait, longer each time.

    Restarts of a child with a backoff do not count against its supervisor's intensity.

    Args:
        initial: seconds before the first restart.
        maximum: the most seconds that a restart waits.
        factor: what the wait is multiplied by from one restart to the next; at least 1.
        jitter: the part of the wait, from 0 to 1, by which it varies at random either way.
        reset_after: seconds up after which a child counts as stable: its next restart waits
            ``initial`` again.

    Raises:
        SpecError: a value is out of range.

    """

    initial: float = 0.1
    maximum: float = 30.0
    factor: float = 2.0
    jitter: float = 0.1
    reset_after: float = 60.0

    def __post_init__(self) -> None:
        validate.seconds("Backoff", "initial", self.initial, zero=True)
        validate.seconds("Backoff", "maximum", self.maximum, zero=True)
        validate.seconds("Backoff", "reset_after", self.reset_after, zero=True)
        if self.maximum < self.initial:
            raise validate.refuse(
                "Backoff", "maximum", self.maximum, f"at least initial, which is {self.initial}"
            )
        if validate.seconds("Backoff", "factor", self.factor) < 1:
            raise validate.refuse("Backoff", "factor", self.factor, "at least 1")
        if validate.seconds("Backoff", "jitter", self.jitter, zero=True) > 1:
            raise validate.refuse("Backoff", "jitter", self.jitter, "from 0 to 1")


@dataclass(frozen=True, slots=True, init=False)
class Command:
    """An external program, as the target of a Child.

    It leads a process group of its own, which is signalled as a whole, and is stopped with SIGTERM,
    then SIGKILL.

    Args:
        argv: the program and its arguments.
        env: the environment, instead of the inherited one; None inherits it.
        cwd: the directory to run in; None is the supervisor's.

    Raises:
        SpecError: argv is empty or not a list of strings, or env does not map strings to strings.

    """

    argv: tuple[str, ...]
    env: Mapping[str, str] | None
    cwd: str | None

    def __init__(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> None:
        if isinstance(argv, (str, bytes)) or not isinstance(argv, Sequence) or not argv:
            raise validate.refuse("Command", "argv", argv, "a list: the program, its arguments")
        if env is not None and not isinstance(env, Mapping):
            raise validate.refuse("Command", "env", env, "a mapping of strings, or None")
        words = tuple(_argument("argv", word) for word in argv)
        if not words[0]:
            raise validate.refuse("Command", "argv", argv, "a list that begins with a program")
        variables = None if env is None else _environment(env)
        object.__setattr__(self, "argv", words)
        object.__setattr__(self, "env", variables)
        object.__setattr__(self, "cwd", None if cwd is None else _argument("cwd", cwd))

    @property
    def __name__(self) -> str:
        """The program's name without its folder: the default id of such a child."""
        return self.argv[0].rstrip("/").rpartition("/")[2] or self.argv[0]


def _argument(field: str, value: object) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or "\0" in value:
        raise validate.refuse("Command", field, value, "a string without NUL")
    return value


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    variables = {_argument("env", key): _argument("env", value) for key, value in env.items()}
    for key in variables:
        if not key or "=" in key:
            raise validate.refuse("Command", "env", key, "keyed by names without '='")
    return variables


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Child:
    """One child of a supervisor.

    Args:
        target: a class, built as ``target(*args, **kwargs)`` in the new process, whose public
            methods are the operations of that *server*; or a function, a *task*, that runs there
            until it returns; or a Command.
        kwargs: keyword arguments for the target.
        args: positional arguments for the target.
        id: unique within the supervisor; by default the name, else the target's ``__name__``.
        name: registers the process under this name, unique in the node.
        restart: ``permanent``: always restarted; ``transient``: unless it ended ``normal`` or
            ``shutdown``; ``temporary``: never, and forgotten once it ended.
        shutdown: seconds to stop in, before SIGKILL; ``brutal_kill``: SIGKILL at once; None: no
            limit.
        significant: its end counts for the supervisor's ``auto_shutdown``.
        start_timeout: seconds to become ready in; None: no limit.
        backoff: restarts wait, longer each time, and do not count against the intensity.
        watchdog: seconds within which a server's loop must turn; else it is ended.
        max_rss: bytes of resident memory above which the process is ended and restarted.
        start_method: ``fork`` or ``spawn``; None: fork where that is safe.

    Raises:
        SpecError: a value is not allowed; the message names field, value and what is.

    """

    target: Any
    kwargs: dict[str, Any]
    args: tuple[Any, ...]
    id: str
    name: str | None
    restart: Restart
    shutdown: Shutdown
    significant: bool
    start_timeout: float | None
    backoff: Backoff | None
    watchdog: float | None
    max_rss: int | None
    start_method: StartMethod | None
    has_own_id: bool = field(repr=False, compare=False)

    def __init__(
        self,
        target: Any,
        kwargs: Mapping[str, Any] | None = None,
        *,
        args: Sequence[Any] = (),
        id: str | None = None,
        name: str | None = None,
        restart: Restart = "permanent",
        shutdown: Shutdown = 5.0,
        significant: bool = False,
        start_timeout: float | None = 30.0,
        backoff: Backoff | None = None,
        watchdog: float | None = None,
        max_rss: int | None = None,
        start_method: StartMethod | None = None,
    ) -> None:
        owner = f"Child({_name_of(target) or target!r})"
        keep = object.__setattr__
        keep(self, "target", _target(owner, target))
        keep(self, "kwargs", _keyword_arguments(owner, kwargs))
        keep(self, "args", _positional_arguments(owner, args))
        keep(self, "name", name if name is None else validate.identifier(owner, "name", name))
        keep(self, "id", _child_id(owner, id, name, target))
        keep(self, "has_own_id", id is not None or name is not None)
        keep(self, "restart", validate.choice(owner, "restart", restart, RESTARTS))
        keep(self, "shutdown", validate_shutdown(owner, shutdown))
        keep(self, "significant", validate_significant(owner, significant, restart))
        keep(self, "start_timeout", _limit(owner, "start_timeout", start_timeout))
        if backoff is not None and not isinstance(backoff, Backoff):
            raise validate.refuse(owner, "backoff", backoff, "a Backoff or None")
        keep(self, "backoff", backoff)
        keep(self, "watchdog", _limit(owner, "watchdog", watchdog))
        if watchdog is not None and self.kind != "server":
            raise SpecError(f"{owner}: watchdog is for servers, and this is a {self.kind}")
        if max_rss is not None:
            validate.integer(owner, "max_rss", max_rss, least=1)
        keep(self, "max_rss", max_rss)
        if start_method is not None:
            validate.choice(owner, "start_method", start_method, ("fork", "spawn"))
        keep(self, "start_method", start_method)
        _check_call(owner, target, self.args, self.kwargs)

    def __repr__(self) -> str:
        shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
        return without_secrets(f"Child({', '.join(shown)})")

    @property
    def kind(self) -> Kind:
        """What the target makes of it: ``server``, ``task`` or ``command``."""
        if isinstance(self.target, Command):
            return "command"
        return "server" if inspect.isclass(self.target) else "task"


def validate_shutdown(owner: str, value: Any) -> Shutdown:
    """``shutdown`` of a child or a supervisor: seconds, ``brutal_kill`` or None."""
    if value is None or (isinstance(value, str) and value == "brutal_kill"):
        return value  # type: ignore[return-value]
    try:
        return validate.seconds(owner, "shutdown", value, zero=True)
    except SpecError:
        allowed = "seconds, at least 0, 'brutal_kill', or None"
        raise validate.refuse(owner, "shutdown", value, allowed) from None


def validate_significant(owner: str, significant: Any, restart: str) -> bool:
    """``significant``: as in OTP, a permanent child has no end that could be significant."""
    if validate.boolean(owner, "significant", significant) and restart == "permanent":
        raise SpecError(
            f"{owner}: significant=True needs restart='transient' or 'temporary', not 'permanent'"
        )
    return bool(significant)


def _name_of(target: Any) -> str | None:
    name = getattr(target, "__name__", None)
    return name if isinstance(name, str) and name else None


def _target(owner: str, target: Any) -> Any:
    if isinstance(target, Command):
        return target
    if not callable(target):
        raise validate.refuse(owner, "target", target, "a class, a function or a Command")
    if inspect.isclass(target) and inspect.isabstract(target):
        missing = ", ".join(sorted(getattr(target, "__abstractmethods__", ())))
        raise SpecError(f"{owner}: target is abstract: it lacks {missing}")
    return target


def _child_id(owner: str, given: Any, name: str | None, target: Any) -> str:
    if given is not None:
        return validate.identifier(owner, "id", given)
    found = name or _name_of(target)
    if found is None:
        raise SpecError(f"{owner}: id is needed: the target has no __name__ to take it from")
    return validate.identifier(owner, "id", found)


def _keyword_arguments(owner: str, kwargs: Any) -> dict[str, Any]:
    if kwargs is None:
        return {}
    if not isinstance(kwargs, Mapping) or not all(isinstance(key, str) for key in kwargs):
        raise validate.refuse(owner, "kwargs", kwargs, "a mapping from argument names, or None")
    return dict(kwargs)


def _positional_arguments(owner: str, args: Any) -> tuple[Any, ...]:
    if isinstance(args, (str, bytes)) or not isinstance(args, Sequence):
        raise validate.refuse(owner, "args", args, "a tuple or a list")
    return tuple(args)


def _limit(owner: str, field: str, value: Any) -> float | None:
    return None if value is None else validate.seconds(owner, field, value)


def _check_call(owner: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """That the target takes these arguments, as far as its signature tells."""
    if isinstance(target, Command):
        if args or kwargs:
            raise SpecError(f"{owner}: args and kwargs of a Command belong into its argv")
        return
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise SpecError(f"{owner}: the target does not take these arguments: {error}") from None
