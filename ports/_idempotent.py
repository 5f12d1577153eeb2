"""The mark of operations that may safely be carried out twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["idempotent"]

_Method = TypeVar("_Method", bound=Callable[..., Any])


def idempotent(method: _Method) -> _Method:
    """Mark an operation as one that leaves the same state behind, once or several times over.

    A client may then send it again when the process that served it died before it had answered.
    The mark is the attribute `__idempotent__`, which is set to True on the method itself.
    """
    method.__idempotent__ = True  # type: ignore[attr-defined]
    return method
