"""A pool as an executor of ``concurrent.futures``, and for ``await``."""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Self, TypeVar

from supervisor import _validate as validate
from supervisor._client.delivery import Target
from supervisor._context import default_node
from supervisor._errors import BadCall, SpecError
from supervisor._pool.backend import private_pool, running_pool
from supervisor._pool.functions import Functions, check_arguments, name_of
from supervisor._pool.futures import PoolFuture
from supervisor._pool.payload import dump_task
from supervisor._pool.results import Results, call_chunk, length_of
from supervisor._pool.spec import Pool, default_size
from supervisor._pool.submission import Settings, Submission
from supervisor._refs import Ref
from supervisor._spec import StartMethod

__all__ = ["PoolExecutor"]

T = TypeVar("T")

# How many tasks a map has on their way at most.
_AHEAD = 512

_WHEN_FULL = ("block", "raise")

# Stands for what is not given where None means something.
_SAME: Any = object()


class PoolExecutor(concurrent.futures.Executor):
    """Runs functions in the workers of a pool.

    It is an executor as those of ``concurrent.futures``, with its own pool: a small tree of its own
    that starts with the first task, ends with ``shutdown`` (or with this process, whatever ends
    that), and has no name. ``PoolExecutor.connect`` gives one over a running pool instead.

    Where a worker dies, only the task that it was carrying out is affected: it is tried again if
    ``retries`` allows that, else its future, and no other, raises WorkerCrashed. Functions may be
    lambdas, closures and methods; large arguments and results go through shared memory. A future's
    ``cancel()`` also ends a task that runs.

    Args:
        max_workers: how many workers; by default as many as this process may use processors.
        mp_context: a context of multiprocessing or multiprocess, whose start method the workers
            get: ``fork`` and ``forkserver`` fork them from the pool's clean process.
        initializer: is called once in each worker, before its first task.
        initargs: its arguments.
        max_tasks_per_child: after so many tasks a worker is replaced.
        retries: how many deaths of workers each task survives. One that is tried again is begun
            from its beginning: only allow that where this does no harm.
        timeout: seconds that each task may run, until its worker is ended and it gets TaskTimeout.
        queue_size: how many tasks may wait for a worker; None is without bound.
        when_full: what ``submit`` does beyond that: ``block``, or ``raise`` Overloaded.
        node: the node that the pool is started in: a running one, or a new one of that name. By
            default a new one with a name of its own.
        run_dir: the folder of the nodes' folders, as for ``Supervisor.start``.

    Raises:
        SpecError: a value is not allowed (a ValueError).

    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: Any = None,
        initializer: Callable[..., object] | None = None,
        initargs: Sequence[Any] = (),
        *,
        max_tasks_per_child: int | None = None,
        retries: int = 0,
        timeout: float | None = None,
        queue_size: int | None = None,
        when_full: str = "block",
        node: str | None = None,
        run_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self._settings = _settings(Settings(), retries, timeout, None, when_full)
        size = default_size() if max_workers is None else max_workers
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise SpecError(f"PoolExecutor: max_workers must be greater than 0, not {size!r}")
        if max_tasks_per_child is not None:
            validate.integer("PoolExecutor", "max_tasks_per_child", max_tasks_per_child, least=1)
        options: dict[str, Any] = {
            "id": "pool",
            "size": size,
            "initializer": initializer,
            "initargs": initargs,
            "max_tasks": max_tasks_per_child,
            "queue_size": queue_size,
            "start_method": _start_method(mp_context),
            "_authkey": bytes(multiprocessing.current_process().authkey),
        }
        Pool(**options)
        self._max_workers = size
        self._backend = private_pool(lambda **more: Pool(**{**options, **more}), node, run_dir)
        self._functions = Functions()

    @classmethod
    def connect(
        cls,
        name_or_ref: str | Ref,
        *,
        retries: int = 0,
        timeout: float | None = None,
        when_full: str = "block",
        node: str | None = None,
        run_dir: str | os.PathLike[str] | None = None,
    ) -> Self:
        """An executor over a pool that runs: its ``shutdown`` leaves the pool as it is.

        The pool's workers are shared fairly: callers of the same priority take turns.

        Args:
            name_or_ref: the pool's name, or a ref of it.
            retries: as for the executor itself.
            timeout: the same.
            when_full: the same.
            node: the node to look in, as for ``supervisor.connect``.
            run_dir: the folder of the nodes' folders.

        Raises:
            NoProcess: there is no such pool.
            BadCall: it is a pool of servers, or no pool at all.

        """
        self = object.__new__(cls)
        self._settings = _settings(Settings(), retries, timeout, None, when_full)
        if isinstance(name_or_ref, Ref):
            target = name_or_ref.target
        elif isinstance(name_or_ref, str):
            target = Target(default_node(node, run_dir), name=name_or_ref)
        else:
            raise BadCall(f"connect takes a pool's name or a Ref, not {name_or_ref!r}")
        self._backend = running_pool(target)
        self._max_workers = self._backend.link(()).max_size
        self._functions = Functions()
        return self

    def options(
        self,
        *,
        retries: int | None = None,
        timeout: float | None = _SAME,
        priority: int | None = None,
        when_full: str | None = None,
    ) -> Self:
        """This executor, with other settings for the tasks that are submitted through the result.

        Args:
            retries: how many deaths of workers each task survives.
            timeout: seconds that each task may run; None is without limit.
            priority: tasks of a higher one are begun first, whoever submits them; 0 by default.
            when_full: ``block`` or ``raise``.

        Raises:
            SpecError: a value is not allowed.

        """
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        before = self._settings
        view._settings = _settings(
            before,
            before.retries if retries is None else retries,
            before.timeout if timeout is _SAME else timeout,
            priority,
            before.when_full if when_full is None else when_full,
        )
        return view

    # --- tasks ---------------------------------------------------------------------------------

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> PoolFuture:
        """Submit ``fn(*args, **kwargs)``; its future's ``cancel()`` also ends it while it runs.

        Raises:
            BadCall: the function does not take these arguments, or something cannot be carried to
                another process.
            Overloaded: the queue is full, and ``when_full`` is ``raise``.
            RuntimeError: the executor is shut down, or belongs to another process.
            NoProcess: its pool is gone for good.
            StartError: its own pool did not start: its initializer has failed, perhaps.

        """
        return self._submit(fn, args, kwargs, wait=self._settings.when_full == "block")

    def _submit(self, fn: Any, args: Any, kwargs: Any, *, wait: bool) -> PoolFuture:
        submission = self._begin(fn, args, kwargs, wait=wait)
        admission = submission.admission
        # The callback of a future cannot wait: it is its own thread that would hear of the place.
        # What it submits has one sooner or later.
        if admission is not None and not (wait and self._backend.is_called_back):
            try:
                admission.result()
            except BaseException:
                submission.future.cancel()
                raise
        return submission.future

    def _begin(self, fn: Any, args: Any, kwargs: Any, *, wait: bool) -> Submission:
        function = self._functions.dump(fn)
        check_arguments(fn, args, kwargs)
        name = name_of(fn)
        link = self._backend.link((fn,))
        try:
            body = dump_task(function, args, kwargs)
        except Exception as error:
            raise BadCall(
                f"an argument of {name} cannot be carried to another process: {error}"
            ) from error
        return link.submit(name, body, self._settings, wait=wait)

    async def run(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """The result of ``fn(*args, **kwargs)``; cancelling this ends the work.

        It waits for its place in the queue without holding up the loop.

        Raises:
            Exception: what the function raises, or as of ``submit``.

        """
        if not self._backend.is_started:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, self._backend.link, (fn,))
        submission = self._begin(fn, args, kwargs, wait=self._settings.when_full == "block")
        if submission.admission is not None:
            try:
                await asyncio.wrap_future(submission.admission)
            except BaseException:
                submission.future.cancel()
                raise
        result: T = await asyncio.wrap_future(submission.future)
        return result

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        ordered: bool = True,
        buffersize: int | None = None,
        on_done: Callable[[concurrent.futures.Future[Any]], object] | None = None,
    ) -> Results:
        """The results of ``fn`` for each tuple of the iterables' items, as an iterator.

        The iterables may be endless: they are read as results are taken out. The result can be used
        with ``async for`` as well, and knows its length where the iterables do, for progress bars.

        Args:
            fn: the function.
            *iterables: its arguments, as for the built-in ``map``.
            timeout: seconds from this call on in which all results have to be there.
            chunksize: how many calls make one task.
            ordered: whether results come in the order of their arguments, or as they are ready.
            buffersize: how many tasks are on their way at most, or have results that were not taken
                out; by default 512.
            on_done: is called with the future of each task when it is done, on another thread.

        Raises:
            SpecError: a size, or the timeout, is not allowed.
            BadCall: as of ``submit``.

        """
        if not isinstance(chunksize, int) or chunksize < 1:
            raise SpecError(f"map: chunksize must be >= 1, not {chunksize!r}")
        if buffersize is not None:
            validate.integer("map", "buffersize", buffersize, least=1)
        if timeout is not None:
            is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
            if not is_number or math.isnan(timeout):
                raise validate.refuse("map", "timeout", timeout, "seconds, or None")
        if on_done is not None and not callable(on_done):
            raise validate.refuse("map", "on_done", on_done, "callable, or None")
        is_chunked = chunksize > 1

        def submit(item: Any, wait: bool) -> PoolFuture:
            wait = wait and self._settings.when_full == "block"
            if is_chunked:
                return self._submit(call_chunk, (fn, item), {}, wait=wait)
            return self._submit(fn, item, {}, wait=wait)

        return Results(
            zip(*iterables, strict=False),
            submit,
            chunksize=chunksize,
            ahead=buffersize or _AHEAD,
            timeout=timeout,
            is_ordered=ordered,
            on_done=on_done,
            length=length_of(iterables),
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks; the executor's own pool ends when all are done.

        Args:
            wait: whether to return only then.
            cancel_futures: whether tasks that no worker has begun are cancelled.

        """
        self._backend.shutdown(wait=wait, cancel_futures=cancel_futures)

    def __repr__(self) -> str:
        return f"<PoolExecutor of {self._max_workers} workers, {self._backend}>"


def _settings(
    before: Settings, retries: Any, timeout: Any, priority: Any, when_full: Any
) -> Settings:
    owner = "PoolExecutor"
    validate.integer(owner, "retries", retries, least=0)
    if timeout is not None:
        timeout = validate.seconds(owner, "timeout", timeout)
    if priority is None:
        priority = before.priority
    elif not isinstance(priority, int) or isinstance(priority, bool) or abs(priority) >= 2**31:
        raise validate.refuse(owner, "priority", priority, "a whole number")
    validate.choice(owner, "when_full", when_full, _WHEN_FULL)
    return replace(before, retries=retries, timeout=timeout, priority=priority, when_full=when_full)


def _start_method(context: Any) -> StartMethod | None:
    """The start method of workers that a context of multiprocessing stands for."""
    if context is None:
        return None
    get = getattr(context, "get_start_method", None)
    method = get() if callable(get) else None
    if method not in ("fork", "spawn", "forkserver"):
        raise validate.refuse(
            "PoolExecutor",
            "mp_context",
            context,
            "a context of multiprocessing or multiprocess (fork, spawn or forkserver), or None",
        )
    return "spawn" if method == "spawn" else "fork"
