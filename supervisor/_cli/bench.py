"""``regrow bench``: how fast a process of a running tree answers."""

from __future__ import annotations

import functools
import json
import math
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from supervisor._cli.snapshot import absence_of, root_of
from supervisor._cli.status import BAD_USAGE, FAILED_CALLS, INTERRUPTED, NOT_RUNNING, OK
from supervisor._cli.style import Style, aligned, printable
from supervisor._client.caller import Caller
from supervisor._client.delivery import Target
from supervisor._errors import BadCall, NoProcess, SpecError, SupervisorError
from supervisor._measure import (
    Calls,
    ClientFailed,
    Percentiles,
    Spread,
    Tally,
    amount,
    calls_of,
    client_processes,
    rows_of,
    show_progress,
)
from supervisor._node import Node

__all__ = ["bench", "parse_arguments"]

# So many rounds at least, of a second each at most: for a median, and a spread.
_LEAST_ROUNDS = 5

# Clients that are told to begin begin at the same time, after this many seconds at least.
_LEAD = 0.05

_BAR_WIDTH = 50

_WHAT = "measuring"

_NAMES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found.

    Attributes:
        calls: what was called.
        clients: how many processes called.
        seconds: for how long, without the warm-up.
        rounds: how many rounds are over.
        tally: what the calls have come to.
        interrupted: whether it was ended before its time.
    """

    calls: Calls
    clients: int
    seconds: float
    rounds: int
    tally: Tally
    interrupted: bool

    @property
    def rate(self) -> Spread | None:
        """Answers per second; None where no round is over."""
        return self.tally.rate(self.rounds, self.calls.round_length)

    @property
    def latencies(self) -> Percentiles | None:
        """Of those that were answered, in seconds; None where none was."""
        return self.tally.latencies.percentiles() if len(self.tally.latencies) else None


def bench(arguments: Namespace) -> int:
    """Measure what is named; return the exit status."""
    try:
        args, kwargs = parse_arguments(arguments.args)
        calls = _calls(arguments, args, kwargs)
        problem = _try(calls)
    except (SpecError, BadCall) as error:
        print(f"regrow: {error}", file=sys.stderr)
        return BAD_USAGE
    except NoProcess as error:
        print(f"regrow: {_absence(arguments, error)}", file=sys.stderr)
        return NOT_RUNNING
    if problem is not None:
        print(f"regrow: the first call has failed: {problem}", file=sys.stderr)
    try:
        measured = _measure(calls, arguments)
    except ClientFailed as error:
        print(f"regrow: {error}", file=sys.stderr)
        return FAILED_CALLS
    if arguments.json:
        print(json.dumps(to_map(measured), indent=2))
    else:
        print("\n".join(describe(measured, Style(sys.stdout))))
    if measured.interrupted:
        return INTERRUPTED
    return FAILED_CALLS if measured.tally.failures else OK


def parse_arguments(words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """What an operation is called with.

    Args:
        words: JSON values, each a positional argument, or a keyword argument behind ``KEY=``.

    Raises:
        BadCall: a word is neither, or gives a keyword twice.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        # No JSON value starts like a name and goes on with "=".
        if not (equals and key.isidentifier()):
            args.append(_value(word, word))
        elif key in kwargs:
            raise BadCall(f"argument {key!r} is given twice")
        else:
            kwargs[key] = _value(text, word)
    return args, kwargs


def _value(text: str, word: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        raise BadCall(
            f"arguments are JSON values, or KEY=VALUE with one: {word!r} is not ({error}); "
            f"a string has quotes of its own, as in '\"text\"'"
        ) from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"JSON has no {constant}")


def _calls(arguments: Namespace, args: list[Any], kwargs: dict[str, Any]) -> Calls:
    if not 1 <= len(arguments.name) <= 255:
        raise BadCall(f"NAME has 1 to 255 characters, not {len(arguments.name)}")
    seconds = arguments.seconds
    return Calls(
        Target(Node.named(arguments.node, arguments.run_dir), name=arguments.name),
        arguments.operation,
        args,
        kwargs,
        arguments.timeout,
        arguments.in_flight,
        seconds / max(_LEAST_ROUNDS, round(seconds)),
    )


def _absence(arguments: Namespace, error: NoProcess) -> str:
    """What is not there: the node, or only the name."""
    root = root_of(arguments.node, arguments.run_dir)
    if not root.is_alive():
        return absence_of(arguments.node, arguments.run_dir)
    try:
        names = root.registry().call("names")
    except SupervisorError:
        return str(error)
    shown = [*map(repr, names[:_NAMES_SHOWN]), *(["..."] if names[_NAMES_SHOWN:] else [])]
    return f"{error}; names there: {', '.join(shown) or 'none'}"


def _try(calls: Calls) -> str | None:
    """Call once, so that what cannot work is said at once; return how that call failed, if so.

    Raises:
        NoProcess: there is no such node, or no such name.
        BadCall: there is no such operation, or it does not take these arguments.
    """
    caller = Caller(calls.target)
    try:
        caller.call(calls.operation, tuple(calls.args), dict(calls.kwargs), calls.timeout)
    except (NoProcess, BadCall):
        raise
    except Exception as error:  # noqa: BLE001  a declared error may be of any class
        return f"{type(error).__name__}: {error}"
    finally:
        caller.close()
    return None


