"""Clients: objects with the methods of an interface, which call a process."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar, overload

from supervisor._client.caller import Caller
from supervisor._client.channel import Channel
from supervisor._client.delivery import LinkLost, Loss, Request, Target, deliver, reach
from supervisor._client.looped import LoopTransport
from supervisor._client.requests import make_request, open_response
from supervisor._context import default_node
from supervisor._errors import BadCall
from supervisor._operation import interface_operations, is_idempotent
from supervisor._refs import Ref
from supervisor._wire.codec import Decoder
from supervisor._wire.frames import Frame

__all__ = ["AsyncClient", "Client", "connect", "connect_async"]

I = TypeVar("I")  # noqa: E741  the interface


class Client:
    """Calls one process, through blocking methods. Safe in threads, and in a forked child."""

    def __init__(
        self, target: Target, interface: type | None, timeout: float | None, retry: bool
    ) -> None:
        self._caller = Caller(target, retry=retry)
        self._interface = _Interface(interface)
        self._timeout = timeout

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The method that calls the operation of this name."""
        name, idempotent = self._interface.operation(name)
        call, timeout, stretch = self._caller.call, self._timeout, self._interface.stretch
        if self._interface.waits(name):

            def method(*args: Any, **kwargs: Any) -> Any:
                return call(name, args, kwargs, stretch(timeout, name, args), idempotent)
        else:

            def method(*args: Any, **kwargs: Any) -> Any:
                return call(name, args, kwargs, timeout, idempotent)

        self.__dict__[name] = method
        return method

    def close(self) -> None:
        """Close the connections; a further call makes new ones."""
        self._caller.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client of {self._caller.target}>"


