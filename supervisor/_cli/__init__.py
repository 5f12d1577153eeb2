"""The command ``regrow``.

General layout: ``arguments`` says what can be written, ``main`` hands it on; ``run``, ``tree``,
``bench``, ``demo`` and ``db`` are the subcommands, each a function from parsed arguments to an exit
status of ``status``; the last two are in ``stores``.
"""

from __future__ import annotations

from supervisor._cli.main import main

__all__ = ["main"]
