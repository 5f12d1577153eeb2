"""Text for a terminal: colours where they are wanted, columns that line up, nothing that acts."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from typing import TextIO

__all__ = ["Style", "aligned", "printable", "width"]

_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}


class Style:
    """What a stream can show.

    Colours are for terminals only, and for those who do not say otherwise (https://no-color.org).

    Args:
        stream: where the text goes.
    """

    def __init__(self, stream: TextIO) -> None:
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self.is_terminal = stream.isatty()
        self.has_colour = self.is_terminal and not plain
        self.has_unicode = _can_encode(stream, "├─└│✓✗·↻")

    def paint(self, text: str, *names: str) -> str:
        """The text in these colours, if the stream has any."""
        if not self.has_colour or not text:
            return text
        return f"\x1b[{';'.join(_CODES[name] for name in names)}m{text}\x1b[0m"

    def sign(self, wanted: str, plain: str) -> str:
        """A sign, or the plain one where the stream cannot carry it."""
        return wanted if self.has_unicode else plain


def _can_encode(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def printable(text: str) -> str:
    """The text with everything that would move the cursor, or do worse, written as an escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def width(text: str) -> int:
    """How many columns of a terminal a printable text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[list[str]]:
    """The cells, padded so that columns line up.

    Args:
        rows: of as many cells each.
        right: the columns that are numbers, and so line up on the right.
    """
    widest = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [
        [
            _pad(cell, widest[index], index in right, last=index == len(row) - 1)
            for index, cell in enumerate(row)
        ]
        for row in rows
    ]


def _pad(cell: str, wanted: int, right: bool, *, last: bool) -> str:
    space = " " * (wanted - width(cell))
    if right:
        return space + cell
    return cell if last else cell + space
