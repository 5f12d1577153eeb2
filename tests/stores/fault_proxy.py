"""An HTTP proxy that stands between a client and a server, and does to their exchanges what it is
told to: nothing, at first."""

import contextlib
import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from tests.support import PATIENCE


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Exchange:
    """A request that has come in whole, and waits for what is to be done.

    Attributes:
        method: such as GET.
        path: with its query.
        body: may be changed before it is forwarded.
    """

    def __init__(self, handler: BaseHTTPRequestHandler, server: int) -> None:
        self._handler = handler
        self._server = server
        self.method = handler.command
        self.path = handler.path
        self.body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))

    def forward(self) -> Answer:
        """Let the server carry the request out."""
        connection = http.client.HTTPConnection("127.0.0.1", self._server, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.putrequest(self.method, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self._handler.headers.items():
                if name.lower() not in {"expect", "connection"}:
                    connection.putheader(name, value)
            connection.endheaders(self.body)
            response = connection.getresponse()
            hops = {"connection", "transfer-encoding"}
            headers = [each for each in response.getheaders() if each[0].lower() not in hops]
            return Answer(response.status, headers, response.read())

    def answer(self, answer: Answer, *, sent: int | None = None) -> None:
        """Answer the client; `sent`: the connection ends after so many bytes of the body."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._handler.send_response_only(answer.status)
            for name, value in answer.headers:
                self._handler.send_header(name, value)
            if not any(name.lower() == "content-length" for name, _ in answer.headers):
                self._handler.send_header("Content-Length", str(len(answer.body)))
            self._handler.send_header("Connection", "close")
            self._handler.end_headers()
            self._handler.wfile.write(answer.body[:sent])

    def relay(self) -> None:
        """Do what a proxy does."""
        self.answer(self.forward())

    def refuse(self, status: int, code: str, message: str = "") -> None:
        """Answer with an error of S3, without asking the server."""
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self.answer(Answer(status, [("Content-Type", "application/xml")], body))


class FaultProxy:
    """The proxy; a context manager.

    Args:
        server: the port of the server.

    Attributes:
        port: where it listens.
        act: is called with each exchange, on a thread of its own; returning, it closes the
            connection.
        seen: the methods of the requests so far, each with the keys of its query.
    """

    def __init__(self, server: int) -> None:
        self.act: Callable[[Exchange], object] = Exchange.relay
        self.seen: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # which has clients wait for "100 Continue"

            def handle_one_request(self) -> None:
                with contextlib.suppress(ConnectionResetError):
                    super().handle_one_request()

            def _handle(self) -> None:
                self.close_connection = True
                exchange = Exchange(self, server)
                proxy.seen.append(self.command)
                proxy.act(exchange)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Tests say what they find wrong."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False  # so that closing waits for them
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def flipped(data: bytes, at: int) -> bytes:
    """The bytes with one of them changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
