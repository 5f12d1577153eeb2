"""Erlang: a gen_server on one node, called from another on this machine, with what ``erl`` sets."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
from pathlib import Path

_SOURCE = Path(__file__).with_suffix(".erl")


def main(folder: str) -> None:
    """Compile the module and start a node for the server; the client's node is what is measured."""
    subprocess.run(["erlc", "-o", folder, str(_SOURCE)], check=True)
    # Both know this port, so no epmd is needed, which would stay when they have ended.
    known = ["-start_epmd", "false", "-erl_epmd_port", str(_free_port())]
    cookie = ["-setcookie", secrets.token_hex(16), "-pa", folder]
    name = f"regrow_bench_{secrets.token_hex(4)}"

    def node(role: str, *arguments: str) -> list[str]:
        named = ["-sname", f"{name}_{role}@localhost"]
        return ["erl", "-noshell", *named, *known, *cookie, *arguments]

    server = subprocess.Popen(
        node("server", "-noinput", "-s", "erlang_nodes", "server"),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if server.stdout is None or server.stdout.readline() != "ready\n":
            raise RuntimeError("the node of the server did not start")
        client = node("client", "-dist_listen", "false", "-s", "erlang_nodes", "client")
        # Its input and output are ours.
        subprocess.run([*client, f"{name}_server@localhost"], check=True)
    finally:
        server.kill()
        server.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main(sys.argv[1])
