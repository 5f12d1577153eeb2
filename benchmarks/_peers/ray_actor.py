"""Ray: an actor, which is a process of its own, on one node without a dashboard."""

from __future__ import annotations

import os

import ray

from benchmarks._peers._driver import SESSION, serve
from ports import Session


class Store:
    """One session."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def get_session(self, session_id: str) -> Session:
        """It."""
        if session_id != self.session.id:
            raise KeyError(session_id)
        return self.session


def main() -> None:
    """Measure it."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        store = ray.remote(Store).remote(SESSION)
        serve(lambda: ray.get(store.get_session.remote(SESSION.id)))
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
