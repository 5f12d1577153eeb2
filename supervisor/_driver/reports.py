"""Reports: each start failure, crash, restart, give-up and forced kill is one log record.

The record carries what it says as attributes too (``extra``): ``path``, ``child``, ``pid``,
``reason``, ``restarts``, ``operation``, ``arguments`` and ``traceback``, as in OTP's SASL reports.
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
        words: what that process said last.
    """
    where = "/".join((*path, report.id))
    extra = {
        "path": path,
        "child": report.id,
        "pid": pid,
        "reason": report.exit.reason if report.exit else None,
        "restarts": report.restarts,
        "operation": words.operation,
        "arguments": words.arguments,
        "traceback": report.exit.traceback if report.exit else None,
    }
    logger.log(_level(report), "%s", _text(where, report, pid, words), extra=extra)


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
            if words.operation is not None:
                text += f"\n  while it carried out {words.operation}{words.arguments}"
        case "restarting":
            wait = f" in {report.delay:.2f} s" if report.delay else ""
            text = f"{where} is restarted{wait} (restart {report.restarts})"
        case "killed":
            text = f"{where} (pid {pid}) did not stop in time and was killed"
        case "gave_up":
            text = f"{where}: its supervisor gives up: {exit}"
    if exit is not None and exit.traceback and report.kind in ("start_failed", "child_ended"):
        text += "\n" + exit.traceback.rstrip()
    return text
