"""The entry point: hands the arguments to a subcommand."""

from __future__ import annotations

import importlib
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence

from supervisor._cli.arguments import make_parser
from supervisor._cli.bench import bench
from supervisor._cli.run import run
from supervisor._cli.status import INTERRUPTED, PIPE_CLOSED
from supervisor._cli.tree import tree

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: what is written behind ``regrow``; by default this process's.

    Returns:
        The exit status; see ``status``.

    Raises:
        SystemExit: the arguments cannot be understood (2), or ask for help (0).
    """
    chosen = make_parser().parse_args(arguments)
    command = _COMMANDS[chosen.command]
    try:
        status = command(chosen)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    return status


def _of_stores(module: str, function: str) -> Callable[[Namespace], int]:
    """A command that uses the stores, of which this package is to know nothing.

    So it knows it by its name only: the layers are the packages' import statements, and a command
    has to begin somewhere.
    """

    def command(arguments: Namespace) -> int:
        status: int = getattr(importlib.import_module(module), function)(arguments)
        return status

    return command


_COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "run": run,
    "tree": tree,
    "bench": bench,
    "demo": _of_stores("stores._demo", "demo"),
    "db": _of_stores("stores._sql._command", "db"),
}
