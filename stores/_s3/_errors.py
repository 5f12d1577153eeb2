"""What botocore raises, in a store's terms, and without what must not be shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from ports import NotFound, StorageError, StorageUnavailable, StoreError

__all__ = ["FAILURES", "Damaged", "Secrets", "store_error"]

FAILURES = (ClientError, BotoCoreError, ResponseParserError, HTTPError)
"""All that an operation of a client, or reading a response's body, is known to raise."""

_CONNECTION = (
    BotoConnectionError,
    HTTPClientError,
    HTTPError,
    IncompleteReadError,
    ResponseParserError,
)

# What a server says of an object that there is not; without a body, it is only a status.
_NO_OBJECT = frozenset({"NoSuchKey", "404"})

# Refusals by which a server says that it could do it at another time.
_LATER = frozenset(
    {
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
    }
)

# Refusals by which a server says that it was sent other bytes than those announced.
_DAMAGE = frozenset(
    {"BadDigest", "IncompleteBody", "InvalidDigest", "XAmzContentSHA256Mismatch"}
    | {"XAmzContentChecksumMismatch"}
)

_PATTERNS = (
    # user:password@ in a URL
    (re.compile(r"(?<=://)[^/]*@"), "***@"),
    # what signs a URL, and who signed a request
    (
        re.compile(r"(?i)\b((?:X-Amz-)?(?:Signature|Credential|Security-Token))=[^&\s\"',]+"),
        r"\1=***",
    ),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{8,}\b"), "***"),
)


_SHORTEST = 4


class Damaged(Exception):
    """Bytes have not arrived as they were sent; sending them again may help.

    Attributes:
        error: what the caller is told, if it does not help.
        used: how many requests it took to find out.
    """

    def __init__(self, error: StoreError, used: int) -> None:
        super().__init__(error.message)
        self.error = error
        self.used = used


class Secrets:
    """Removes credentials from texts.

    Args:
        values: texts that must not be shown.
    """

    def __init__(self, values: Iterable[object]) -> None:
        # What is shorter keeps no secret, and would be found in every other word.
        texts = {value for value in values if isinstance(value, str) and len(value) >= _SHORTEST}
        # The longest first: one may hold another.
        self._values = sorted(texts, key=len, reverse=True)

    def removed_from(self, text: object) -> str:
        """The text without them, and without what looks like one."""
        clean = str(text)
        for value in self._values:
            clean = clean.replace(value, "***")
        for pattern, instead in _PATTERNS:
            clean = pattern.sub(instead, clean)
        return clean


def store_error(
    error: Exception, doing: str, details: dict[str, Any], secrets: Secrets
) -> StoreError | Damaged:
    """The error to raise in the place of one of `FAILURES`.

    Args:
        error: what was raised.
        doing: what could not be done, for the message.
        details: the facts that the operation knows; ``code``, ``status`` and the like are added.
        secrets: is asked to remove them from what the server, or botocore, says.

    Returns:
        `NotFound` for an object that there is not, `StorageUnavailable` where trying later may
        help, `Damaged` where trying again may, else `StorageError`.

    """
    if isinstance(error, ClientError):
        return _refused(error, doing, details, secrets)
    code = type(error).__name__
    message = f"cannot {doing}: {secrets.removed_from(error)} ({code})"
    facts = {**details, "code": code}
    # A certificate that does not fit is no better the next time.
    later = isinstance(error, _CONNECTION) and not isinstance(error, SSLError)
    return (StorageUnavailable if later else StorageError)(message, details=facts)


def _refused(
    error: ClientError, doing: str, details: dict[str, Any], secrets: Secrets
) -> StoreError | Damaged:
    response: dict[str, Any] = error.response
    metadata = response.get("ResponseMetadata", {})
    code = secrets.removed_from(response.get("Error", {}).get("Code", "Unknown"))
    said = secrets.removed_from(response.get("Error", {}).get("Message", "")) or "no reason given"
    status = metadata.get("HTTPStatusCode")
    facts = {**details, "code": code, "status": status}
    if metadata.get("RequestId"):
        facts["request_id"] = metadata["RequestId"]
    message = f"cannot {doing}: {said} ({code})"
    if code in _NO_OBJECT and "key" in details:
        return NotFound(f"no artifact is stored under {details['key']!r}", details=facts)
    if code in _DAMAGE:
        return Damaged(StorageError(message, details=facts), 1 + metadata.get("RetryAttempts", 0))
    if code in _LATER or (isinstance(status, int) and status >= 500):
        return StorageUnavailable(message, details=facts)
    return StorageError(message, details=facts)
