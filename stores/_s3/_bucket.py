"""Objects in a bucket: put whole or not at all, and read as they were put or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import random
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import wait
from datetime import UTC, datetime
from typing import Any, TypeVar

from ports import NotFound, StorageError, StoreError
from stores._keys import shortened, shown
from stores._s3._client import Client, Limits
from stores._s3._errors import FAILURES, Damaged
from stores._s3._payload import Payload
from stores._s3._threads import Threads

__all__ = ["PARTS_AT_ONCE", "Bucket", "Limits", "Reader"]

_Read = TypeVar("_Read")

Reader = Callable[[Any], tuple[_Read, str]]
"""Reads a response's body, returns what it makes of it and the SHA-256 digest of its bytes."""

PARTS_AT_ONCE = 4
"""How many parts of one object are sent at the same time."""

# An object has this many parts at most; that is S3's rule.
_MOST_PARTS = 10_000

# In the metadata of an object.
_DIGEST, _KEY = "regrow-sha256", "regrow-key"

_NO_UPLOAD = "NoSuchUpload"

_LONG_AGO = datetime.min.replace(tzinfo=UTC)

# Seconds before damaged bytes are sent for again, at most; twice as many each further time.
_PAUSE = 0.1

logger = logging.getLogger("stores")


class Bucket:
    """A bucket, and how this store keeps objects in it.

    The digest of an object's bytes is in its metadata: what is read is held against it. What was
    sent is held against the entity tag of the response, which mostly is a digest, too; where it is
    not, it is read once to find that out.

    Args:
        name: the bucket's.
        client_options: keyword arguments of `boto3.client`.
        limits: of its requests.
        part_size: data that is larger is sent in parts of so many bytes.

    Raises:
        ValidationError: the options cannot be used.

    """

    def __init__(
        self, name: str, client_options: Mapping[str, Any], limits: Limits, part_size: int
    ) -> None:
        self._name = name
        self._client = Client(client_options, limits)
        self._part_size = part_size
        self._tags_are_digests = True

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._client.close()

    def check(self) -> None:
        """See that the bucket is there, and may be used.

        Raises:
            StorageError: there is none, or it is not ours to use.
            StorageUnavailable: nobody answers.

        """
        details = {"bucket": self._name}
        try:
            self._client.request(
                "head_bucket", f"use the bucket {self._name!r}", details, Bucket=self._name
            )
        except StorageError as error:
            reason = _REASONS.get(error.details.get("status", 0))
            if reason is None:
                raise
            raise StorageError(
                f"the bucket {self._name!r} {reason}", details=error.details
            ) from None

    def get(self, name: str, key: str, read: Reader[_Read]) -> _Read:
        """Return what is made of the bytes of an object.

        Args:
            name: the object's.
            key: what it is stored under, for messages.
            read: is called with the body, once for each attempt.

        Raises:
            NotFound: there is none.
            StorageError: it cannot be read as it was put.

        """
        return self._again(lambda: self._get(name, key, read))

    def _get(self, name: str, key: str, read: Reader[_Read]) -> _Read:
        response = self._request("get_object", "read", key, Key=name)
        details = self._details(key)
        expected = response["Metadata"].get(_DIGEST)
        if expected is None:
            response["Body"].close()
            raise StorageError(
                f"cannot read artifact {shown(key)}: the object carries no digest, and so was not "
                "put by this store",
                details={**details, "object": name, "code": "NoDigest"},
            )
        used = _used(response)
        with contextlib.closing(response["Body"]) as body:
            try:
                result, digest = read(body)
            except FAILURES as error:
                failure = self._client.error_for(error, f"read artifact {shown(key)}", details)
                raise Damaged(_settled(failure), used) from None
        if digest != expected:
            raise Damaged(
                StorageError(
                    f"cannot read artifact {shown(key)}: its bytes are not those that were put",
                    details={**details, "code": "DigestMismatch"},
                ),
                used,
            )
        return result

    def put(self, name: str, key: str, payload: Payload) -> None:
        """Store bytes in the place of an object, or as a new one.

        Raises:
            StorageError: they are not stored; what was there before is unharmed.

        """
        digest = payload.digest("sha256").hexdigest()
        # For people who look into the bucket.
        metadata = {_DIGEST: digest, _KEY: urllib.parse.quote(shortened(key))}
        send = self._put_whole if payload.size <= self._part_size else self._put_in_parts
        self._again(lambda: send(name, key, payload, metadata))

    def _put_whole(self, name: str, key: str, payload: Payload, metadata: dict[str, str]) -> None:
        response = self._request(
            "put_object", "store", key, Key=name, Body=payload.body(), Metadata=metadata
        )
        tag = payload.digest("md5").hexdigest()
        self._check_arrival(name, key, metadata, response, tag)

    def _put_in_parts(
        self, name: str, key: str, payload: Payload, metadata: dict[str, str]
    ) -> None:
        created = self._request(
            "create_multipart_upload", "store", key, Key=name, Metadata=metadata
        )
        upload = {"Key": name, "UploadId": created["UploadId"]}
        try:
            parts, digests = self._send_parts(key, payload, upload)
            response = self._complete(key, parts, upload)
        except BaseException as error:
            self._abort(key, upload)
            # The answer to its completion may have been lost.
            if isinstance(error, StoreError) and self._holds(name, key, metadata):
                return
            if isinstance(error, StoreError) and error.details.get("code") == _NO_UPLOAD:
                # Aborted by somebody who took it for one that nobody ends.
                raise Damaged(error, 1) from None
            raise
        tag = hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()
        self._check_arrival(name, key, metadata, response, f"{tag}-{len(parts)}")

    def _complete(
        self, key: str, parts: list[dict[str, Any]], upload: dict[str, str]
    ) -> dict[str, Any]:
        whole = {"Parts": parts}
        return self._request(
            "complete_multipart_upload", "store", key, MultipartUpload=whole, **upload
        )

    def _send_parts(
        self, key: str, payload: Payload, upload: dict[str, str]
    ) -> tuple[list[dict[str, Any]], list[bytes]]:
        size = max(self._part_size, -(-payload.size // _MOST_PARTS))
        starts = range(0, payload.size, size)

        def send(number: int, start: int) -> tuple[dict[str, Any], bytes]:
            end = min(start + size, payload.size)
            response = self._request(
                "upload_part",
                "store",
                key,
                PartNumber=number,
                Body=payload.body(start, end),
                **upload,
            )
            # A server that was sent a checksum of each part wants them all once more at the end.
            kept = {name: response[name] for name in response if name in _PART_CHECKSUMS}
            part = {"PartNumber": number, "ETag": response["ETag"], **kept}
            return part, payload.digest("md5", start, end).digest()

        threads = Threads(min(PARTS_AT_ONCE, len(starts)), "s3-part")
        sent = [
            threads.submit(lambda number=number, start=start: send(number, start))  # type: ignore[misc]
            for number, start in enumerate(starts, 1)
        ]
        try:
            results = [future.result() for future in sent]
        finally:
            # Before the upload is aborted, the parts that are on their way have to arrive.
            threads.close()
            wait(sent)
        return [part for part, _ in results], [digest for _, digest in results]

    def _abort(self, key: str, upload: dict[str, str]) -> None:
        try:
            self._request("abort_multipart_upload", "give up storing", key, **upload)
        except (StoreError, Damaged) as failure:
            error = _settled(failure)
            if error.details.get("code") != _NO_UPLOAD:
                logger.warning("parts are left in the bucket %s: %s", self._name, error)

    def _holds(self, name: str, key: str, metadata: dict[str, str]) -> bool:
        """Whether an object is there that was put with this metadata."""
        try:
            response = self._request("head_object", "look for", key, Key=name)
        except StoreError:
            return False
        return bool(response["Metadata"].get(_DIGEST) == metadata[_DIGEST])

    def _check_arrival(
        self, name: str, key: str, metadata: dict[str, str], response: dict[str, Any], tag: str
    ) -> None:
        """See that the server has what it was sent.

        Raises:
            Damaged: it has something else.

        """
        if response.get("ETag", "").strip('"') == tag or not self._tags_are_digests:
            return
        if not self._holds(name, key, metadata):
            return  # deleted or replaced since
        try:
            self._get(name, key, _digest_of)
        except NotFound:
            return
        except Damaged as damaged:
            if damaged.error.details.get("code") != "DigestMismatch":
                raise
            message = f"cannot store artifact {shown(key)}: its bytes have not arrived as sent"
            raise Damaged(
                StorageError(message, details=damaged.error.details), _used(response)
            ) from None
        # Its tags are made in another way, as those of encrypted objects are.
        self._tags_are_digests = False

    def delete(self, name: str, key: str) -> None:
        """Delete an object, if there is one.

        Raises:
            StorageError: that cannot be done.

        """
        with contextlib.suppress(NotFound):
            self._again(lambda: self._request("delete_object", "delete", key, Key=name))

    def abort_uploads(self, prefix: str, before: datetime) -> int:
        """Abort the uploads of objects in parts that nobody has added to since a time.

        Args:
            prefix: of the objects' names.
            before: that time, an aware datetime.

        Returns:
            How many there were.

        Raises:
            StorageError: they cannot be listed, or one cannot be aborted.

        """
        aborted = 0
        for page in self._pages("list_multipart_uploads", Prefix=prefix):
            for upload in page.get("Uploads", ()):
                which = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                if upload["Initiated"] < before and self._last_part(which) < before:
                    self._housekeep("abort_multipart_upload", **which)
                    aborted += 1
        return aborted

    def _last_part(self, upload: dict[str, str]) -> datetime:
        """When the last part of an upload arrived."""
        times = [_LONG_AGO]
        for page in self._pages("list_parts", **upload):
            times += [part["LastModified"] for part in page.get("Parts", ())]
        return max(times)

    def _pages(self, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        position: dict[str, Any] = {}
        while True:
            page = self._housekeep(operation, **parameters, **position)
            yield page
            if not page.get("IsTruncated"):
                return
            # Such as NextKeyMarker.
            position = {
                name.removeprefix("Next"): page[name] for name in page if name.startswith("Next")
            }

    def _housekeep(self, operation: str, **parameters: Any) -> dict[str, Any]:
        doing, details = "abort uploads that nobody ends", {"bucket": self._name}
        return self._client.request(operation, doing, details, Bucket=self._name, **parameters)

    def _request(self, operation: str, verb: str, key: str, **parameters: Any) -> dict[str, Any]:
        doing = f"{verb} artifact {shown(key)}"
        return self._client.request(
            operation, doing, self._details(key), Bucket=self._name, **parameters
        )

    def _details(self, key: str) -> dict[str, Any]:
        return {"bucket": self._name, "key": shortened(key)}

    def _again(self, attempt: Callable[[], _Read]) -> _Read:
        """Return what `attempt` returns, which is repeated where its bytes were damaged.

        What botocore has repeated of its own counts. Only the last attempt may exceed the bound,
        since botocore begins to count anew with each.
        """
        left = self._client.attempts
        pause = _PAUSE
        while True:
            try:
                return attempt()
            except Damaged as damaged:
                left -= damaged.used
                if left <= 0:
                    raise damaged.error from None
            time.sleep(random.uniform(0, pause))  # noqa: S311  so that not all come back at once
            pause *= 2


_REASONS = {
    403: "may not be used: access is denied (s3:ListBucket is needed, without which S3 does not "
    "tell what is missing from what is forbidden)",
    404: "does not exist; it has to be made first",
}

_PART_CHECKSUMS = frozenset(
    f"Checksum{algorithm}" for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
)


def _settled(error: StoreError | Damaged) -> StoreError:
    return error.error if isinstance(error, Damaged) else error


def _used(response: dict[str, Any]) -> int:
    return 1 + int(response["ResponseMetadata"].get("RetryAttempts", 0))


def _digest_of(body: Any) -> tuple[None, str]:
    found = hashlib.sha256()
    for chunk in body.iter_chunks(1 << 20):
        found.update(chunk)
    return None, found.hexdigest()
