"""What can be written on the command line."""

from __future__ import annotations

import argparse

from supervisor._cli.status import (
    BAD_USAGE,
    FAILED_CALLS,
    GAVE_UP,
    INTERRUPTED,
    NODE_RUNNING,
    NOT_RUNNING,
    NOT_STARTED,
    OK,
)

__all__ = ["make_parser"]

_RUN_STATUSES = f"""\
exit status:
  {OK}  stopped in order: by SIGTERM, SIGINT or SIGHUP, or the tree ended by itself
  {GAVE_UP}  gave up: restarts came faster than the root supervisor's max_restarts allows
  {BAD_USAGE}  wrong usage: MODULE:TREE names no supervisor, or its module raised
  {NOT_STARTED}  did not start: which child, why, and its traceback are on standard error
  {NODE_RUNNING}  a node of that name runs already
  128 + N  killed at once: a second signal, number N, came while it stopped
"""

_TREE_STATUSES = """\
exit status:
  0  shown
  1  no such node runs
"""

_BENCH_STATUSES = f"""\
exit status:
  {OK}  measured, and every call was answered
  {NOT_RUNNING}  no such node runs, or no process of that name
  {BAD_USAGE}  wrong usage: also no such operation, or not with these arguments
  {FAILED_CALLS}  calls failed: how, and how many, is shown
  {INTERRUPTED}  interrupted by Ctrl-C; what was measured until then is shown

What the operation does is done, again and again: it is called as by any other client.
"""

_DEMO_STATUSES = """\
exit status:
  0  every commit, event and patch is there, byte for byte; no call failed
  1  a promise did not hold: which, is listed
  2  there is no git, or REPOSITORY is no repository
"""

_DB_STATUSES = """\
exit status:
  0  up to date
  1  current: the database is empty, or has the tables of an older version
  2  wrong usage: no URL, or one that is none
  3  the database does not answer, failed, or was made by a newer version
"""

_RUN_DIR = (
    "the folder of the nodes' folders (default: $REGROW_RUN_DIR, else $XDG_RUNTIME_DIR/regrow, "
    "else one of this user under the temporary directory)"
)


def make_parser() -> argparse.ArgumentParser:
    """The parser; the chosen subcommand is in ``command``."""
    parser = argparse.ArgumentParser(
        prog="regrow",
        description="Supervision trees for Python processes. Kill any process: it grows back.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_run(commands)
    _add_tree(commands)
    _add_bench(commands)
    _add_demo(commands)
    _add_db(commands)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help: str, epilog: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "run", "run a tree in the foreground, until SIGTERM", _RUN_STATUSES)
    parser.add_argument(
        "tree",
        metavar="MODULE:TREE",
        help="where the Supervisor is: a module, found from the current directory too, and in it "
        "an attribute (dots allowed) that is a Supervisor, or a function that returns one",
    )
    _add_node(parser)
    parser.add_argument(
        "--log-level",
        default="info",
        choices=("debug", "info", "warning", "error", "critical"),
        help="what is logged to standard error (default: info)",
    )


def _add_tree(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "tree", "show the processes of a running node", _TREE_STATUSES)
    _add_node(parser)
    parser.add_argument("--json", action="store_true", help="for programs, not for a terminal")
    parser.add_argument(
        "--watch",
        metavar="SECONDS",
        type=_positive,
        nargs="?",
        const=1.0,
        help="show it again every second, or every so many, until Ctrl-C",
    )


def _add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands, "bench", "measure how fast a process of a running node answers", _BENCH_STATUSES
    )
    parser.add_argument("name", metavar="NAME", help="the registered name of the process")
    parser.add_argument("operation", metavar="OPERATION", help="what to call, again and again")
    parser.add_argument(
        "args",
        metavar="ARGS",
        nargs="*",
        help="what to call it with: JSON values, or KEY=VALUE with one; options come before or "
        "behind them",
    )
    parser.add_argument(
        "--clients", metavar="N", type=_count, default=1, help="processes that call (default: 1)"
    )
    parser.add_argument(
        "--seconds", metavar="S", type=_positive, default=5.0, help="how long (default: 5)"
    )
    parser.add_argument(
        "--in-flight",
        metavar="N",
        type=_count,
        default=1,
        help="calls that each client has under way at a time (default: 1, it waits for each)",
    )
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=_positive,
        default=5.0,
        help="seconds that a call may take (default: 5)",
    )
    parser.add_argument(
        "--warm-up",
        metavar="S",
        type=_positive,
        default=0.5,
        help="seconds of calls before those that count (default: 0.5)",
    )
    parser.add_argument("--json", action="store_true", help="for programs, not for a terminal")
    _add_node(parser)


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "demo",
        "record the history of a git repository while every process is killed",
        _DEMO_STATUSES,
    )
    parser.add_argument(
        "repository",
        metavar="REPOSITORY",
        nargs="?",
        help="a git repository (default: the one of the current directory, else a small sample)",
    )
    parser.add_argument("--keep", metavar="DIR", help="keep data, sockets and log in this folder")
    parser.add_argument(
        "--commits", metavar="N", type=_count, default=300, help="record at most N (default: 300)"
    )
    parser.add_argument(
        "--rounds",
        metavar="N",
        type=_count,
        help="kill each process N times (default: as many as there are commits for, at most 3)",
    )


def _add_db(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "db", "bring a store's database up to date", _DB_STATUSES)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, help in (
        ("upgrade", "bring the tables to the newest version, without loss; make them if absent"),
        ("current", "show which version the tables have"),
    ):
        action = _add(actions, name, help, _DB_STATUSES)
        action.add_argument(
            "url",
            metavar="URL",
            nargs="?",
            help="that of the store, such as sqlite:///sessions.db (default: "
            "$REGROW_DATABASE_URL, where no other user sees a password)",
        )


def _add_node(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--node", default="default", metavar="NAME", help="default: default")
    parser.add_argument("--run-dir", metavar="DIR", help=_RUN_DIR)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from None
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be more than 0, not {text}")
    return value


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value
