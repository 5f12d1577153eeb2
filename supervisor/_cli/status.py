"""The exit statuses of the command."""

from __future__ import annotations

__all__ = [
    "BAD_USAGE",
    "BROKEN_PROMISE",
    "FAILED_CALLS",
    "GAVE_UP",
    "INTERRUPTED",
    "NODE_RUNNING",
    "NOT_RUNNING",
    "NOT_STARTED",
    "NOT_USABLE",
    "OK",
    "OUTDATED",
    "PIPE_CLOSED",
]

OK = 0

# `run`: restarts came faster than the root supervisor's max_restarts allows.
GAVE_UP = 1
# `tree`, `bench`: there is no node of that name, or no process.
NOT_RUNNING = 1
# `demo`: what was recorded is not what git says, or a call failed, or a process did not come back.
BROKEN_PROMISE = 1

# `db current`: the database is empty, or has the tables of an older version.
OUTDATED = 1

# Also argparse's: an option or an argument that cannot be understood.
BAD_USAGE = 2

# `run`: a child, or the node's folder, was not ready.
NOT_STARTED = 3
# `db`: the database does not answer, failed, or is a newer version's.
NOT_USABLE = 3

# `bench`: calls have failed; which, is listed.
FAILED_CALLS = 3

# `run`: a node of that name runs already.
NODE_RUNNING = 4

# What shells say of a program that SIGINT (2) or SIGPIPE (13) has ended.
INTERRUPTED = 128 + 2
PIPE_CLOSED = 128 + 13
