"""Artifacts as files: one file a key, replaced whole.

    root/objects/3f/3f79bb7b...   the bytes of one artifact, named by the digest of its key
    root/tmp/<random>/<number>    a file that is being written

A key never becomes a path: its digest does, so that no key can leave the root, be too long or
clash with another on a file system that folds case.
"""

import errno
import mmap
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

from ports import BytesLike, NotFound, StorageError, ValidationError
from ports._arguments import artifact_data
from stores._file_freeing import Freeing
from stores._file_io import copy_all, make_folders, read_all, sync, sync_folder, write_all
from stores._file_scratch import ScratchFolder
from stores._file_serving import FileServing
from stores._keys import digest_of_key, printable, shortened, shown

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class FileArtifactStore(FileServing):
    """Artifacts as files below a folder.

    A put is atomic: the bytes go to a file beside, which then takes the place of the old one.
    Several stores, in several processes, may share one root.

    Args:
        root: the folder, made with its parents where absent.
        fsync: whether an acknowledged put or delete has reached the disk, so that it survives the
            death of the machine as well. Without it, it survives the death of processes.

    Raises:
        StorageError: `root` cannot be made, or is not a folder that can be written to.
    """

    def __init__(self, root: str | os.PathLike[str], *, fsync: bool = True) -> None:
        self._root = os.path.abspath(os.fsdecode(root))
        if "\0" in self._root:
            raise ValidationError(f"root must be a path, which holds no NUL: {self._root!r}")
        self._objects = f"{self._root}/objects"
        self._fsync = fsync
        self._known_folders: set[str] = set()
        self._closing = threading.Lock()
        self._freeing = Freeing()
        scratch = os.path.join(self._root, "tmp")
        with _reported("keep artifacts", self._root):
            make_folders(self._objects, synced=fsync)
            make_folders(scratch, synced=False)
            self._scratch: ScratchFolder | None = ScratchFolder(scratch)

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        """Let a copy in another process use the same root."""
        return partial(type(self), self._root, fsync=self._fsync), ()

    def put(self, key: str, data: BytesLike | Sequence[BytesLike]) -> None:
        """Store `data` under `key`, in place of what was there.

        Raises:
            ValidationError: the key is empty or not a string, or the data is not bytes-like.
            StorageError: the disk is full, refuses or fails; what was stored before is unharmed.
        """
        parts = artifact_data(data)
        self._put(key, lambda fd: write_all(fd, parts, early=self._fsync))

    def get(self, key: str) -> bytes:
        """Return what was last put under `key`.

        Raises:
            ValidationError: the key is empty or not a string.
            NotFound: nothing is stored under it.
            StorageError: the disk refuses or fails.
        """
        fd = self._open(key)
        try:
            with _reported("read artifact", self._path(key), key):
                return read_all(fd)
        finally:
            os.close(fd)

    def view(self, key: str) -> memoryview:
        """Return a read-only view of what is stored under `key`, without copying it.

        The view keeps the bytes as they are now, whatever is put or deleted later.

        Raises:
            ValidationError: the key is empty or not a string.
            NotFound: nothing is stored under it.
            StorageError: the disk refuses or fails.
        """
        fd = self._open(key)
        try:
            with _reported("read artifact", self._path(key), key):
                if os.fstat(fd).st_size == 0:
                    return memoryview(b"")  # which mmap refuses
                return memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_READ))
        finally:
            os.close(fd)

    def delete(self, key: str) -> None:
        """Remove what is stored under `key`, if anything is.

        Raises:
            ValidationError: the key is empty or not a string.
            StorageError: the disk refuses or fails.
        """
        path = self._path(key)
        self._scratch_folder()
        with _reported("delete artifact", path, key), suppress(FileNotFoundError):
            with self._freeing.later(path):
                os.unlink(path)
            if self._fsync:
                sync_folder(os.path.dirname(path))

    def close(self) -> None:
        """Give the root up; operations raise StorageError from now on. Closing again is no error.

        Views that were handed out stay valid.
        """
        with self._closing:
            scratch, self._scratch = self._scratch, None
        if scratch is not None:
            scratch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _put_from_descriptor(self, key: str, fd: int, size: int) -> None:
        """Like put, of the first `size` bytes of the file or the next ones of the pipe `fd`.

        The descriptor stays open and, if it is a file, where it was positioned.
        """
        self._put(key, lambda target: copy_all(fd, target, size, early=self._fsync))

    def _open(self, key: str) -> int:
        """Return a descriptor, the caller's to close, for reading what is stored under `key`.

        Raises like get.
        """
        path = self._path(key)
        self._scratch_folder()
        with _reported("read artifact", path, key):
            try:
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise NotFound(
                    f"no artifact is stored under {shown(key)}", details={"key": shortened(key)}
                ) from None

    def _put(self, key: str, write: Callable[[int], None]) -> None:
        path = self._path(key)
        scratch = self._scratch_folder()
        with _reported("store artifact", path, key):
            try:
                self._put_once(scratch, path, write)
            except OSError as error:
                # What has been replaced may still be there.
                if error.errno not in _NO_SPACE or not self._freeing.wait():
                    raise
                self._put_once(scratch, path, write)

    def _put_once(self, scratch: ScratchFolder, path: str, write: Callable[[int], None]) -> None:
        fd, temporary = scratch.create()
        try:
            try:
                write(fd)
                if self._fsync:
                    sync(fd)
            finally:
                os.close(fd)
            self._move_into_place(temporary, path)
        except BaseException:
            _remove(temporary)
            raise

    def _move_into_place(self, temporary: str, path: str) -> None:
        folder = os.path.dirname(path)
        if folder not in self._known_folders:
            self._make_known(folder)
        with self._freeing.later(path):
            try:
                os.replace(temporary, path)
            except FileNotFoundError:
                # The folder was there and has been removed by hand.
                self._make_known(folder)
                os.replace(temporary, path)
        if self._fsync:
            sync_folder(folder)

    def _make_known(self, folder: str) -> None:
        make_folders(folder, synced=self._fsync)
        if self._fsync:
            # Also where the folder was there: who made it may not have got as far as this.
            sync_folder(self._objects)
        self._known_folders.add(folder)

    def _scratch_folder(self) -> ScratchFolder:
        if (scratch := self._scratch) is None:
            raise StorageError(f"the artifact store in {printable(self._root)} is closed")
        return scratch

    def _path(self, key: str) -> str:
        digest = digest_of_key(key)
        return f"{self._objects}/{digest[:2]}/{digest}"


@contextmanager
def _reported(what: str, path: str, key: str | None = None) -> Iterator[None]:
    """Turn an OSError into the StorageError that tells a caller what failed, where and why."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        details: dict[str, Any] = {"path": printable(path), "reason": reason}
        details["errno"] = error.errno
        if key is not None:
            details["key"] = shortened(key)
            what = f"{what} {shown(key)}"
        message = f"cannot {what}: {reason} ({printable(path)})"
        raise StorageError(message, details=details) from error


def _remove(path: str) -> None:
    # Where it is in place already, what failed was making its name last.
    with suppress(FileNotFoundError):
        os.unlink(path)
