"""Nodes and addresses: where the sockets of a tree are.

A node is a running tree. Its sockets lie in a folder of their own, of mode 0700, locked by its root
process. A process is addressed by its *path*: the ids from the root's children down to it. The
socket's file name is a digest of the path, because ids are any strings and Unix socket addresses
are short (unix(7)); it stays the same across restarts, of the process and of its supervisors.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import socket
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgpack

from supervisor._errors import NodeRunning, SpecError, StartError

__all__ = ["REGISTRY", "ROOT", "Node", "NodeLock", "ProcessPath", "nodes_in", "resolve_run_dir"]

ProcessPath = tuple[str, ...]

ROOT: ProcessPath = ()

# The registry is the root's child, yet not among its children: no child's id is as long as this.
REGISTRY: ProcessPath = ("registry".ljust(256, "."),)

# sun_path of unix(7), less the closing NUL.
_LONGEST_ADDRESS = 107


def resolve_run_dir(run_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder that holds the nodes' folders.

    Args:
        run_dir: as given; None: ``$REGROW_RUN_DIR``, else ``$XDG_RUNTIME_DIR/regrow``, else one of
            this user under the temporary directory. The environment is read at each call.
    """
    if run_dir is not None:
        return Path(run_dir).absolute()
    if named := os.environ.get("REGROW_RUN_DIR"):
        return Path(named).absolute()
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime).absolute() / "regrow"
    return Path(tempfile.gettempdir()).absolute() / f"regrow-{os.getuid()}"


def check_node_name(node: object) -> str:
    """A node's name: a string of 1 to 255 characters.

    Raises:
        SpecError: it is none.
    """
    if not isinstance(node, str) or not 1 <= len(node) <= 255:
        raise SpecError(f"node must be a string of 1 to 255 characters, not {node!r}")
    return node


@dataclass(frozen=True, slots=True)
class Node:
    """A node, running or not.

    Attributes:
        name: its name.
        folder: where its sockets are.
    """

    name: str
    folder: str

    @classmethod
    def named(cls, name: str, run_dir: str | os.PathLike[str] | None = None) -> Node:
        """The node of that name in a run directory."""
        return cls(name, str(resolve_run_dir(run_dir) / _folder_name(check_node_name(name))))

    def socket_path(self, path: ProcessPath) -> str:
        """The file of the socket of a process; those of a supervisor's children begin alike."""
        return f"{self.folder}/{_digest(path[:-1], 12)}{_digest(path, 16)}"

    def remove_sockets_below(self, path: ProcessPath) -> None:
        """Remove what a supervisor's former run has left of its children's sockets."""
        for entry in os.scandir(self.folder):
            if entry.name.startswith(_digest(path, 12)):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry)

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            StartError: it cannot be made, or others may write to it.
        """
        folder = Path(self.folder)
        try:
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            _check_private(folder)
        except OSError as error:
            raise StartError((), f"the run directory cannot be used: {error}") from error


def _digest(path: ProcessPath, length: int) -> str:
    packed = msgpack.packb(path, unicode_errors="surrogatepass")
    return hashlib.sha256(packed).hexdigest()[:length]


def _folder_name(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,39}", name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f".{digest[:24]}"


def _check_private(folder: Path) -> None:
    """That only this user can reach the folder, or put another in its place."""
    found = folder.stat()
    if found.st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to user {found.st_uid}, not to {os.getuid()}")
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)
    mode = stat.S_IMODE(folder.parent.stat().st_mode)
    if mode & 0o022 and not mode & stat.S_ISVTX:
        raise PermissionError(f"{folder.parent} may be written by others (mode {mode:o})")


# --- the lock ----------------------------------------------------------------------------------


class NodeLock:
    """What a node's root holds while it runs; the kernel lets go of it with the process.

    A record lock (fcntl(2)) is not inherited by forked children, unlike one of flock(2).
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._file = Path(node.folder) / "node.json"
        self._descriptor = -1

    def acquire(self) -> None:
        """Take the node, and remove what a dead one left in its folder.

        Raises:
            NodeRunning: it runs already.
            StartError: its folder cannot be used.
        """
        self._node.prepare()
        try:
            self._lock()
        except BlockingIOError:
            raise NodeRunning(self._node.name, _holder(self._file)) from None
        except OSError as error:
            raise StartError((), f"the node's folder cannot be used: {error}") from error
        for entry in os.scandir(self._node.folder):
            if entry.name != self._file.name:
                os.unlink(entry)
        content = json.dumps({"node": self._node.name, "pid": os.getpid()})
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, content.encode(), 0)

    def _lock(self) -> None:
        while True:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Its last holder may have removed the file between our opening and locking it.
                if _is_same_file(descriptor, self._file):
                    self._descriptor = descriptor
                    return
            except PermissionError as error:
                # What fcntl(2) may answer instead of EAGAIN.
                os.close(descriptor)
                raise BlockingIOError(*error.args) from None
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def release(self) -> None:
        """Remove the node's folder, and let go."""
        if self._descriptor < 0:
            return
        for entry in os.scandir(self._node.folder):
            with contextlib.suppress(OSError):
                os.unlink(entry)
        with contextlib.suppress(OSError):
            os.rmdir(self._node.folder)
        os.close(self._descriptor)
        self._descriptor = -1


def _is_same_file(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    except FileNotFoundError:
        return False


def _holder(file: Path) -> int | None:
    try:
        return int(json.loads(file.read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return None


def nodes_in(run_dir: str | os.PathLike[str] | None = None) -> list[str]:
    """The names of the nodes whose folders are in a run directory, running or not."""
    names = []
    for file in sorted(resolve_run_dir(run_dir).glob("*/node.json")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            names.append(str(json.loads(file.read_text())["node"]))
    return names


# --- sockets -----------------------------------------------------------------------------------


@contextlib.contextmanager
def short_address(path: str) -> Iterator[str]:
    """An address for bind and connect, where the path itself may be too long for one."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield path
        return
    folder, _, file = path.rpartition("/")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{file}"
    finally:
        os.close(descriptor)


def listen(path: str) -> socket.socket:
    """A listening socket at this path, in the place of whatever was there.

    Raises:
        OSError: it cannot be made.
    """
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.setblocking(False)
        # Bound beside its place and moved there, so that nobody finds it before it listens.
        with short_address(f"{path}~") as address:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(address)
            server.bind(address)
            server.listen(socket.SOMAXCONN)
        os.rename(f"{path}~", path)
    except BaseException:
        server.close()
        raise
    return server
