"""A network between a store and PostgreSQL that can be cut, at any moment of a transaction."""

import selectors
import socket
import threading
from typing import Literal, Self

from sqlalchemy import make_url

_SIZE = 1 << 16


class Proxy:
    """Hands bytes on between those who connect to it and a database, until it is told otherwise.

    Args:
        url: of the database.

    Attributes:
        url: the same database, by way of the proxy.
        connected: how many connections were asked for so far.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self._server = (parsed.host, parsed.port or 5432)
        self._listening = socket.create_server(("127.0.0.1", 0))
        port = self._listening.getsockname()[1]
        self.url = parsed.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        self.connected = 0
        self._state: Literal["up", "down", "silent"] = "up"
        self._cut_at: Literal["before", "after"] | None = None
        self._down_then = False
        self._peers: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._stopping, self._stop = socket.socketpair()
        self._selector.register(self._stopping, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.close()
        self._thread.join()
        self.cut()
        for each in (self._listening, self._stopping, self._selector):
            each.close()

    def cut(self) -> None:
        """Cut every connection; new ones can be made."""
        with self._lock:
            for client in list(self._clients):
                self._close(client)

    def go_down(self, *, silently: bool = False) -> None:
        """Cut every connection, and refuse new ones, or leave them without an answer."""
        self._state = "silent" if silently else "down"
        self.cut()

    def come_back(self) -> None:
        """Let connections be made again."""
        self._state = "up"

    def cut_at_commit(self, when: Literal["before", "after"], *, then_down: bool = False) -> None:
        """Cut the next connection that commits: before the server hears of it, or after it did."""
        self._cut_at, self._down_then = when, then_down

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                one = key.fileobj
                if one is self._stopping:
                    return
                with self._lock:
                    if one is self._listening:
                        self._accept()
                    elif one in self._peers:
                        self._hand_on(one)  # type: ignore[arg-type]

    def _accept(self) -> None:
        client, _ = self._listening.accept()
        self.connected += 1
        if self._state == "down":
            client.close()
            return
        self._clients.add(client)
        if self._state == "silent":
            self._peers[client] = client
            return
        server = socket.create_connection(self._server)
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _hand_on(self, one: socket.socket) -> None:
        other = self._peers[one]
        try:
            data = one.recv(_SIZE)
            from_client = one in self._clients
            if data and self._is_to_be_cut(data, from_client):
                self._cut_at = None
                if self._down_then:
                    self._state = "down"
                data = b""
            if data:
                other.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._close(one if one in self._clients else other)

    def _is_to_be_cut(self, data: bytes, from_client: bool) -> bool:
        if self._cut_at == "before":
            return from_client and b"COMMIT" in data
        return self._cut_at == "after" and not from_client and b"COMMIT" in data

    def _close(self, client: socket.socket) -> None:
        self._clients.discard(client)
        for each in {client, self._peers.pop(client, client)}:
            self._peers.pop(each, None)
            if each in self._selector.get_map():
                self._selector.unregister(each)
            each.close()
