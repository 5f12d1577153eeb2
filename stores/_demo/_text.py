"""Numbers in sentences."""

from __future__ import annotations

__all__ = ["plural"]


def plural(count: int, one: str, several: str = "") -> str:
    """So many of them."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"
