"""How the demonstration talks."""

from __future__ import annotations

from typing import TextIO

from stores._demo._kills import Kill
from stores._demo._proof import Check
from stores._demo._text import plural
from supervisor._cli.style import Style, printable

__all__ = ["Narrator"]

_PROBLEMS_SHOWN = 10


class Narrator:
    """Writes what happens, as it happens.

    Args:
        stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.style = Style(stream)
        self._steps = 0

    def step(self, title: str, text: str) -> None:
        """A new part begins."""
        self._steps += 1
        number = self.style.paint(f"{self._steps}. {title}", "bold", "cyan")
        self._write(f"{number}  {text}" if self._steps == 1 else f"\n{number}  {text}")

    def line(self, text: str) -> None:
        """One line of the part that goes on."""
        self._write(f"   {text}")

    def lines(self, lines: list[str]) -> None:
        """Several lines."""
        for line in lines:
            self.line(line)

    def note(self, text: str) -> None:
        """What is good to know."""
        self._write(self.style.paint(text, "dim"))

    def kill(self, kill: Kill, clients: int, calls: int) -> None:
        """One kill, and what came of it; how many clients were at work, and calls answered."""
        arrow = self.style.sign("↻", "->")
        who = f"{self.style.paint('kill -9', 'red')} {kill.label:<9} {kill.before or '-':>7}"
        if kill.problem is not None:
            self.line(f"{who} {self.style.paint(printable(kill.problem), 'red')}")
            return
        grown = self.style.paint(f"{arrow} {kill.after:<7}", "green")
        took = self.style.paint(f"{kill.seconds * 1000:6.1f} ms", "bold")
        load = f"{plural(clients, 'client')} at work, {calls:,} calls answered"
        self.line(f"{who} {grown} {took}   {self.style.paint(load, 'dim')}")

    def check(self, check: Check) -> None:
        """A promise, and whether it held."""
        if check.problems:
            sign = self.style.paint(self.style.sign("✗", "FAILED"), "red")
        else:
            sign = self.style.paint(self.style.sign("✓", "ok"), "green")
        self.line(f"{sign} {check.title}")

    def verdict(self, good: bool, text: str) -> None:
        """How it ended."""
        self._write("\n" + self.style.paint(text, "bold", "green" if good else "red"))

    def problems(self, check: Check) -> None:
        """Where a promise did not hold."""
        self.line(check.title)
        for problem in check.problems[:_PROBLEMS_SHOWN]:
            self.line(f"  - {printable(problem)}")
        if (more := len(check.problems) - _PROBLEMS_SHOWN) > 0:
            self.line(f"  - and {more:,} more")

    def _write(self, text: str) -> None:
        print(text, file=self._stream, flush=True)
