"""xoscar: an actor in a sub-pool, which is a process of its own; the caller is in the main pool."""

from __future__ import annotations

import asyncio

import xoscar

from benchmarks._peers._driver import SESSION, serve_async
from ports import Session


class Store(xoscar.Actor):
    """One session."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def get_session(self, session_id: str) -> Session:
        """It."""
        if session_id != self.session.id:
            raise KeyError(session_id)
        return self.session


async def main() -> None:
    """Measure it."""
    pool = await xoscar.create_actor_pool("127.0.0.1", n_process=1)
    async with pool:
        store = await xoscar.create_actor(
            Store,
            SESSION,
            address=pool.external_address,
            uid="store",
            allocate_strategy=xoscar.allocate_strategy.ProcessIndex(1),
        )
        await serve_async(lambda: store.get_session(SESSION.id))


if __name__ == "__main__":
    asyncio.run(main())
