"""``python -m supervisor``: the same as the command ``regrow``."""

from __future__ import annotations

import sys

from supervisor._cli import main

if __name__ == "__main__":
    sys.exit(main())
