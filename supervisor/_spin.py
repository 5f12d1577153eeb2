"""Looking again for a moment before going to sleep.

Waking a process that sleeps takes the kernel longer than a short call takes altogether, above all
where an idle processor has to leave a sleep state (in a virtual machine, by way of its host). So
one who has just been answered, or has just answered, looks for what comes next for some
microseconds more, giving way to whoever else wants the processor, before it sleeps.

Whether that pays is learnt: each time it was in vain, it is left out for twice as many times as
before. So whoever waits long, or is one of many on a busy machine, soon just sleeps; and nobody
who has nothing to do looks at all.
"""

from __future__ import annotations

import os
import time

__all__ = ["Spin", "give_way"]

# Longer than a short call, and shorter than a wake-up would be felt.
SPIN_SECONDS = 150e-6

_MOST_LEFT_OUT = 256

now = time.perf_counter
give_way = os.sched_yield


class Spin:
    """Says when to look again, and learns from how it went."""

    __slots__ = ("_left_out", "_to_leave_out")

    def __init__(self) -> None:
        self._left_out = 0
        self._to_leave_out = 0

    def is_worth_it(self) -> bool:
        """Whether to look again this time."""
        if self._left_out < self._to_leave_out:
            self._left_out += 1
            return False
        return True

    def paid(self) -> None:
        """Something came while we looked."""
        self._to_leave_out = 0

    def was_in_vain(self) -> None:
        """Nothing came."""
        self._left_out = 0
        self._to_leave_out = min(2 * self._to_leave_out + 1, _MOST_LEFT_OUT)
