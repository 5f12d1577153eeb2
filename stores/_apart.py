"""Operations that may take long, served by a process: on threads, so that they hold up nobody."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from supervisor import Server, operation

__all__ = ["ServingApart", "served_apart"]

C = TypeVar("C", bound=type)

# Queries at a time: they share one interpreter, and more of them would not be any faster.
_QUERIES = 4


class ServingApart(Server):
    """A server with operations that are carried out on threads of their own.

    Those of maintenance are carried out one after the other.
    """

    _threads: tuple[ThreadPoolExecutor, ThreadPoolExecutor] | None = None

    def _before_apart(self) -> None:
        """Is called before each such operation, in turn with the others."""

    def _serve_apart(
        self, method: Callable[..., Any], args: Any, kwargs: Any, *, one_by_one: bool
    ) -> Future[Any]:
        # Said here, where it is the caller's fault; on a thread it would be a bug.
        inspect.signature(method).bind(*args, **kwargs)
        self._before_apart()
        if self._threads is None:
            self._threads = (
                ThreadPoolExecutor(_QUERIES, "query"),
                ThreadPoolExecutor(1, "maintenance"),
            )
        return self._threads[one_by_one].submit(method, *args, **kwargs)

    def _end_apart(self) -> None:
        """Begin nothing more; what runs comes to its end."""
        if self._threads is not None:
            for threads in self._threads:
                threads.shutdown(wait=False, cancel_futures=True)


def served_apart(port: type, *, one_by_one: bool = False) -> Callable[[C], C]:
    """Have a class derived from `ServingApart` serve the operations of a port on threads."""

    def serve(cls: C) -> C:
        for name in sorted(port.__abstractmethods__):  # type: ignore[attr-defined]
            setattr(cls, f"_serve_{name}", _serving(name, one_by_one=one_by_one))
        return cls

    return serve


def _serving(name: str, *, one_by_one: bool) -> Callable[..., Future[Any]]:
    @operation(name, threads=False)
    def serve(self: ServingApart, *args: Any, **kwargs: Any) -> Future[Any]:
        return self._serve_apart(getattr(self, name), args, kwargs, one_by_one=one_by_one)

    return serve
