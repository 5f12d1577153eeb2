"""What tests of real processes need: to wait without sleeping blindly, and to know who lives."""

from __future__ import annotations

from supervisor._process.deathsig import adopt_orphans
from supervisor.testing import eventually
from supervisor.testing._processes import Proc, all_gone, descendants, open_descriptors, proc
from supervisor.testing._waiting import PATIENCE

__all__ = [
    "PATIENCE",
    "Proc",
    "adopt_orphans",
    "all_gone",
    "descendants",
    "eventually",
    "open_descriptors",
    "proc",
]
