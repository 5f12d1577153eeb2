"""What is particular to artifacts in files: the disk, crashes, descriptors."""

import errno
import gc
import mmap
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ports import ArtifactStore, NotFound, StorageError, ValidationError
from stores import CompositeSessionStore, FileArtifactStore, InMemorySessionStore
from stores._file_freeing import Freeing
from supervisor import Child, Supervisor, connect
from tests.stores.processes import child, line_of

MEBIBYTE = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileArtifactStore]:
    with FileArtifactStore(tmp_path / "root") as store:
        yield store


def half_written(root: Path) -> list[Path]:
    return [path for path in (root / "tmp").rglob("*") if path.is_file()]


class TestRoot:
    def test_it_is_made_with_its_parents(self, tmp_path: Path):
        FileArtifactStore(tmp_path / "a" / "b" / "c").close()
        assert (tmp_path / "a" / "b" / "c").is_dir()

    def test_a_relative_one_stays_where_it_was(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "elsewhere").mkdir()
        with FileArtifactStore("root") as store:
            monkeypatch.chdir(tmp_path / "elsewhere")
            store.put("key", b"data")
        with FileArtifactStore(tmp_path / "root") as store:
            assert store.get("key") == b"data"

    @pytest.mark.parametrize("below", ["", "below"])
    def test_a_file_is_none(self, tmp_path: Path, below: str):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StorageError) as raised:
            FileArtifactStore(tmp_path / "file" / below)
        assert str(tmp_path / "file") in raised.value.message
        assert raised.value.code == "storage_error"

    def test_one_that_may_not_be_written_to(self, tmp_path: Path):
        if os.geteuid() == 0:
            pytest.skip("root may write everywhere")
        tmp_path.chmod(0o500)
        with pytest.raises(StorageError, match="Permission denied"):
            FileArtifactStore(tmp_path / "root")

    def test_a_path_with_a_nul_is_none(self):
        with pytest.raises(ValidationError):
            FileArtifactStore("a\0b")

    def test_several_stores_may_share_one(self, tmp_path: Path):
        with FileArtifactStore(tmp_path) as one, FileArtifactStore(tmp_path) as other:
            one.put("key", b"one")
            assert other.get("key") == b"one"
            other.put("key", b"other")
            assert one.get("key") == b"other"


class TestFiles:
    def test_nothing_but_the_artifact_is_left(self, store: FileArtifactStore, tmp_path: Path):
        for data in (b"old", b"new"):
            store.put("../../key", data)
        (path,) = (path for path in (tmp_path / "root").rglob("*") if path.is_file())
        assert path.read_bytes() == b"new"

    def test_a_list_of_more_buffers_than_one_write_takes(self, store: FileArtifactStore):
        parts = [bytes([number % 256]) * (number % 7) for number in range(5000)]
        store.put("key", parts)
        assert store.get("key") == b"".join(parts)

    def test_large_data(self, store: FileArtifactStore):
        data = os.urandom(1 << 20) * 20 + b"the end"
        store.put("key", [data[:5], memoryview(data)[5:]])
        assert store.get("key") == data
        assert store.view("key") == data

    def test_a_view_is_a_mapping_that_keeps_its_bytes(self, store: FileArtifactStore):
        store.put("key", b"old" * 10_000)
        view = store.view("key")
        assert isinstance(view.obj, mmap.mmap)
        assert view.readonly
        store.put("key", b"new" * 10_000)
        store.delete("key")
        store.close()
        gc.collect()
        assert view == b"old" * 10_000

    def test_a_fan_out_folder_removed_by_hand_is_made_again(
        self, store: FileArtifactStore, tmp_path: Path
    ):
        store.put("key", b"old")
        store.delete("key")
        (folder,) = (tmp_path / "root" / "objects").iterdir()
        folder.rmdir()
        store.put("key", b"new")
        assert store.get("key") == b"new"

    def test_no_descriptor_is_left_open(self, store: FileArtifactStore):
        before = os.listdir("/proc/self/fd")
        for _ in range(20):
            store.put("key", b"data")
            store.get("key")
            with pytest.raises(NotFound):
                store.get("missing")
            store.view("key").release()
            store.delete("key")
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == len(before)

    def test_closing_gives_up_the_folder_for_half_written_files(self, tmp_path: Path):
        store = FileArtifactStore(tmp_path)
        store.close()
        store.close()
        assert list((tmp_path / "tmp").iterdir()) == []
        for operation in (store.get, store.view, store.delete):
            with pytest.raises(StorageError, match="closed"):
                operation("key")
        with pytest.raises(StorageError, match="closed"):
            store.put("key", b"")

    def test_readers_see_the_old_or_the_new_bytes_whole(self, store: FileArtifactStore):
        contents = [bytes([number]) * 100_000 for number in range(4)]
        store.put("key", contents[0])
        done = threading.Event()
        torn: list[bytes] = []

        def read() -> None:
            while not done.is_set():
                if (data := store.get("key")) not in contents:
                    torn.append(data[:10])

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(100):
            store.put("key", contents[number % 4])
        done.set()
        reader.join()
        assert torn == []


