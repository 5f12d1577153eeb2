"""What tasks print and log, in whole lines."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
from collections.abc import Callable
from typing import TextIO

from supervisor._log.records import pack_record

__all__ = ["capture_output", "end_lines", "line_buffered", "print_line"]

# The streams, and the character before a line that says which one it is of.
_MARKS = {"stdout": "o", "stderr": "e"}

# Characters in a message; a line that is longer comes in pieces.
_LONGEST = 8192


class _Lines(io.TextIOBase):
    """A text stream that hands out whole lines; what has no end yet waits for it.

    Args:
        name: ``stdout`` or ``stderr``.
        tell: is called with each line.
        behind: the stream in whose place it is.
    """

    def __init__(self, name: str, tell: Callable[[bytes], None], behind: TextIO) -> None:
        self._mark = _MARKS[name]
        self._tell = tell
        self._behind = behind
        self._rest = ""
        self._lock = threading.RLock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the stream in whose place it is."""
        return self._behind.encoding

    def fileno(self) -> int:
        """The descriptor of the stream in whose place it is: for programs that tasks start."""
        return self._behind.fileno()

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, text: str) -> int:
        """Hand out the lines that end in this text."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._say(f"{line}\n")
            if len(self._rest) > _LONGEST:
                rest, self._rest = self._rest, ""
                self._say(rest)
        return len(text)

    def end_line(self) -> None:
        """Hand out what has no end as a line of its own."""
        if self._rest:
            self.write("\n")

    def _say(self, line: str) -> None:
        for at in range(0, len(line), _LONGEST):
            piece = f"{self._mark}{line[at : at + _LONGEST]}"
            self._tell(piece.encode("utf-8", "surrogatepass"))


class _Records(logging.Handler):
    """Hands out log records."""

    def __init__(self, tell: Callable[[bytes], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Hand it out."""
        try:
            data = pack_record(record)
        except Exception:  # noqa: BLE001  whatever the record's arguments raise
            self.handleError(record)
            return
        self._tell(data)


def capture_output(printed: Callable[[bytes], None], logged: Callable[[bytes], None]) -> None:
    """Give lines and log records of this process to these functions."""
    for name in _MARKS:
        stream = getattr(sys, name)
        if stream is not None:
            setattr(sys, name, _Lines(name, printed, stream))
    root = logging.getLogger()
    root.handlers = [_Records(logged)]


def end_lines() -> None:
    """A task has ended: what it has printed without the end of a line is one all the same."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, _Lines):
            stream.end_line()


def line_buffered() -> None:
    """Let this process write each line at once and whole, also where nobody looks on."""
    for name in _MARKS:
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)


def print_line(data: bytes) -> None:
    """Print what a worker has printed, on the stream of the same name."""
    text = data.decode("utf-8", "surrogatepass")
    stream = sys.stderr if text[:1] == _MARKS["stderr"] else sys.stdout
    # None or closed where nobody is to see it.
    with contextlib.suppress(AttributeError, ValueError, OSError):
        stream.write(text[1:])
        stream.flush()
