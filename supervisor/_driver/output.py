"""What a command writes: lines for the log, read from pipes on the supervisor's loop.

A supervisor that has other things to do lets the pipes fill up, and then the program waits: nothing
is dropped, and nothing is kept here but the beginning of a line.
"""

from __future__ import annotations

import codecs
import fcntl
import logging
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from supervisor._loop import Reactor
from supervisor._node import ProcessPath

__all__ = ["CommandOutput", "LineSplitter"]

logger = logging.getLogger("supervisor.output")

Stream = Literal["stdout", "stderr"]

_LEVELS: dict[Stream, int] = {"stdout": logging.INFO, "stderr": logging.WARNING}

# Read in one turn of the loop: even if these bytes are that many lines, others wait for moments.
_READ_SIZE = 4096

# Where there is no asking for the size of a pipe; see pipe(7).
_PIPE_SIZE = 65536

# Characters in a line; one that is longer becomes several.
_LONGEST_LINE = 8192

# So many of the last lines of stderr are kept for a report.
_KEPT_LINES = 20


class LineSplitter:
    """Makes lines of bytes, whatever the pieces that they come in. Pure."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that end in these bytes, without their ends."""
        *lines, rest = (self._rest + self._decoder.decode(data)).split("\n")
        for line in lines:
            yield from _parts(line.removesuffix("\r"))
        *full, self._rest = _parts(rest)
        yield from full

    def finish(self) -> Iterator[str]:
        """The line that has no end, if there is one."""
        rest, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        if rest:
            yield from _parts(rest)


def _parts(line: str) -> list[str]:
    """The line in pieces that are not too long; at least one."""
    starts = range(0, max(len(line), 1), _LONGEST_LINE)
    return [line[start : start + _LONGEST_LINE] for start in starts]


@dataclass(slots=True)
class _Pipe:
    """One of the two streams; the descriptors are None once they are closed."""

    stream: Stream
    reader: int
    writer: int
    splitter: LineSplitter = field(default_factory=LineSplitter)
    closed: bool = False


class CommandOutput:
    """The standard output and the standard error of a command, as records of ``supervisor.output``.

    The records are of level INFO and WARNING, and have ``path``, ``child``, ``pid``, ``stream`` and
    ``line``.

    Args:
        loop: the supervisor's.
        path: of the command.

    Raises:
        OSError: there are no descriptors left.
    """

    def __init__(self, loop: Reactor, path: ProcessPath) -> None:
        self._loop = loop
        self._path = path
        self._pid: int | None = None
        self._last: deque[str] = deque(maxlen=_KEPT_LINES)
        self._pipes: list[_Pipe] = []
        try:
            for stream in _LEVELS:
                self._pipes.append(_Pipe(stream, *os.pipe()))
        except OSError:
            self.abandon()
            raise

    @property
    def descriptors(self) -> tuple[int, int]:
        """What the program is to write to."""
        stdout, stderr = self._pipes
        return stdout.writer, stderr.writer

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines of its standard error."""
        return tuple(self._last)

    def started(self, pid: int) -> None:
        """The process has its ends of the pipes: listen to ours."""
        self._pid = pid
        for pipe in self._pipes:
            os.close(pipe.writer)
            os.set_blocking(pipe.reader, False)
            self._loop.add_reader(pipe.reader, self._read, pipe)

    def abandon(self) -> None:
        """No process was started."""
        for pipe in self._pipes:
            os.close(pipe.writer)
            os.close(pipe.reader)

    def finish(self) -> None:
        """The program is gone: read what it has left, also of a last line, and close the pipes.

        Somebody who left its session may still hold the other ends: nobody waits for that.
        """
        for pipe in self._pipes:
            left = 0 if pipe.closed else _size(pipe.reader)
            while left > 0 and not pipe.closed and (count := self._read(pipe)) > 0:
                left -= count
            self._close(pipe)

    def _read(self, pipe: _Pipe) -> int:
        """Read a piece; return how many bytes it had."""
        try:
            data = os.read(pipe.reader, _READ_SIZE)
        except BlockingIOError:
            return 0
        if not data:
            self._close(pipe)
        self._log(pipe, pipe.splitter.feed(data))
        return len(data)

    def _close(self, pipe: _Pipe) -> None:
        if pipe.closed:
            return
        pipe.closed = True
        self._loop.remove_reader(pipe.reader)
        os.close(pipe.reader)
        self._log(pipe, pipe.splitter.finish())

    def _log(self, pipe: _Pipe, lines: Iterator[str]) -> None:
        level = _LEVELS[pipe.stream]
        for line in lines:
            if pipe.stream == "stderr":
                self._last.append(line)
            if logger.isEnabledFor(level):
                extra = {
                    "path": self._path,
                    "child": self._path[-1],
                    "pid": self._pid,
                    "stream": pipe.stream,
                    "line": line,
                }
                logger.log(level, "%s: %s", "/".join(self._path), line, extra=extra)


def _size(descriptor: int) -> int:
    """How much a pipe holds at most, in bytes."""
    if not hasattr(fcntl, "F_GETPIPE_SZ"):
        return _PIPE_SIZE
    return int(fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ))
