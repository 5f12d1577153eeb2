"""Reports: each start failure, crash, restart, give-up and forced kill is one log record.

The record carries what it says as attributes too (``extra``), as in OTP's SASL reports:

=============  ==================================================================================
``report``     ``start_failed``, ``child_ended``, ``restarting``, ``killed`` or ``gave_up``
``path``       the ids from the root down to the child
``child``      its id
``pid``        of the process that the report is about; None where there was none
``reason``     of its Exit: ``error``, ``signal`` ...; ``exit`` is all of it, as text
``restarts``   how often the child has been restarted automatically, so far
``delay``      for ``restarting``: the seconds until then
``operation``  what a server was doing when it crashed; ``arguments``: with what
``traceback``  of the exception, as text
``stderr``     the last lines that a command wrote to its standard error
``oom``        what speaks for it that the kernel killed the process, out of memory
=============  ==================================================================================
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from supervisor._core.messages import Report
from supervisor._driver.exits import LastWords
from supervisor._loop import Reactor
from supervisor._node import ProcessPath

__all__ = ["ReportQueue", "log_report"]

logger = logging.getLogger("supervisor")

# So long is what is written of a restart behind it.
_PAUSE = 0.003


class ReportQueue:
    """Reports that are written a moment later, in their order: callers wait for a restart.

    The new process is mostly ready before that. To write a report takes half as long as to start
    it, on a machine that may have no processor to spare for both.

    Args:
        loop: the supervisor's.
    """

    def __init__(self, loop: Reactor) -> None:
        self._loop = loop
        self._queue: deque[Callable[[], None]] = deque()

    def add(self, write: Callable[[], None]) -> None:
        """Call this a moment later, or when ``flush`` is called."""
        self._queue.append(write)
        if len(self._queue) == 1:
            self._loop.call_later(_PAUSE, self.flush)

    def flush(self) -> None:
        """Write them all."""
        while self._queue:
            self._queue.popleft()()


def log_report(
    path: ProcessPath,
    report: Report,
    pid: int | None,
    words: LastWords,
    *,
    of_supervisor: bool = False,
) -> None:
    """Write a report.

    Args:
        path: of the supervisor.
        report: what happened.
        pid: of the child's process, where it had one.
        words: what is known of the end of that process.
        of_supervisor: whether the child is a supervisor: what it failed of, it has reported itself.
    """
    child = (*path, report.id)
    extra = {
        "report": report.kind,
        "path": child,
        "child": report.id,
        "pid": pid,
        "reason": report.exit.reason if report.exit else None,
        "exit": str(report.exit) if report.exit else None,
        "restarts": report.restarts,
        "delay": report.delay,
        "operation": words.operation,
        "arguments": words.arguments,
        "traceback": report.exit.traceback if report.exit else None,
        "stderr": words.stderr,
        "oom": words.oom,
    }
    text = _text(child, report, pid, words)
    if report.kind in ("start_failed", "child_ended"):
        text += _details(report, words, of_supervisor=of_supervisor)
    logger.log(_level(report), "%s", text, extra=extra)


def _level(report: Report) -> int:
    if report.kind == "gave_up":
        return logging.CRITICAL
    if report.kind in ("killed", "restarting"):
        return logging.WARNING if report.kind == "killed" else logging.INFO
    orderly = report.exit is not None and report.exit.is_orderly
    return logging.DEBUG if orderly else logging.ERROR


def _text(child: ProcessPath, report: Report, pid: int | None, words: LastWords) -> str:
    where = "/".join(child)
    exit = report.exit
    match report.kind:
        case "start_failed":
            below = "".join(f"{id}: " for id in words.path)
            return f"{where} (pid {pid}) did not start: {below}{exit}"
        case "child_ended":
            return f"{where} (pid {pid}) ended: {exit}"
        case "restarting":
            wait = f" in {report.delay:.2f} s" if report.delay else ""
            return f"{where} is restarted{wait} (restart {report.restarts})"
        case "killed":
            return f"{where} (pid {pid}) did not stop in time and was killed"
        case "gave_up":
            supervisor = (
                f"supervisor {'/'.join(child[:-1])}" if child[1:] else "the root supervisor"
            )
            why = "" if exit is None or exit.error is None else exit.error
            return f"{supervisor} gives up: {why.removeprefix('gave up: ')}"


def _details(report: Report, words: LastWords, *, of_supervisor: bool) -> str:
    """What else is known of an end."""
    parts = []
    if words.operation is not None:
        parts.append(f"  while it carried out {words.operation}{words.arguments}")
    if words.oom is not None:
        parts.append(f"  {words.oom}")
    if words.stderr and not (report.exit and report.exit.is_orderly):
        parts += ["  the last lines of its stderr:", *(f"    {line}" for line in words.stderr)]
    if report.exit is not None and report.exit.traceback and not of_supervisor:
        parts.append(report.exit.traceback.rstrip())
    return "".join(f"\n{part}" for part in parts)