class TestDescriptors:
    def test_from_memory(self, store: FileArtifactStore):
        data = os.urandom(9 << 20)
        fd = os.memfd_create("data")
        try:
            os.write(fd, data)
            store._put_from_descriptor("key", fd, len(data))
            assert os.lseek(fd, 0, os.SEEK_CUR) == len(data)
        finally:
            os.close(fd)
        assert store.get("key") == data

    def test_from_another_file(self, store: FileArtifactStore, tmp_path: Path):
        (tmp_path / "file").write_bytes(b"0123456789")
        with (tmp_path / "file").open("rb") as file:
            store._put_from_descriptor("key", file.fileno(), 4)
        assert store.get("key") == b"0123"

    def test_from_a_pipe(self, store: FileArtifactStore):
        reading, writing = os.pipe()
        try:
            os.write(writing, b"0123456789")
            store._put_from_descriptor("key", reading, 4)
            assert os.read(reading, 10) == b"456789"
        finally:
            os.close(reading)
            os.close(writing)
        assert store.get("key") == b"0123"

    def test_of_nothing(self, store: FileArtifactStore):
        fd = os.memfd_create("data")
        store._put_from_descriptor("key", fd, 0)
        os.close(fd)
        assert store.get("key") == b""

    def test_one_that_holds_too_little(self, store: FileArtifactStore, tmp_path: Path):
        fd = os.memfd_create("data")
        os.write(fd, b"0123")
        with pytest.raises(StorageError, match="ended after 4 of 5 bytes"):
            store._put_from_descriptor("key", fd, 5)
        os.close(fd)
        with pytest.raises(NotFound):
            store.get("key")
        assert half_written(tmp_path / "root") == []

    def test_an_artifact_as_one(self, store: FileArtifactStore):
        store.put("key", b"0123")
        fd = store._open("key")
        try:
            assert os.read(fd, 10) == b"0123"
        finally:
            os.close(fd)
        with pytest.raises(NotFound):
            store._open("missing")


FULL_DISK = """
import resource, sys
from ports import StorageError
from stores import FileArtifactStore
store = FileArtifactStore(sys.argv[1])
store.put("key", b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, resource.RLIM_INFINITY))
try:
    store.put("key", b"new" * (1 << 16))
except StorageError as error:
    print(error.details["key"], error.details["errno"], error.message)
    input()  # the others look meanwhile
    print(store.get("key"))
"""


