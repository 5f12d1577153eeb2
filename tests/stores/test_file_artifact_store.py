"""What is particular to artifacts in files: the disk, crashes, descriptors."""

import errno
import gc
import mmap
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ports import NotFound, StorageError, ValidationError
from stores import FileArtifactStore
from tests.stores.processes import child, line_of


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
