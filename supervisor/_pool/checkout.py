"""A worker of a pool of servers for oneself."""

from __future__ import annotations

import asyncio
import os
from types import TracebackType
from typing import Any, Generic, TypeVar, overload

from supervisor._client.blocking import BlockingLink, BlockingTransport
from supervisor._client.client import AsyncClient, connect, connect_async
from supervisor._client.delivery import LinkLost, Target, deadline_after, reach, run_blocking
from supervisor._client.requests import make_request, open_response
from supervisor._context import default_node
from supervisor._errors import BadCall
from supervisor._pool.messages import CHECKOUT
from supervisor._refs import Ref
from supervisor._wire.codec import Decoder

__all__ = ["Checkout", "checkout"]

I = TypeVar("I")  # noqa: E741  the interface


class Checkout(Generic[I]):
    """A worker, for the time of a ``with`` or an ``async with`` block; see ``checkout``."""

    def __init__(self, target: Target, interface: type[I] | None, timeout: float | None) -> None:
        self._target = target
        self._interface = interface
        self._timeout = timeout
        self._link: BlockingLink | None = None
        self._client: Any = None

    def __enter__(self) -> I:
        ref = self._take()
        client: I = connect(ref, self._interface, timeout=self._timeout, retry=False)
        self._client = client
        return client

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()
        self._give_back()

    async def __aenter__(self) -> Any:
        ref = await asyncio.to_thread(self._take)
        client = await connect_async(ref, self._interface, timeout=self._timeout, retry=False)
        self._client = client
        return client

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        client: AsyncClient = self._client
        await client.aclose()
        self._give_back()

    def _take(self) -> Ref:
        """Wait for a worker; it is ours until the connection that asked for it is closed."""
        transport = BlockingTransport()
        deadline = deadline_after(self._timeout)
        while True:
            link = run_blocking(reach(transport, self._target, deadline))
            request = make_request(CHECKOUT, (), {}, timeout=self._timeout)
            request.deadline = deadline
            try:
                frame = link.exchange(request)
            except LinkLost:
                # The pool itself has died: the next one has free workers.
                continue
            path, instance = open_response(Decoder(importing=True), frame)
            self._link = link
            return Ref(Target(self._target.node, path=tuple(path), instance=instance))

    def _give_back(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


@overload
def checkout(
    name_or_ref: str | Ref,
    interface: type[I],
    *,
    timeout: float | None = 5.0,
    node: str | None = None,
    run_dir: str | os.PathLike[str] | None = None,
) -> Checkout[I]: ...


@overload
def checkout(
    name_or_ref: str | Ref,
    interface: None = None,
    *,
    timeout: float | None = 5.0,
    node: str | None = None,
    run_dir: str | os.PathLike[str] | None = None,
) -> Checkout[Any]: ...


def checkout(
    name_or_ref: str | Ref,
    interface: type | None = None,
    *,
    timeout: float | None = 5.0,
    node: str | None = None,
    run_dir: str | os.PathLike[str] | None = None,
) -> Checkout[Any]:
    """Take a worker of a pool of servers for oneself: nobody else's calls go to it meanwhile.

    ::

        with checkout("pool", Interface) as worker:
            worker.begin()
            worker.go_on()

    It is given back at the end of the block, or when this process dies. A worker that dies in
    between is replaced in the pool; calls of this one end in ProcessDown, and then NoProcess.

    Args:
        name_or_ref: the pool's name, or a ref of it.
        interface: as for ``connect``.
        timeout: seconds to wait for a worker, and for each answer of it; None is without limit.
        node: the node to look in, as for ``connect``.
        run_dir: the folder of the nodes' folders.

    Raises:
        NoProcess: on entering, there is no such pool.
        CallTimeout: on entering, no worker was free in time.
        Overloaded: on entering, too many wait for one already.
        BadCall: this is no name and no ref; on entering, it is no pool of servers.

    """
    if isinstance(name_or_ref, Ref):
        target = name_or_ref.target
    elif isinstance(name_or_ref, str):
        target = Target(default_node(node, run_dir), name=name_or_ref)
    else:
        raise BadCall(f"checkout takes a pool's name or a Ref, not {name_or_ref!r}")
    return Checkout(target, interface, timeout)
