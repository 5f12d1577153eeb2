"""Keys of artifacts: what stands for them in a backend, and how to speak of them in an error."""

from __future__ import annotations

import hashlib

from ports._arguments import artifact_key

__all__ = ["digest_of_key", "printable", "shortened", "shown"]

# How much of a key an error shows.
_KEY_SHOWN = 100


def digest_of_key(key: object) -> str:
    """Return 64 hexadecimal digits that stand for a key, whatever is in it, and for no other.

    Raises:
        ValidationError: It is empty, or no text.

    """
    return hashlib.sha256(artifact_key(key).encode("utf-8", "surrogatepass")).hexdigest()


def shown(key: str) -> str:
    """Return a key as a message can carry it."""
    return repr(shortened(key))


def shortened(key: str) -> str:
    """Return a key as an error's details can carry it: not endless, and without lone surrogates."""
    beginning = printable(key[:_KEY_SHOWN])
    return beginning if len(key) <= _KEY_SHOWN else f"{beginning}... ({len(key)} characters)"


def printable(text: str) -> str:
    """Return a text with its lone surrogates escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
