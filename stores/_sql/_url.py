"""What is behind a database URL, and how to speak of one without giving its password away."""

import re

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ports import ValidationError

from ._driver import Database
from ._postgresql import PostgreSQL
from ._sqlite import SYNCHRONOUS, SQLite

_SQLITE = ("sqlite", "sqlite+pysqlite")
_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")


def database_of(url: str | URL, *, synchronous: str, busy_timeout: float) -> Database:
    """Return the database of a URL, which need not exist or answer yet.

    Raises:
        ValidationError: It is no URL of a database that can be used, or another argument is wrong.
        StorageError: The folder of a SQLite file cannot be made.

    """
    _check(synchronous=synchronous, busy_timeout=busy_timeout)
    parsed = parsed_url(url)
    if parsed.drivername in _SQLITE:
        return SQLite(parsed, synchronous=synchronous.upper(), busy_timeout=busy_timeout)
    if parsed.drivername in _POSTGRESQL:
        return PostgreSQL(parsed)
    raise ValidationError(
        f"url cannot begin with {parsed.drivername}://; allowed is one that begins with "
        "sqlite:// or postgresql://",
        details={"field": "url", "value": shown_url(str(url)), "allowed": "sqlite, postgresql"},
    )


def _check(*, synchronous: object, busy_timeout: object) -> None:
    if not isinstance(synchronous, str) or synchronous.upper() not in SYNCHRONOUS:
        raise ValidationError(
            f"synchronous cannot be {synchronous!r}; allowed is one of {', '.join(SYNCHRONOUS)}"
        )
    number = isinstance(busy_timeout, (int, float)) and not isinstance(busy_timeout, bool)
    # The bound is that of SQLite, which counts milliseconds in 31 bits.
    if not number or not 0 <= busy_timeout <= 2_000_000:  # type: ignore[operator]
        raise ValidationError(
            f"busy_timeout cannot be {busy_timeout!r}; allowed are seconds from 0 to 2,000,000"
        )


def parsed_url(url: object) -> URL:
    """Return a URL in its parts.

    Raises:
        ValidationError: It is none.

    """
    shown = shown_url(str(url))
    try:
        parsed = make_url(url) if isinstance(url, (str, URL)) else None
    except (ArgumentError, ValueError):
        # Dropped on purpose: what it says may quote the URL, password included.
        parsed = None
    if parsed is None:
        raise ValidationError(
            f"url cannot be {shown!r}; allowed is a database URL, such as sqlite:///sessions.db or "
            "postgresql://user@host/database",
            details={"field": "url", "value": shown, "allowed": "a database URL"},
        )
    # A password ends at the first one; what stands behind it would be shown, as part of the host.
    if parsed.host and "@" in f"{parsed.host}{parsed.database}":
        raise ValidationError(
            f"url cannot be {shown!r}; allowed is one @ before the host: in a password, it is "
            "written %40",
            details={"field": "url", "value": shown, "allowed": "a database URL with one @"},
        )
    return parsed


def shown_url(url: str) -> str:
    """Return a URL, correct or not, without what could be a secret."""
    address, _, parameters = url.partition("?")
    # With or without slashes: who has left out one of them has a password, too.
    beginning = re.match(r"[\w+.-]+:/*|", address)[0]  # type: ignore[index]
    if "@" in parameters:
        return f"{beginning}***"  # the ? may be part of the password
    _, at, host = address[len(beginning) :].rpartition("@")
    return f"{beginning}***@{host}" if at else address


# The first URL that a process parses has SQLAlchemy compile patterns and look for its dialect; a
# process that is forked from one that has imported this module is spared it.
make_url("sqlite://").get_dialect()
