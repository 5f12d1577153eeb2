"""``regrow tree``: what runs, for a terminal or for a program."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from datetime import datetime

from supervisor._cli.snapshot import (
    ProcessSnapshot,
    TreeSnapshot,
    absence_of,
    root_of,
    take_snapshot,
)
from supervisor._cli.status import BAD_USAGE, NOT_RUNNING, OK
from supervisor._cli.style import Style, aligned, printable
from supervisor._errors import NoProcess, SpecError, SupervisorError

__all__ = ["describe_tree", "tree"]

_HEADER = ("ID", "NAME", "KIND", "STATE", "PID", "RESTARTS", "UPTIME")
_NUMBERS = (4, 5, 6)

_STATE_COLOURS = {"running": "green", "restarting": "yellow", "stopped": "red"}

_CLEAR_SCREEN = "\x1b[H\x1b[2J"


def tree(arguments: Namespace) -> int:
    """Show the node that is named; return the exit status."""
    if arguments.watch is None:
        return _show(arguments)
    while True:
        if sys.stdout.isatty():
            sys.stdout.write(_CLEAR_SCREEN)
        _show(arguments)
        sys.stdout.flush()
        time.sleep(arguments.watch)


def _show(arguments: Namespace) -> int:
    try:
        snapshot = take_snapshot(root_of(arguments.node, arguments.run_dir))
    except SpecError as error:
        print(f"regrow: {error}", file=sys.stderr)
        return BAD_USAGE
    except NoProcess:
        print(f"regrow: {absence_of(arguments.node, arguments.run_dir)}", file=sys.stderr)
        return NOT_RUNNING
    except (SupervisorError, OSError) as error:
        print(f"regrow: node {arguments.node!r} does not answer: {error}", file=sys.stderr)
        return NOT_RUNNING
    if arguments.json:
        print(json.dumps(snapshot.to_map(), indent=2))
    else:
        print("\n".join(describe_tree(snapshot, Style(sys.stdout))))
    return OK


def describe_tree(snapshot: TreeSnapshot, style: Style) -> list[str]:
    """The lines that show a node."""
    now = snapshot.taken_at
    labelled = [
        *_labelled(snapshot.root, style, "", ""),
        ("registry", snapshot.registry),
    ]
    rows = [_HEADER, *(_row(label, process, now) for label, process in labelled)]
    header, *padded = aligned(rows, _NUMBERS)
    lines = [style.paint("  ".join(header).rstrip(), "dim")]
    for cells, (_, process) in zip(padded, labelled, strict=True):
        lines.append(_painted(cells, process, style))
    return lines


def _labelled(
    process: ProcessSnapshot, style: Style, first: str, rest: str
) -> Iterator[tuple[str, ProcessSnapshot]]:
    """A process and those below it, each with its label: the branch that leads to it, its id."""
    yield first + printable(process.id), process
    children = process.children or []
    for index, child in enumerate(children):
        if index < len(children) - 1:
            branch, onward = style.sign("├─ ", "|- "), style.sign("│  ", "|  ")
        else:
            branch, onward = style.sign("└─ ", "`- "), "   "
        yield from _labelled(child, style, rest + branch, rest + onward)


def _row(label: str, process: ProcessSnapshot, now: datetime) -> tuple[str, ...]:
    return (
        label,
        printable(process.name or "-"),
        process.kind,
        process.status,
        _or_dash(process.pid),
        _or_dash(process.restarts),
        _duration(process.uptime(now)),
    )


def _painted(cells: list[str], process: ProcessSnapshot, style: Style) -> str:
    label, name, kind, state, pid, restarts, uptime = cells
    painted = (
        style.paint(label, "bold") if process.kind == "supervisor" else label,
        style.paint(name, "cyan") if process.name else style.paint(name, "dim"),
        style.paint(kind, "dim"),
        style.paint(state, _STATE_COLOURS[process.status]),
        pid,
        style.paint(restarts, "yellow") if process.restarts else restarts,
        uptime,
    )
    return "  ".join(painted)


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole // 60 % 60:02}m"
    return f"{whole // 86400}d {whole // 3600 % 24:02}h"
