"""The operations of a process that keeps artifacts in S3: on threads, answered as each is done.

Any number of calls wait for S3 at the same time, within a bound. Those that change one artifact are
carried out one after the other, as they came: what a caller gave up waiting for, and is still being
tried, cannot undo what was acknowledged later.
"""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from threading import Lock
from typing import Any, TypeVar

from ports import ArtifactStore, BytesLike, StorageError
from stores._keys import digest_of_key, shown
from stores._s3._threads import Threads
from supervisor import Blob, Server, operation

__all__ = ["S3Serving"]

_Read = TypeVar("_Read")

# How much of a body is in memory on its way from the socket into a blob.
_CHUNK = 1 << 20


class S3Serving(ArtifactStore, Server):
    """What an S3 store adds as a server: many operations at once, and artifacts as open files."""

    _concurrency: int
    _closed: bool

    @abstractmethod
    def _read(self, key: str, read: Callable[[Any], tuple[_Read, str]]) -> _Read: ...

    @abstractmethod
    def _closed_error(self) -> StorageError: ...

    def _start_serving(self) -> None:
        self._threads: Threads | None = None
        self._starting_threads = Lock()

    def _stop_serving(self) -> None:
        with self._starting_threads:
            if self._threads is not None:
                self._threads.close()

    @operation("get")
    def _serve_get(self, key: str) -> Future[Blob]:
        return self._begin(lambda: self._blob(key, as_view=False))

    @operation("view")
    def _serve_view(self, key: str) -> Future[Blob]:
        return self._begin(lambda: self._blob(key, as_view=True))

    @operation("put", blobs=True)
    def _serve_put(self, key: str, data: Any) -> Future[None]:
        return self._begin(lambda: self._put_blobs(key, data), turn=digest_of_key(key))

    @operation("delete")
    def _serve_delete(self, key: str) -> Future[None]:
        return self._begin(lambda: self.delete(key), turn=digest_of_key(key))

    def _begin(self, work: Callable[[], _Read], *, turn: str | None = None) -> Future[_Read]:
        with self._starting_threads:
            if self._closed:
                raise self._closed_error()
            if self._threads is None:
                self._threads = Threads(self._concurrency, "s3")
            return self._threads.submit(work, turn=turn)

    def _put_blobs(self, key: str, data: Any) -> None:
        with ExitStack() as stack:
            if isinstance(data, list):
                self.put(key, [_bytes_of(part, stack) for part in data])
            else:
                self.put(key, _bytes_of(data, stack))

    def _blob(self, key: str, *, as_view: bool) -> Blob:
        def read(body: Any) -> tuple[Blob, str]:
            digest = hashlib.sha256()

            def chunks() -> Iterator[bytes]:
                for chunk in body.iter_chunks(_CHUNK):
                    digest.update(chunk)
                    yield chunk

            blob = Blob.of_chunks(chunks(), as_view=as_view)
            return blob, digest.hexdigest()

        try:
            return self._read(key, read)
        except OSError as error:
            # Memory or descriptors are short: the call's misfortune, not the other calls'.
            reason = error.strerror or os.strerror(error.errno or 0)
            raise StorageError(
                f"cannot hold artifact {shown(key)} in memory: {reason}",
                details={"errno": error.errno, "reason": reason},
            ) from error


def _bytes_of(part: Any, stack: ExitStack) -> BytesLike:
    if not isinstance(part, Blob):
        return part  # type: ignore[no-any-return]  # what is not bytes-like, put refuses
    return stack.enter_context(part).view()
