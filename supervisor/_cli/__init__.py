"""The command ``regrow``.

General layout: ``arguments`` says what can be written, ``main`` hands it on; ``run``, ``tree`` and
``demo`` are the subcommands, each a function from parsed arguments to an exit status of ``status``.
"""

from __future__ import annotations

from supervisor._cli.main import main

__all__ = ["main"]
