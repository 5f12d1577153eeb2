"""The artifact store on S3."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ports import BytesLike, StorageError, StoreError, ValidationError
from ports._arguments import artifact_data
from stores._keys import digest_of_key
from stores._s3._payload import Payload
from stores._s3._serving import S3Serving

if TYPE_CHECKING:
    from stores._s3._bucket import Bucket

# With this module, so that a process which is forked from one that has imported it need not.
try:
    from stores._s3 import _bucket as bucket_module
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"boto3", "botocore", "urllib3"}:
        raise
    bucket_module = None  # type: ignore[assignment]

__all__ = ["S3ArtifactStore"]

logger = logging.getLogger("stores")

_Read = TypeVar("_Read")

_MEBIBYTE = 1 << 20

# Names of objects have at most 1024 bytes, and 64 of them are a digest.
_LONGEST_PREFIX = 1024 - 64 - len("/")


class S3ArtifactStore(S3Serving):
    """Artifacts as objects in a bucket of S3, or of a server that speaks its protocol.

    Any number of threads may use one store, and any number of stores, in as many processes and on
    as many machines, one bucket and prefix. An artifact is the object `prefix/digest`, named by the
    SHA-256 digest of its key. Its metadata has the digest of its bytes, which are held against it
    whenever they are read: a transfer that was cut or corrupted is repeated, and in the end an
    error. A put is atomic, also in parts: if it fails, or its process dies, the old bytes are
    there. The parts that a killed process leaves behind are invisible, but cost storage; they are
    removed when a store starts, once the last of them is older than `abort_uploads_after`.

    Served by a process, `concurrency` operations are under way at the same time, so that one slow
    object holds up no other; those that change one artifact are carried out in order of arrival.

    It needs `boto3`: `pip install 'regrow[s3]'`. While it is in use, the logger `botocore` is kept
    at INFO, unless it has a level already: at DEBUG it would write session tokens into the log.

    Args:
        bucket: The bucket's name. It must exist; s3:GetObject, s3:PutObject, s3:DeleteObject,
            s3:AbortMultipartUpload and s3:ListBucket are needed, and for what dead processes leave
            s3:ListBucketMultipartUploads and s3:ListMultipartUploadParts.
        prefix: What the names of all objects begin with; a "/" is added where it does not end with
            one.
        client_options: Keyword arguments of `boto3.client`, such as `endpoint_url`, `region_name`,
            `aws_access_key_id` and `aws_secret_access_key`, or `config`, a `botocore.config.Config`
            whose settings go before the ones below. Without credentials, those of the environment
            are used, as with boto3. No error, log line or command line shows credentials.
        part_size: Larger data is sent in parts of so many bytes, four at a time; at least 5 MiB.
        concurrency: How many operations are under way at the same time, in a process.
        attempts: How often a request is sent at most, with growing pauses in between.
        connect_timeout: Seconds to connect in.
        read_timeout: Seconds that the server may keep silent.
        abort_uploads_after: Seconds after which parts are taken for those of a dead process; None
            leaves them to a lifecycle rule of the bucket.

    Raises:
        ValidationError: An argument cannot be what it is.
        StorageError: There is no such bucket, it is not ours to use, or boto3 is not installed.
        StorageUnavailable: The server does not answer.

    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        client_options: Mapping[str, Any] | None = None,
        *,
        part_size: int = 16 * _MEBIBYTE,
        concurrency: int = 32,
        attempts: int = 3,
        connect_timeout: float = 5.0,
        read_timeout: float = 30.0,
        abort_uploads_after: float | None = 86_400.0,
    ) -> None:
        self._bucket_name = _text("bucket", bucket)
        self._prefix = _prefix(prefix)
        options = _options(client_options)
        _whole("part_size", part_size, 5 * _MEBIBYTE, 5 << 30)
        self._concurrency = _whole("concurrency", concurrency, 1, 1000)
        _whole("attempts", attempts, 1, 100)
        _seconds("connect_timeout", connect_timeout)
        _seconds("read_timeout", read_timeout)
        if abort_uploads_after is not None:
            _seconds("abort_uploads_after", abort_uploads_after)
        self._again = partial(
            type(self),
            bucket,
            prefix,
            options,
            part_size=part_size,
            concurrency=concurrency,
            attempts=attempts,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            abort_uploads_after=abort_uploads_after,
        )
        if bucket_module is None:
            raise StorageError(
                "S3ArtifactStore needs boto3, which is not installed: pip install 'regrow[s3]' "
                "installs it"
            )
        limits = bucket_module.Limits(
            attempts, connect_timeout, read_timeout, concurrency * bucket_module.PARTS_AT_ONCE
        )
        self._closed = False
        self._start_serving()
        self._bucket: Bucket = bucket_module.Bucket(bucket, options, limits, part_size)
        try:
            self._bucket.check()
            self._abort_uploads(abort_uploads_after)
        except BaseException:
            self._bucket.close()
            raise

    def _abort_uploads(self, after: float | None) -> None:
        if after is None:
            return
        before = datetime.now(UTC) - timedelta(seconds=after)
        try:
            aborted = self._bucket.abort_uploads(self._prefix, before)
        except StoreError as error:
            # Not worth keeping a store from starting.
            logger.warning("%s", error)
        else:
            if aborted:
                logger.info("aborted %d uploads of dead processes in %s", aborted, self._shown)

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        """Let a copy in another process use the same bucket."""
        return self._again, ()

    def __repr__(self) -> str:
        return f"<S3ArtifactStore {self._shown}>"

    @property
    def _shown(self) -> str:
        return f"{self._bucket_name}/{self._prefix}"

    def put(self, key: str, data: BytesLike | Sequence[BytesLike]) -> None:
        """Store `data` under `key`, in place of what was there.

        Raises:
            ValidationError: The key is empty or not a string, or the data is not bytes-like.
            StorageError: The server refuses; what was stored before is unharmed.
            StorageUnavailable: The server cannot be reached, or cannot do it at this time. Whether
                it has been done, only looking can tell; doing it again is safe.

        """
        name = self._name(key)
        self._bucket.put(name, key, Payload(artifact_data(data)))

    def get(self, key: str) -> bytes:
        """Return what was last put under `key`.

        Raises:
            ValidationError: The key is empty or not a string.
            NotFound: Nothing is stored under it.
            StorageError: The server refuses, or the bytes are not those that were put.
            StorageUnavailable: The server cannot be reached, or cannot do it at this time.

        """
        return self._read(key, _all_of)

    def view(self, key: str) -> memoryview:
        """Return a read-only view of what `get` returns.

        Raises:
            StoreError: As `get` does.

        """
        return memoryview(self._read(key, _all_of))

    def delete(self, key: str) -> None:
        """Remove what is stored under `key`, if anything is.

        Raises:
            ValidationError: The key is empty or not a string.
            StorageError: The server refuses.
            StorageUnavailable: The server cannot be reached, or cannot do it at this time.

        """
        self._bucket.delete(self._name(key), key)

    def close(self) -> None:
        """Close the connections; operations raise StorageError from now on. Twice is no error."""
        self._closed = True
        self._stop_serving()
        self._bucket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self, key: str, read: Callable[[Any], tuple[_Read, str]]) -> _Read:
        return self._bucket.get(self._name(key), key, read)

    def _name(self, key: str) -> str:
        digest = digest_of_key(key)
        if self._closed:
            raise self._closed_error()
        return f"{self._prefix}{digest}"

    def _closed_error(self) -> StorageError:
        return StorageError(f"the artifact store in {self._shown} is closed")


