"""Why a process ended."""

from __future__ import annotations

import signal as signals
from dataclasses import dataclass
from typing import Literal, Self

__all__ = ["Exit", "Reason"]

Reason = Literal["normal", "shutdown", "error", "signal", "watchdog", "max_rss"]

# A call during which one of these arrived may well be what caused it (a bug in native code, an
# assertion): it is not sent again.
_FAULTS = frozenset(
    {signals.SIGSEGV, signals.SIGBUS, signals.SIGILL, signals.SIGFPE, signals.SIGABRT}
)


@dataclass(frozen=True, slots=True)
class Exit:
    """Why a process ended.

    Attributes:
        reason: ``normal`` (its work is done), ``shutdown`` (it was asked to stop), ``error`` (an
            exception, or an exit status other than 0), ``signal``, ``watchdog`` (its loop did not
            turn in time) or ``max_rss`` (it held more memory than its spec allows).
        code: the exit status, where the process exited.
        signal: the signal that ended it, where one did.
        error: the exception's repr, or a sentence, where there was an error.
        traceback: the traceback as text, where there is one.

    """

    reason: Reason
    code: int | None = None
    signal: signals.Signals | None = None
    error: str | None = None
    traceback: str | None = None

    @property
    def is_orderly(self) -> bool:
        """Whether a transient child that ended so stays down: ``normal`` or ``shutdown``."""
        return self.reason in ("normal", "shutdown")

    @property
    def is_fault_of_call(self) -> bool:
        """Whether the call that was being carried out may have caused this end."""
        return self.reason == "error" or (self.reason == "signal" and self.signal in _FAULTS)

    def __str__(self) -> str:
        parts: list[str] = [self.reason]
        if self.signal is not None:
            parts.append(self.signal.name)
        if self.error:
            parts.append(self.error)
        elif self.code:
            parts.append(f"exit status {self.code}")
        return ": ".join(parts)

    def __to_wire__(self) -> tuple[object, ...]:
        number = None if self.signal is None else int(self.signal)
        return (self.reason, self.code, number, self.error, self.traceback)

    @classmethod
    def __from_wire__(cls, values: list[object]) -> Self:
        reason, code, number, error, traceback = values
        signal = None if number is None else signals.Signals(number)  # type: ignore[arg-type]
        return cls(reason, code, signal, error, traceback)  # type: ignore[arg-type]
