"""The operations of a process that keeps artifacts in files: whole files pass, not their bytes."""

from __future__ import annotations

import os
from abc import abstractmethod
from typing import Any

from ports import ArtifactStore, BytesLike
from supervisor import Blob, Server, operation

__all__ = ["FileServing"]


class FileServing(ArtifactStore, Server):
    """What a file store adds as a server: an artifact is handed over as its open file."""

    @abstractmethod
    def _open(self, key: str) -> int: ...

    @abstractmethod
    def _put_from_descriptor(self, key: str, fd: int, size: int) -> None: ...

    @operation("get")
    def _serve_get(self, key: str) -> Blob:
        return self._blob(key, as_view=False)

    @operation("view")
    def _serve_view(self, key: str) -> Blob:
        return self._blob(key, as_view=True)

    @operation("put", blobs=True)
    def _serve_put(self, key: str, data: Any) -> None:
        if isinstance(data, Blob):
            with data:
                self._put_from_descriptor(key, data.fileno(), data.size)
        elif isinstance(data, list):
            self.put(key, [_bytes_of(part) for part in data])
        else:
            self.put(key, data)

    def _blob(self, key: str, *, as_view: bool) -> Blob:
        descriptor = self._open(key)
        try:
            size = os.fstat(descriptor).st_size
        except OSError:
            os.close(descriptor)
            raise
        return Blob(descriptor, size, as_view=as_view)


def _bytes_of(part: Any) -> BytesLike:
    if not isinstance(part, Blob):
        return part  # type: ignore[no-any-return]  # what is not bytes-like, put refuses
    with part:
        return part.view()
