"""The results of a map: an iterator, for ``for`` and for ``async for``."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future
from typing import Any, Self

from supervisor._errors import Overloaded
from supervisor._pool.futures import PoolFuture

__all__ = ["Results", "call_chunk"]

# Submits one call of the mapped function, or a chunk of them.
Submit = Callable[[Any, bool], PoolFuture]


def call_chunk(function: Callable[..., Any], chunk: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The results for some tuples of arguments: what a worker does where tasks are chunks."""
    return [function(*args) for args in chunk]


class Results:
    """The results of ``PoolExecutor.map``: an iterator, also asynchronous.

    It reads its input as it goes: so many tasks are ahead of what was taken out, and no more. Where
    the input has a length, so has this: what tqdm and rich want to know for a progress bar.

    Args:
        inputs: the tuples of arguments.
        submit: submits what there is for one task, and says whether to wait for room.
        chunksize: how many tuples make a task.
        ahead: how many tasks are submitted and not taken out yet, at most.
        timeout: seconds from now on, in which all results have to be there.
        is_ordered: whether results come in the order of the inputs, or as they are ready.
        on_done: is called, on a thread of the executor's, with each task's future when it is done.
        length: how many results there will be, where that is known.
    """

    def __init__(
        self,
        inputs: Iterator[tuple[Any, ...]],
        submit: Submit,
        *,
        chunksize: int,
        ahead: int,
        timeout: float | None,
        is_ordered: bool,
        on_done: Callable[[Future[Any]], object] | None,
        length: int | None,
    ) -> None:
        self._inputs: Iterator[tuple[Any, ...]] | None = inputs
        self._submit = submit
        self._chunksize = chunksize
        self._ahead = ahead
        self._until = None if timeout is None else time.monotonic() + timeout
        self._is_ordered = is_ordered
        self._on_done = on_done
        self._length = length
        self._held_back: Any = None
        self._futures: deque[PoolFuture] = deque()
        self._done: deque[PoolFuture] = deque()
        self._some_done = threading.Condition()
        self._ready: deque[Any] = deque()
        self._submit_more()

    # --- submitting ----------------------------------------------------------------------------

    def _submit_more(self) -> None:
        """Submit as much as may be ahead, many at a time: one by one costs more."""
        if self._inputs is None or len(self._futures) > self._ahead // 2:
            return
        while len(self._futures) < self._ahead:
            item = self._next_item()
            if item is None:
                return
            try:
                # While others are on their way, their results can be waited for instead of room.
                future = self._submit(item, not self._futures)
            except Overloaded:
                self._held_back = item
                return
            self._futures.append(future)
            if not self._is_ordered:
                future.add_done_callback(self._note_done)
            if self._on_done is not None:
                future.add_done_callback(self._on_done)

    def _next_item(self) -> Any:
        if self._held_back is not None:
            item, self._held_back = self._held_back, None
            return item
        if self._inputs is None:
            return None
        chunk = list(itertools.islice(self._inputs, self._chunksize))
        if not chunk:
            self._inputs = None
            return None
        return chunk if self._chunksize > 1 else chunk[0]

    def _note_done(self, future: Any) -> None:
        with self._some_done:
            self._done.append(future)
            self._some_done.notify_all()

    # --- taking out ----------------------------------------------------------------------------

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if not self._ready:
            if not self._futures:
                raise StopIteration
            try:
                self._take(self._next_future().result(self._remaining()))
            except BaseException:
                self.close()
                raise
        return self._ready.popleft()

    def _take(self, result: Any) -> None:
        if self._chunksize > 1:
            self._ready.extend(result)
        else:
            self._ready.append(result)
        self._submit_more()

    def _next_future(self) -> PoolFuture:
        if self._is_ordered:
            return self._futures.popleft()
        with self._some_done:
            while not self._done:
                if not self._some_done.wait(self._remaining()):
                    raise TimeoutError
            future = self._done.popleft()
        self._futures.remove(future)
        return future

    def _remaining(self) -> float | None:
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if not self._ready:
            if not self._futures:
                raise StopAsyncIteration
            try:
                async with asyncio.timeout(self._remaining()):
                    self._take(await self._next_async())
            except BaseException:
                self.close()
                raise
        return self._ready.popleft()

    async def _next_async(self) -> Any:
        if self._is_ordered:
            return await asyncio.wrap_future(self._futures.popleft())
        loop = asyncio.get_running_loop()
        waiters = [asyncio.wrap_future(future, loop=loop) for future in self._futures]
        if not self._done:
            await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
        return self._next_future().result()

    def close(self) -> None:
        """Take no more: what no worker has begun is cancelled."""
        self._inputs = self._held_back = None
        while self._futures:
            self._futures.popleft().cancel_if_pending()

    def __del__(self) -> None:
        self.close()

    def __len__(self) -> int:
        """How many results there are in all.

        Raises:
            TypeError: the input does not say how long it is.
        """
        if self._length is None:
            raise TypeError("the inputs of this map have no length")
        return self._length


def length_of(iterables: Sequence[Iterable[Any]]) -> int | None:
    """How many tuples there are of these, where that is known."""
    lengths = [len(iterable) for iterable in iterables if isinstance(iterable, Sized)]
    return min(lengths) if lengths and len(lengths) == len(iterables) else None
