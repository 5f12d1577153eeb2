"""One hop of ours, measured as its peers are."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks._peers._driver import SESSION, serve
from benchmarks._trees import client_of, in_memory, running
from ports import SessionStore


def main(folder: str) -> None:
    """Measure it."""
    with running([in_memory()], Path(folder)), client_of("sessions", SessionStore) as store:
        store.save_session(SESSION)
        serve(lambda: store.get_session(SESSION.id))


if __name__ == "__main__":
    main(sys.argv[1])