def _measure(calls: Calls, arguments: Namespace) -> Measured:
    """Load it, for as long as was asked for or until Ctrl-C.

    Raises:
        ClientFailed: a client process cannot go on.
    """
    tally, seconds, interrupted = Tally(), arguments.seconds, False
    # Until when each client has told what it has measured, in seconds from the beginning.
    told = [0.0] * arguments.clients
    prepare = [functools.partial(calls_of, calls)] * arguments.clients
    lead = max(_LEAD, arguments.warm_up)
    try:
        with client_processes(prepare) as work:
            begins = time.monotonic() + lead
            for number, found in work(seconds, lead):
                tally.merge(found)
                told[number] = time.monotonic() - begins
                _show(tally, min(told), seconds)
            told = [seconds] * arguments.clients
    except KeyboardInterrupt:
        interrupted = True
    show_progress(_WHAT, seconds, seconds)
    measured = min(*told, seconds)
    # A round that ends when a client told last is over.
    over = int(measured / calls.round_length + 1e-9)
    return Measured(calls, arguments.clients, measured, over, tally, interrupted)


def _show(tally: Tally, done: float, seconds: float) -> None:
    failed = f", {tally.failed_count:,} failed" if tally.failures else ""
    show_progress(_WHAT, done, seconds, f" s, {len(tally.latencies):,} calls answered{failed}")


def to_map(measured: Measured) -> dict[str, Any]:
    """What was found, for JSON; times are seconds."""
    calls, tally = measured.calls, measured.tally
    return {
        "node": calls.target.node.name,
        "name": calls.target.name,
        "operation": calls.operation,
        "args": calls.args,
        "kwargs": calls.kwargs,
        "clients": measured.clients,
        "in_flight": calls.in_flight,
        "seconds": round(measured.seconds, 3),
        "rounds": measured.rounds,
        "interrupted": measured.interrupted,
        "answered": len(tally.latencies),
        "failed": tally.failed_count,
        "calls_per_second": measured.rate and _rounded(asdict(measured.rate), 3),
        "latency": measured.latencies and _rounded(asdict(measured.latencies), 9),
        "histogram": [asdict(row) for row in rows_of(tally.latencies)],
        "failures": {kind: asdict(failures) for kind, failures in tally.failures.items()},
    }


def _rounded(values: dict[str, float], digits: int) -> dict[str, float]:
    return {key: round(value, digits) for key, value in values.items()}


def describe(measured: Measured, style: Style) -> list[str]:
    """What was found, for a terminal."""
    return [
        style.paint(_heading(measured), "bold"),
        _rate(measured),
        *_latencies(measured),
        *_failures(measured, style),
        *_histogram(measured, style),
    ]


def _heading(measured: Measured) -> str:
    calls = measured.calls
    call = printable(f"{calls.target.name}.{calls.operation}")
    clients = f"{measured.clients} {'client' if measured.clients == 1 else 'clients'}"
    each = f" with {calls.in_flight} calls in flight each" if calls.in_flight > 1 else ""
    ended = ", interrupted" if measured.interrupted else ""
    return f"{call}: {clients}{each}, {measured.seconds:.1f} s{ended}"


def _rate(measured: Measured) -> str:
    answered = f"{len(measured.tally.latencies):,} calls answered"
    rate = measured.rate
    if rate is None:
        return f"{answered}; too short for a rate"
    spread = f"{amount(rate.lower)}..{amount(rate.upper)} in the middle half"
    return f"{answered}, {amount(rate.median)}/s ({spread} of {measured.rounds} rounds)"


def _latencies(measured: Measured) -> list[str]:
    found = measured.latencies
    if found is None:
        return []
    values = (found.p50, found.p90, found.p99, found.p999, found.maximum)
    rows = [("p50", "p90", "p99", "p99.9", "max"), tuple(map(duration, values))]
    return ["  ".join(row) for row in aligned(rows, range(len(values)))]


def _failures(measured: Measured, style: Style) -> list[str]:
    failures = measured.tally.failures
    if not failures:
        return []
    ordered = sorted(failures.items(), key=lambda item: -item[1].count)
    rows = [
        (kind, f"{found.count:,}", printable(_first_line(found.example))) for kind, found in ordered
    ]
    shown = ["  ".join(cells).rstrip() for cells in aligned(rows, (1,))]
    return [style.paint(f"{measured.tally.failed_count:,} calls failed", "red"), *shown]


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _histogram(measured: Measured, style: Style) -> list[str]:
    rows = rows_of(measured.tally.latencies)
    if not rows:
        return []
    most, total = max(row.count for row in rows), len(measured.tally.latencies)
    cells = [
        (
            f"{duration(row.lower)} ..",
            duration(row.upper),
            f"{row.count:,}",
            f"{100 * row.count / total:.1f} %",
            style.sign("█", "#") * math.ceil(_BAR_WIDTH * row.count / most),
        )
        for row in rows
    ]
    return ["", *("  ".join(row).rstrip() for row in aligned(cells, (0, 1, 2, 3)))]


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{amount(round(seconds / size, 9))} {unit}"
    return f"{amount(round(seconds / 1e-6, 9))} µs"