def _all_of(body: Any) -> tuple[bytes, str]:
    data: bytes = body.read()
    return data, hashlib.sha256(data).hexdigest()


def _text(field: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _refusal(field, value, "a name, not empty")
    return value


def _prefix(value: object) -> str:
    if not isinstance(value, str):
        raise _refusal("prefix", value, "a text")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise _refusal("prefix", ascii(value), "a text without lone surrogates") from None
    if size > _LONGEST_PREFIX:
        raise _refusal("prefix", f"{value[:20]}...", f"at most {_LONGEST_PREFIX} bytes in UTF-8")
    return value if not value or value.endswith("/") else f"{value}/"


def _options(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    # The value is not shown: it may hold credentials.
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValidationError(
            "client_options must be keyword arguments of boto3.client by name, or None, not a "
            f"{type(value).__name__}"
        )
    if "service_name" in value:
        raise ValidationError("client_options must not have service_name: it is always s3")
    return dict(value)


def _whole(field: str, value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _refusal(field, value, f"a whole number from {least} to {most}")
    return value


def _seconds(field: str, value: object) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value <= 1e9:  # type: ignore[operator]
        raise _refusal(field, value, "a number of seconds, more than 0")


def _refusal(field: str, value: object, allowed: str) -> ValidationError:
    return ValidationError(f"{field} cannot be {value!r:.200}; allowed is {allowed}")
