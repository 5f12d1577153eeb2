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

from supervisor._core.messages import Report
from supervisor._driver.exits import LastWords
from supervisor._node import ProcessPath

__all__ = ["log_report"]

logger = logging.getLogger("supervisor")


def log_report(path: ProcessPath, report: Report, pid: int | None, words: LastWords) -> None:
    """Write a report.

    Args:
        path: of the supervisor.
        report: what happened.
        pid: of the child's process, where it had one.
        words: what is known of the end of that process.
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
    logger.log(_level(report), "%s", _text("/".join(child), report, pid, words), extra=extra)


def _level(report: Report) -> int:
    if report.kind == "gave_up":
        return logging.CRITICAL
    if report.kind in ("killed", "restarting"):
        return logging.WARNING if report.kind == "killed" else logging.INFO
    orderly = report.exit is not None and report.exit.is_orderly
    return logging.DEBUG if orderly else logging.ERROR


def _text(where: str, report: Report, pid: int | None, words: LastWords) -> str:
    exit = report.exit
    match report.kind:
        case "start_failed":
            text = f"{where} (pid {pid}) did not start: {exit}"
        case "child_ended":
            text = f"{where} (pid {pid}) ended: {exit}"
        case "restarting":
            wait = f" in {report.delay:.2f} s" if report.delay else ""
            return f"{where} is restarted{wait} (restart {report.restarts})"
        case "killed":
            return f"{where} (pid {pid}) did not stop in time and was killed"
        case "gave_up":
            return f"{where}: its supervisor gives up: {exit}"
    return text + _details(report, words)


def _details(report: Report, words: LastWords) -> str:
    """What else is known of an end."""
    parts = []
    if words.operation is not None:
        parts.append(f"  while it carried out {words.operation}{words.arguments}")
    if words.oom is not None:
        parts.append(f"  {words.oom}")
    if words.stderr and not (report.exit and report.exit.is_orderly):
        parts += ["  the last lines of its stderr:", *(f"    {line}" for line in words.stderr)]
    if report.exit is not None and report.exit.traceback:
        parts.append(report.exit.traceback.rstrip())
    return "".join(f"\n{part}" for part in parts)