class AsyncClient:
    """Calls one process, through awaitable methods; many calls may be in flight."""

    def __init__(
        self, target: Target, interface: type | None, timeout: float | None, retry: bool
    ) -> None:
        self._target = target
        self._interface = _Interface(interface)
        self._timeout = timeout
        self._retry = retry
        self._transport = LoopTransport(asyncio.get_running_loop())
        # Where the target was last.
        self._link: Channel | None = None
        self._decoder = Decoder(importing=True, specs=True)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The method that calls the operation of this name."""
        method = functools.partial(self._call, *self._interface.operation(name))
        self.__dict__[name] = method
        return method

    async def _call(self, name: str, idempotent: bool, /, *args: Any, **kwargs: Any) -> Any:
        request = make_request(
            name,
            args,
            kwargs,
            timeout=self._interface.stretch(self._timeout, name, args),
            idempotent=idempotent,
            instance=self._target.instance,
        )
        return open_response(self._decoder, await self._deliver(request))

    async def _deliver(self, request: Request) -> Frame:
        link = self._link
        if link is None or link.closed or self._transport.is_forgotten(link):
            link = self._link = await reach(self._transport, self._target, request.deadline)
        sent_at = time.monotonic()
        try:
            return await self._transport.exchange(link, request)
        except LinkLost as lost:
            loss = Loss(link, lost, sent_at)
        return await deliver(self._transport, self._target, request, retry=self._retry, loss=loss)

    async def aclose(self) -> None:
        """Close the connections; calls in flight end as if the process had died."""
        self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<AsyncClient of {self._target}>"


class _Interface:
    """What is known of the operations: all of an interface, or nothing."""

    def __init__(self, interface: type | None) -> None:
        if interface is not None and not inspect.isclass(interface):
            raise BadCall(f"an interface is a class, not {interface!r}")
        self._name = "" if interface is None else interface.__name__
        self._known = None if interface is None else interface_operations(interface)
        self._waits = {
            name: parameters.index("wait_timeout") - 1
            for name, method in (self._known or {}).items()
            if "wait_timeout" in (parameters := _parameters(method))
        }

    def operation(self, name: str) -> tuple[str, bool]:
        """The operation of this name, and whether it is idempotent.

        Raises:
            AttributeError: the interface has none of that name.
        """
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        if self._known is None:
            return name, False
        method = self._known.get(name)
        if method is None:
            known = ", ".join(sorted(self._known))
            raise AttributeError(f"{self._name} has no operation {name!r}; it has: {known}")
        return name, is_idempotent(method)

    def waits(self, name: str) -> bool:
        """Whether the operation takes a ``wait_timeout``."""
        return name in self._waits

    def stretch(self, timeout: float | None, name: str, args: tuple[Any, ...]) -> float | None:
        """The timeout, stretched by a ``wait_timeout`` that is given by position."""
        position = self._waits.get(name)
        if position is None or position >= len(args) or timeout is None:
            return timeout
        wait = args[position]
        return timeout + wait if isinstance(wait, (int, float)) and wait > 0 else timeout


def _parameters(method: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(method).parameters)
    except (TypeError, ValueError):
        return []


def _target(name: str | Ref, node: str | None, run_dir: str | os.PathLike[str] | None) -> Target:
    if isinstance(name, Ref):
        return name.target
    if not isinstance(name, str) or not 1 <= len(name) <= 255:
        raise BadCall(f"a name of 1 to 255 characters or a Ref is wanted, not {name!r}")
    return Target(default_node(node, run_dir), name=name)


@overload
def connect(
    name_or_ref: str | Ref,
    # Not type[I], for which type checkers refuse an abstract class: they expect it to be built.
    interface: Callable[..., I],
    *,
    timeout: float | None = 5.0,
    retry: bool = True,
    node: str | None = None,
    run_dir: str | os.PathLike[str] | None = None,
) -> I: ...
@overload
def connect(
    name_or_ref: str | Ref,
    interface: None = None,
    *,
    timeout: float | None = 5.0,
    retry: bool = True,
    node: str | None = None,
    run_dir: str | os.PathLike[str] | None = None,
) -> Any: ...
def connect(
    name_or_ref: str | Ref,
    interface: Any = None,
    *,
    timeout: float | None = 5.0,
    retry: bool = True,
    node: str | None = None,
    run_dir: str | os.PathLike[str] | None = None,
) -> Any:
    """A client of the process of this name; nothing is looked up before the first call.

    Args:
        name_or_ref: the registered name, or a Ref.
        interface: the class whose methods the client has; None allows any operation.
        timeout: seconds that each call waits; None waits without limit. A ``wait_timeout`` among a
            call's keyword arguments stretches it.
        retry: whether operations that the interface marks idempotent are sent again when the
            process died during them.
        node: the node to look in. By default the own one inside a tree, the one started last by
            this process, or else ``default``.
        run_dir: the folder of the nodes' folders, as for ``Supervisor.start``.

    Returns:
        A client with the interface's methods, ``close()`` and ``with``. Each raises NoProcess,
        ProcessDown, CallTimeout or BadCall, or the declared error that the operation raised.

    Raises:
        BadCall: this is no name, Ref or interface.
    """
    return Client(_target(name_or_ref, node, run_dir), interface, timeout, retry)


async def connect_async(
    name_or_ref: str | Ref,
    interface: type | None = None,
    *,
    timeout: float | None = 5.0,
    retry: bool = True,
    node: str | None = None,
    run_dir: str | os.PathLike[str] | None = None,
) -> Any:
    """The same as ``connect``, with awaitable methods, ``aclose()`` and ``async with``.

    Args:
        name_or_ref: the registered name, or a Ref.
        interface: the class whose methods the client has; None allows any operation.
        timeout: seconds that each call waits; None waits without limit.
        retry: whether idempotent operations are sent again when the process died during them.
        node: the node to look in, as for ``connect``.
        run_dir: the folder of the nodes' folders, as for ``Supervisor.start``.

    Raises:
        BadCall: this is no name, Ref or interface.
    """
    return AsyncClient(_target(name_or_ref, node, run_dir), interface, timeout, retry)
