"""Pyro5: a daemon on a Unix socket, a proxy, and msgpack, its fastest serializer for plain data."""

from __future__ import annotations

import sys

import Pyro5.api
from multiprocess import get_context

from benchmarks._peers._driver import SESSION, serve
from ports import Session

_context = get_context("fork")


@Pyro5.api.expose
class Store:
    """One session."""

    def get_session(self, session_id: str) -> Session:
        """It."""
        if session_id != SESSION.id:
            raise KeyError(session_id)
        return SESSION


def _settings() -> None:
    """What its documentation asks for where objects of a class are sent."""
    Pyro5.api.config.SERIALIZER = "msgpack"
    Pyro5.api.register_class_to_dict(Session, lambda it: {"__class__": "Session", **it.to_map()})
    Pyro5.api.register_dict_to_class("Session", lambda _, fields: _session(fields))


def _session(fields: dict[str, object]) -> Session:
    return Session.from_map({key: fields[key] for key in fields if key != "__class__"})


def main(folder: str) -> None:
    """Measure it."""
    _settings()
    path = f"{folder}/pyro"
    ready = _context.Event()

    def run() -> None:
        with Pyro5.api.Daemon(unixsocket=path) as daemon:
            daemon.register(Store, "store")
            ready.set()
            daemon.requestLoop()

    process = _context.Process(target=run, daemon=True)
    process.start()
    try:
        ready.wait(30)
        with Pyro5.api.Proxy(f"PYRO:store@./u:{path}") as store:
            serve(lambda: store.get_session(SESSION.id))
    finally:
        process.kill()
        process.join()


if __name__ == "__main__":
    main(sys.argv[1])