class TestErrors:
    def test_a_write_that_the_disk_refuses(self, tmp_path: Path):
        with child(FULL_DISK, tmp_path) as process:
            line = line_of(process)
            assert line.startswith(f"key {errno.EFBIG} cannot store artifact 'key': ")
            assert str(tmp_path) in line
            assert half_written(tmp_path) == []
            rest, _ = process.communicate("\n")
        assert rest == "b'old'\n"

    def test_a_long_key_is_shortened(self, store: FileArtifactStore):
        with pytest.raises(NotFound) as raised:
            store.get("x" * 10_000)
        assert raised.value.details["key"] == "x" * 100 + "... (10000 characters)"
        assert len(raised.value.message) < 300

    def test_an_artifact_that_cannot_be_read(self, store: FileArtifactStore, tmp_path: Path):
        store.put("key", b"data")
        (path,) = (path for path in (tmp_path / "root" / "objects").rglob("*") if path.is_file())
        path.unlink()
        path.mkdir()
        with pytest.raises(StorageError, match="cannot read artifact 'key': Is a directory"):
            store.get("key")
        with pytest.raises(StorageError, match="cannot store artifact 'key'"):
            store.put("key", b"data")
        assert half_written(tmp_path / "root") == []


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A disk of its own at `folder`; skip the test if that is not ours to make."""
    folder.mkdir()
    options = f"size={size},mode=700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "regrow-test", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a file system here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class TestDisks:
    def test_a_full_one(self, tmp_path: Path):
        with (
            small_disk(tmp_path / "disk", "4m"),
            FileArtifactStore(tmp_path / "disk") as store,
        ):
            store.put("key", b"old" * MEBIBYTE)
            for data in (b"n" * 2 * MEBIBYTE, [b"n" * MEBIBYTE] * 2):
                with pytest.raises(StorageError, match="No space left on device") as raised:
                    store.put("key", data)
                assert raised.value.details["errno"] == errno.ENOSPC
                assert half_written(tmp_path / "disk") == []
            assert store.get("key") == b"old" * MEBIBYTE
            store.put("other", b"new")
            assert store.get("other") == b"new"
            store.delete("key")
            store.put("key", b"new" * MEBIBYTE)
            assert store.get("key") == b"new" * MEBIBYTE

    def test_a_full_one_under_a_tree(self, tmp_path: Path):
        with (
            small_disk(tmp_path / "disk", "4m"),
            Supervisor(
                [
                    Child(InMemorySessionStore, name="sessions"),
                    Child(FileArtifactStore, {"root": tmp_path / "disk"}, name="artifacts"),
                    Child(CompositeSessionStore, args=("sessions", "artifacts"), name="store"),
                ]
            ).start(run_dir=tmp_path / "run") as tree,
            connect("store", ArtifactStore, run_dir=tmp_path / "run") as client,
        ):
            client.put("key", b"old" * MEBIBYTE)
            with pytest.raises(StorageError, match="No space left on device") as raised:
                client.put("key", b"n" * 2 * MEBIBYTE)
            assert raised.value.details["errno"] == errno.ENOSPC
            assert client.view("key") == b"old" * MEBIBYTE
            client.put("key", b"small")
            assert client.get("key") == b"small"
            assert [child.restarts for child in tree.which_children()] == [0, 0, 0]

    def test_one_that_turns_read_only(self, tmp_path: Path):
        disk = tmp_path / "disk"
        with small_disk(disk, "4m"), FileArtifactStore(disk) as store:
            store.put("key", b"data")
            remount = ["mount", "-o", "remount,ro", "regrow-test", str(disk)]
            subprocess.run(remount, check=True)
            for refused in (lambda: store.put("key", b"new"), lambda: store.delete("key")):
                with pytest.raises(StorageError, match="Read-only file system"):
                    refused()
            assert store.get("key") == b"data"
            with pytest.raises(StorageError, match="Read-only file system"):
                FileArtifactStore(disk)

    def test_space_that_is_not_free_yet_is_waited_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        close, wait = Freeing._close, Freeing.wait
        may_close = threading.Event()

        def close_when_asked(self: Freeing, fd: int) -> None:
            assert may_close.wait(60)
            close(self, fd)

        def ask_and_wait(self: Freeing) -> bool:
            may_close.set()
            return wait(self)

        monkeypatch.setattr(Freeing, "_close", close_when_asked)
        monkeypatch.setattr(Freeing, "wait", ask_and_wait)
        with (
            small_disk(tmp_path / "disk", "6m"),
            FileArtifactStore(tmp_path / "disk") as store,
        ):
            for data in (b"one" * MEBIBYTE, b"two" * MEBIBYTE):
                store.put("key", data)
            assert not may_close.is_set()
            store.put("key", b"new" * MEBIBYTE)
            assert may_close.is_set()
            assert store.get("key") == b"new" * MEBIBYTE

    def test_large_files_are_let_go_of_in_the_end(self, store: FileArtifactStore):
        before = os.listdir("/proc/self/fd")
        for number in range(8):
            store.put("key", bytes([number]) * 2 * MEBIBYTE)
        store.delete("key")
        store._freeing.wait()
        assert len(os.listdir("/proc/self/fd")) == len(before)


NOBODY = """
import os, sys
from ports import StorageError
from stores import FileArtifactStore
os.setuid(65534)
store = FileArtifactStore(sys.argv[1])
store.put("key", b"old")
for folder in ("objects", "tmp"):
    for path, _, _ in os.walk(f"{sys.argv[1]}/{folder}"):
        os.chmod(path, 0o500)
for refused in (lambda: store.put("key", b"new"), lambda: store.delete("key")):
    try:
        refused()
    except StorageError as error:
        print(error.details["errno"], error.message)
print(store.get("key"))
try:
    FileArtifactStore(sys.argv[1])
except StorageError as error:
    print(error.details["errno"], error.message)
