"""What pool, workers and callers tell each other.

Between the pool and a worker of functions, a pair of SOCK_SEQPACKET sockets, one message for each
task and each answer, so that a task is with exactly one of them: the pool keeps the worker's end
too, and can take back from it what the worker has not taken out. With the body of a task or of an
answer, and for nobody but caller and worker to read (``payload``), may come a descriptor::

    to a worker      [id: 8 bytes] [body]
    from a worker    [id: 8 bytes] [kind: 1 byte] [body]

Between callers and the pool, notifications as any process of a tree takes them::

    pool.submit   [[key, name, priority, retries, timeout, wait, body], ...]
    pool.cancel   [key, ...]
    pool.clear    every task that no worker has: they are answered with CANCELLED
    pool.news     begun: [key, ...], admitted: [key, ...], [[key, kind, body], ...]

and one request that comes before them, ``pool.attach``, whose answer says what the pool is like.
Descriptors come with frames of one task or answer each, in the place that frames have for them.
"""

from __future__ import annotations

import struct
from typing import Any

import msgpack

__all__ = [
    "ATTACH",
    "BEGUN",
    "CANCEL",
    "CANCELLED",
    "CHECKOUT",
    "CLEAR",
    "CRASHED",
    "ERROR",
    "INLINE",
    "LOADING",
    "LOG",
    "NEWS",
    "PREFIX",
    "PRINTED",
    "REFUSED",
    "RESULT",
    "SUBMIT",
    "TIMED_OUT",
    "WORKER_PREFIX",
    "notification",
]

ATTACH, SUBMIT, CANCEL, NEWS = "pool.attach", "pool.submit", "pool.cancel", "pool.news"
CLEAR, CHECKOUT = "pool.clear", "pool.checkout"

# Kinds of answers: those that a worker ends a task with, those it gives meanwhile, and those that
# the pool gives in the place of a worker.
RESULT, ERROR = 0, 1
LOADING, BEGUN, PRINTED, LOG = 10, 11, 12, 13
CRASHED, TIMED_OUT, REFUSED, CANCELLED = 20, 21, 22, 23

# Bodies that are larger go into a file, whose descriptor goes along.
INLINE = 32 * 1024

PREFIX = struct.Struct("<Q")
WORKER_PREFIX = struct.Struct("<QB")


def notification(operation: str, *args: Any) -> bytes:
    """The frame of a notification."""
    frame: bytes = msgpack.packb([2, operation, [args, {}]], unicode_errors="surrogatepass")
    return frame
