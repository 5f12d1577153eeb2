"""The command ``regrow db``: which version a database has, and bringing it up to date."""

from __future__ import annotations

import os
import sys
from argparse import Namespace

from sqlalchemy import URL

from ports import StorageError, StoreError, ValidationError
from supervisor._cli.status import BAD_USAGE, NOT_USABLE, OK, OUTDATED

from . import _schema as schema
from ._driver import Database
from ._migration import URL_VARIABLE, shown_revision
from ._upgrade import current, upgrade
from ._url import database_of, parsed_url

__all__ = ["db"]

# Seconds that SQLite waits for others each time; `upgrade` asks it again and again.
_BUSY_TIMEOUT = 1.0


def db(arguments: Namespace) -> int:
    """Look at a database, or upgrade it.

    Args:
        arguments: ``action``, ``"current"`` or ``"upgrade"``, and ``url``, None if it is in the
            environment.

    Returns:
        The exit status.

    """
    url = arguments.url or os.environ.get(URL_VARIABLE)
    try:
        if not url:
            raise ValidationError(f"no database: give its URL, or set ${URL_VARIABLE}")
        parsed = parsed_url(url)
        if arguments.url:
            _warn_of_password(parsed)
        return _current(parsed) if arguments.action == "current" else _upgrade(_database(parsed))
    except ValidationError as error:
        return _fail(BAD_USAGE, error)
    except StoreError as error:
        return _fail(NOT_USABLE, error)


def _current(url: URL) -> int:
    path = url.database if url.get_backend_name() == "sqlite" else None
    # Opening it would make it.
    if path and "uri" in url.query:
        url = url.update_query_dict({"mode": url.query.get("mode", "rw")})
    elif path and path != ":memory:" and not os.path.exists(path):
        raise StorageError(f"there is no database {path}")
    database = _database(url)
    found = current(database)
    is_newest = found == schema.REVISION
    newest = "the newest" if is_newest else f"this program's is version {schema.REVISION}"
    print(f"{database.shown}: {shown_revision(found)}; {newest}")
    return OK if is_newest else OUTDATED


def _upgrade(database: Database) -> int:
    found = upgrade(database)
    now = f"version {schema.REVISION}"
    if found is None:
        print(f"{database.shown}: made the tables of {now}")
    elif found == schema.REVISION:
        print(f"{database.shown}: {now} already")
    else:
        print(f"{database.shown}: upgraded from {shown_revision(found)} to {now}")
    return OK


def _database(url: URL) -> Database:
    database = database_of(url, synchronous="FULL", busy_timeout=_BUSY_TIMEOUT)
    if database.single_connection:
        raise ValidationError(f"{database.shown} is in memory: nothing of it is here to look at")
    return database


def _warn_of_password(url: URL) -> None:
    if url.password is not None or any("password" in name for name in url.query):
        print(
            "regrow: every user of this machine can see the arguments of a process, and so a "
            f"password among them; ${URL_VARIABLE} is the place for the URL",
            file=sys.stderr,
        )


def _fail(status: int, error: StoreError) -> int:
    print(f"regrow: {error.message}", file=sys.stderr)
    return status