"""


def test_folders_that_may_not_be_written_to(tmp_path: Path):
    if os.geteuid():
        pytest.skip("only root may become nobody")
    root = Path(tempfile.mkdtemp())
    try:
        os.chown(root, 65534, 65534)
        with child(NOBODY, root) as process:
            lines = process.communicate()[0].splitlines()
    finally:
        shutil.rmtree(root)
    put, delete, got, start = lines
    assert put.startswith(f"{errno.EACCES} cannot store artifact 'key': Permission denied")
    assert delete.startswith(f"{errno.EACCES} cannot delete artifact 'key': Permission denied")
    assert got == "b'old'"
    assert start.startswith(f"{errno.EACCES} cannot keep artifacts: Permission denied")


class TestDurability:
    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What is asked of the disk, in order, with the last part of each path."""
        calls: list[str] = []
        fsync, replace, unlink, mkdir = os.fsync, os.replace, os.unlink, os.mkdir

        def told(name: str, path: str, call: Callable[[], None]) -> None:
            calls.append(f"{name} {_role(path)}")
            call()

        monkeypatch.setattr(
            os,
            "fsync",
            lambda fd: told("sync", os.readlink(f"/proc/self/fd/{fd}"), lambda: fsync(fd)),
        )
        monkeypatch.setattr(
            os, "replace", lambda old, new: told("replace", new, lambda: replace(old, new))
        )
        monkeypatch.setattr(os, "unlink", lambda path: told("unlink", path, lambda: unlink(path)))
        monkeypatch.setattr(os, "mkdir", lambda path: told("mkdir", path, lambda: mkdir(path)))
        return calls

    def test_bytes_before_their_name_and_the_name_before_the_answer(
        self, tmp_path: Path, calls: list[str]
    ):
        with FileArtifactStore(tmp_path / "root") as store:
            assert calls[:4] == ["mkdir root", "sync above", "mkdir objects", "sync root"]
            calls.clear()
            store.put("key", b"data")
            assert calls == [
                "sync scratch",
                "mkdir folder",
                "sync objects",
                "sync objects",
                "replace object",
                "sync folder",
            ]
            calls.clear()
            store.put("key", b"again")
            assert calls == ["sync scratch", "replace object", "sync folder"]
            calls.clear()
            store.delete("key")
            assert calls == ["unlink object", "sync folder"]

    def test_without(self, tmp_path: Path, calls: list[str]):
        with FileArtifactStore(tmp_path / "root", fsync=False) as store:
            store.put("key", b"data")
            store.put("key", b"again")
            store.delete("key")
        assert not [call for call in calls if call.startswith("sync")]


def _role(path: str) -> str:
    names = path.split("/")
    if "objects" in names:
        return ["objects", "folder", "object"][len(names) - names.index("objects") - 1]
    if "tmp" in names[names.index("root") if "root" in names else len(names) :]:
        return "scratch"
    return "root" if names[-1] == "root" else "above"


PUT_UNTIL_KILLED = """
import itertools, sys
from stores import FileArtifactStore
store = FileArtifactStore(sys.argv[1])
for number in itertools.count():
    store.put(f"key{number % 5}", b"%d " % number * 50_000)
    print(number)
"""

HOLD_HALF_A_FILE = """
import sys
from stores import FileArtifactStore
store = FileArtifactStore(sys.argv[1])
fd, path = store._scratch.create()
open(fd, "wb", closefd=False).write(b"half")
print(path)
input()
"""


class TestCrashes:
    @pytest.mark.parametrize("acknowledged", [1, 7, 23])
    def test_what_was_acknowledged_is_there_and_nothing_is_torn(
        self, tmp_path: Path, acknowledged: int
    ):
        with child(PUT_UNTIL_KILLED, tmp_path) as process:
            assert process.stdout is not None
            for _ in range(acknowledged):
                number = int(line_of(process))
            process.send_signal(signal.SIGKILL)
            number = max([number, *map(int, process.stdout.read().split())])
        with FileArtifactStore(tmp_path) as store:
            for last in range(max(0, number - 4), number + 1):
                data = store.get(f"key{last % 5}")
                found = int(data.split()[0])
                assert data == b"%d " % found * 50_000
                # One more may have been stored, and its acknowledgement lost.
                assert found in {last, number + 1}
            assert half_written(tmp_path) == []

    def test_what_the_living_write_is_left_alone_and_what_the_dead_wrote_removed(
        self, tmp_path: Path
    ):
        with child(HOLD_HALF_A_FILE, tmp_path) as process:
            path = Path(line_of(process))
            FileArtifactStore(tmp_path).close()
            assert path.read_bytes() == b"half"
            process.kill()
            process.wait()
            assert path.exists()
            FileArtifactStore(tmp_path).close()
            assert list((tmp_path / "tmp").iterdir()) == []
