"""A client of S3, made as a store needs it, whose errors are a store's."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, DataNotFoundError
from botocore.loaders import create_loader

from ports import StoreError, ValidationError
from stores._s3._errors import FAILURES, Damaged, Secrets, store_error

__all__ = ["Client", "Limits"]

# botocore reads what it knows of S3, a megabyte of JSON, through a loader that remembers. Read with
# this module, it need not be read by each process that is forked from one that has imported it.
_loader = create_loader()
for _what in ("service-2", "endpoint-rule-set-1"):
    _loader.load_service_model("s3", _what)
for _what in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
    # Which files there are is up to its version.
    with contextlib.suppress(DataNotFoundError):
        _loader.load_data(_what)

_CREDENTIALS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a client goes.

    Attributes:
        attempts: how often a request is sent at most.
        connect_timeout: seconds to connect in.
        read_timeout: seconds that a server may keep silent.
        connections: how many are kept for the next request.
    """

    attempts: int
    connect_timeout: float
    read_timeout: float
    connections: int


class Client:
    """Makes requests; thread-safe, and begins anew in a process that is forked from its own.

    Args:
        options: keyword arguments of `boto3.client`.
        limits: what holds unless `options["config"]` says otherwise.

    Raises:
        ValidationError: the options cannot be used; the message shows no credential.

    """

    def __init__(self, options: Mapping[str, Any], limits: Limits) -> None:
        self._options = dict(options)
        self._limits = limits
        # The endpoint may have some, too: in front of the host's name.
        login = str(options.get("endpoint_url")).rpartition("@")[0].rpartition("//")[2]
        self._secrets = Secrets([login, *(options.get(name) for name in _CREDENTIALS)])
        # At DEBUG, botocore writes session tokens and signed headers into the log.
        logger = logging.getLogger("botocore")
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
        self._connect()

    def _connect(self) -> None:
        session = botocore.session.Session()
        session.register_component("data_loader", _loader)
        options = dict(self._options)
        own = Config(
            retries={"mode": "standard", "total_max_attempts": self._limits.attempts},
            connect_timeout=self._limits.connect_timeout,
            read_timeout=self._limits.read_timeout,
            max_pool_connections=self._limits.connections,
            # The store has a digest of its own to hold what it reads against.
            response_checksum_validation="when_required",
        )
        try:
            given = options.pop("config", None)
            if given is not None and not isinstance(given, Config):
                raise TypeError("config must be a botocore.config.Config")
            config = own if given is None else own.merge(given)
            client: Any = boto3.session.Session(botocore_session=session).client(
                "s3", config=config, **options
            )
        except (TypeError, ValueError, AttributeError, BotoCoreError) as error:
            raise ValidationError(
                "client_options must be keyword arguments of boto3.client: "
                f"{self._secrets.removed_from(error)}"
            ) from None
        self._client = client
        self._process = os.getpid()

    @property
    def attempts(self) -> int:
        """How often a request is sent at most."""
        retries: Mapping[str, Any] = self._client.meta.config.retries or {}
        return int(retries.get("total_max_attempts") or self._limits.attempts)

    def request(
        self, operation: str, doing: str, details: dict[str, Any], **parameters: Any
    ) -> dict[str, Any]:
        """Make a request.

        Args:
            operation: the method of boto3's client.
            doing: what it is for, for messages.
            details: facts for the details of an error.
            **parameters: the method's.

        Raises:
            StoreError: it failed, in a store's terms.
            Damaged: it failed in a way that sending it again may help against.

        """
        if self._process != os.getpid():
            # A connection serves one process.
            self._connect()
        try:
            response: dict[str, Any] = getattr(self._client, operation)(**parameters)
        except FAILURES as error:
            raise self.error_for(error, doing, details) from None
        return response

    def error_for(
        self, error: Exception, doing: str, details: dict[str, Any]
    ) -> StoreError | Damaged:
        """The error to raise in the place of one that botocore has raised."""
        return store_error(error, doing, details, self._secrets)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        if self._process == os.getpid():
            self._client.close()
