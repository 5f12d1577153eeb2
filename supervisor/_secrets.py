"""Keeping passwords out of what is shown.

Specs hold the arguments of stores and clients, and those the passwords of databases and services;
and specs are shown: in tracebacks and logs, by ``repr``, where they are wrong. What is recognised
is the password of a URL, and what stands behind a name that says what it is.
"""

from __future__ import annotations

import re

__all__ = ["without_secrets"]

_PATTERNS = (
    # user:password@host, up to the last "@": one may stand in the password itself, and so may
    # blanks and quotes. The bounds keep a long text from taking long; a token has 2,000 letters.
    re.compile(r"(://[^:/@\s'\"]*:)(?:[^\s'\"]{1,4000}|[^,\n]{1,200})(?=@)"),
    # password=..., 'password': '...' and the like, quoted or not.
    re.compile(
        r"(?i)((?:password|passwd|passphrase|secret|token|api_key|access_key|access_key_id)"
        r"['\"]?\s*[=:]\s*)(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s,;&'\"()\[\]{}]+)"
    ),
)


def without_secrets(text: str) -> str:
    """The text, with ``***`` in the place of what looks like a password."""
    for pattern in _PATTERNS:
        text = pattern.sub(r"\1***", text)
    return text
