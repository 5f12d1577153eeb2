"""The port of artifacts: what every store of larger binary data offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from ._errors import StoreError
from ._idempotent import idempotent

if TYPE_CHECKING:
    # Type checkers know this module without its being installed. From Python 3.12 on, the standard
    # library has the type.
    from typing_extensions import Buffer

    BytesLike: TypeAlias = Buffer
else:
    BytesLike = bytes | bytearray | memoryview

__all__ = ["ArtifactStore", "BytesLike"]


class ArtifactStore(ABC):
    """Keeps binary data under keys.

    A key is any text that is not empty, whatever is in it: `../x`, control characters, thousands
    of letters. Keys that differ, if only in case, never stand for the same artifact, and none
    leads out of the store.

    Every operation may be repeated safely, and raises

    - `ValidationError` for a key that is empty or no text,
    - `StorageError` if the store, or what is behind it, fails or has been closed.
    """

    replies_with: ClassVar[tuple[type[BaseException], ...]] = (StoreError,)
    """The errors that are answers, and not bugs of the store."""

    @idempotent
    @abstractmethod
    def put(self, key: str, data: BytesLike | Sequence[BytesLike]) -> None:
        """Store data under a key, in place of what was there.

        Readers see the old bytes or the new ones, whole. Once this has returned, the new ones
        outlive the death of any process.

        Args:
            key: Where to store it.
            data: Bytes or any other object with a buffer, or a list of them, which are stored one
                after the other.

        Raises:
            ValidationError: `data` is none of these.

        """

    @idempotent
    @abstractmethod
    def get(self, key: str) -> bytes:
        """Return the data that is stored under a key.

        Raises:
            NotFound: There is none.

        """

    @idempotent
    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete what is stored under a key, if there is anything."""

    @idempotent
    @abstractmethod
    def view(self, key: str) -> memoryview:
        """Return the data that is stored under a key, read-only, uncopied where that is possible.

        The view stays as it is when the artifact is put again or deleted.

        Raises:
            NotFound: There is none.

        """
