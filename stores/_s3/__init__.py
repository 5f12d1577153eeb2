"""Artifacts in S3, by way of boto3.

_store      the store: its options and operations;  _serving  the same, in a process of its own
_bucket     objects put and read whole;  _client  requests, and what they fail with
_payload    the bytes that are put;  _errors  botocore's errors in a store's terms
_threads    a bounded number of threads

Only _bucket, _client and _errors need boto3.
"""

from stores._s3._store import S3ArtifactStore

__all__ = ["S3ArtifactStore"]
