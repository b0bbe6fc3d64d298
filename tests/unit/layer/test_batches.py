"""Layers of many files: the same bytes whichever processes read them, also when one of these is killed."""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.errors import ArchiveError
from pywerf.layer.batches import MANY, Batches
from pywerf.layer.lower import LowerView
from pywerf.layer.readers import DEPTH
from pywerf.layer.tar_write import TarWriter
from pywerf.layer.walk import Walk
from support.trees import collect, tree

# so many files go to a batch; processes are started after two of them
BATCH = 128
FILES = 8 * BATCH
Hook = Callable[[int], object]


def children() -> list[int]:
    """The processes that this one has started."""
    found: list[int] = []
    for task in os.listdir("/proc/self/task"):
        found += map(int, Path(f"/proc/self/task/{task}/children").read_text().split())
    return found


def layer(
    root: Path, readers: int, hook: Hook = lambda written: None, *lowers: Path, clamp: int | None = None
) -> bytes:
    """The layer of an upper directory. `hook` is called with each chunk and gets how many bytes were written before."""
    data = bytearray()

    def write(chunk: bytes) -> None:
        hook(len(data))
        data.extend(chunk)

    writer = TarWriter(write, clamp=clamp)
    view = LowerView([os.fsencode(lower) for lower in lowers], ())
    Walk(writer, view, overlay=True, readers=readers, many=2 * BATCH).run(os.fsencode(root), root_entry=False)
    writer.close()
    assert writer.entries == len(collect(bytes(data)))
    return bytes(data)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of all kinds, in large and small folders, with links from each part of the order to the others."""
    root = tmp_path_factory.mktemp("many")
    (root / "a").mkdir()
    for number in range(FILES):
        folder = root / (f"a/{number % 7}" if number % 3 else f"small/{number // 5:05}/{'deep/' * (number % 4)}")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"file{number:05}"
        path.write_bytes(b"%d\n" % number * (number % 400))
        if number % 50 == 0:
            os.link(path, root / "a" / f"{number % 7 if number % 100 else 'z'}{number}")
        if number % 60 == 0:
            os.setxattr(path, "user.number", b"%d" % number)
        if number % 70 == 0:
            (folder / f"link{number}").symlink_to(f"file{number:05}")
        if number % 90 == 0:
            os.mkfifo(folder / f"fifo{number}")
        if number % 110 == 0:
            path.chmod(0o4711)
    for number in range(3):
        (root / f"a/{number}/large").write_bytes(os.urandom(2_500_000))
    (root / "a/3" / ("n" * 220)).write_text("long name")
    os.utime(root / "a/3" / ("n" * 220), ns=(0, -3))
    (root / "small/gone").touch()
    os.setxattr(root / "small/gone", "user.overlay.whiteout", b"y")
    return root


@pytest.fixture(scope="module")
def expected(many: Path) -> bytes:
    return layer(many, 0)


def test_the_layer_is_the_tree(many: Path, expected: bytes) -> None:
    entries = collect(expected)
    found = tree(many, times=False)
    del found["small/gone"]
    assert list(entries) == sorted(found, key=lambda name: [part.encode() for part in name.split("/")])
    firsts: dict[tuple[int, int], str] = {}
    for name, info in entries.items():
        status = os.lstat(many / name)
        if stat.S_ISREG(status.st_mode):
            first = firsts.setdefault((status.st_dev, status.st_ino), name)
            assert info.linkname == ("" if first == name else first)
            assert info.islnk() or info.size == status.st_size
        assert info.mode == stat.S_IMODE(status.st_mode)


@pytest.mark.parametrize("readers", [1, 3])
def test_other_processes_make_the_same(many: Path, expected: bytes, readers: int) -> None:
    most = 0

    def count(written: int) -> None:
        nonlocal most
        most = max(most, len(children()))

    assert layer(many, readers, count) == expected
    assert most == readers
    assert children() == []
    assert layer(many, readers, clamp=1000) == layer(many, 0, clamp=1000)


def test_merged_folders(many: Path, expected: bytes, tmp_path: Path) -> None:
    """What is new in folders that are there already goes the same way."""
    (tmp_path / "a/1").mkdir(parents=True)
    (tmp_path / "small").mkdir()
    (tmp_path / "small/00001").write_text("a file where a folder is now")
    data = layer(many, 1, lambda written: None, tmp_path)
    assert data == expected


def test_few_files_need_no_process(tmp_path: Path) -> None:
    for number in range(2 * BATCH - 1):
        (tmp_path / f"{number}").write_bytes(b"x" * 9000)
    seen: list[int] = []
    layer(tmp_path, 3, lambda written: seen.extend(children()))
    assert seen == []
    assert MANY > 2 * BATCH


@pytest.mark.parametrize("readers", [1, 2])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_killed_processes_cost_time_only(many: Path, expected: bytes, readers: int, after: int) -> None:
    """One is killed when there have been `after` more chunks."""
    left = after
    killed = 0

    def kill(written: int) -> None:
        nonlocal left, killed
        if running := children():
            left -= 1
            if left < 0 and not killed:
                killed = running[0]
                os.kill(killed, signal.SIGKILL)

    assert layer(many, readers, kill) == expected
    assert killed
    assert children() == []


@pytest.mark.parametrize("readers", [0, 1])
def test_a_file_that_goes_is_an_error_that_names_it(tmp_path: Path, readers: int) -> None:
    for number in range(FILES):
        (tmp_path / f"{number:05}").write_bytes(b"x" * 3000)
    last = tmp_path / f"{FILES - 1:05}"
    with pytest.raises(ArchiveError, match=rf"cannot read {last} for the layer: No such file"):
        layer(tmp_path, readers, lambda written: last.unlink(missing_ok=True))
    assert children() == []


@pytest.mark.parametrize("readers", [0, 1])
def test_a_file_that_becomes_another_is_taken_as_it_is(tmp_path: Path, readers: int) -> None:
    """Each is opened and looked at by its descriptor: what it was when its folder was read does not count."""
    for number in range(FILES):
        (tmp_path / f"{number:05}").write_bytes(b"x" * 3000)
    grown, shrunk, linked, swapped = (tmp_path / f"{FILES - number:05}" for number in (5, 4, 3, 2))

    def change(written: int) -> None:
        if not written:
            grown.write_bytes(b"y" * 5000)
            shrunk.write_bytes(b"z")
            linked.unlink()
            os.link(tmp_path / "00000", linked)
            swapped.unlink()
            swapped.symlink_to("00000")

    with pytest.raises(ArchiveError, match=rf"cannot read {swapped} for the layer: Too many levels of symbolic links"):
        layer(tmp_path, readers, change)
    swapped.unlink()
    entries = collect(layer(tmp_path, readers))
    assert [entries[path.name].size for path in (grown, shrunk)] == [5000, 1]
    assert entries[linked.name].linkname == "00000"


def test_an_error_of_the_sink_ends_the_processes(many: Path) -> None:
    def full(written: int) -> None:
        if children():
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        layer(many, 2, full)
    assert children() == []


def test_little_waits_for_a_process_that_does_not_go_on(tmp_path: Path) -> None:
    """While one is stopped, so much is read behind what it should have read, and no more."""
    size, count = 100_000, 800
    for number in range(3 * BATCH):
        (tmp_path / f"{number:05}").touch()
    for number in range(count):
        (tmp_path / f"x{number:04}").touch()
        os.truncate(tmp_path / f"x{number:04}", size)
    names = sorted(os.fsencode(name) for name in os.listdir(tmp_path))
    written: list[int] = []
    writer = TarWriter(lambda chunk: written.append(len(chunk)))
    put = 0
    with Batches(writer, os.fsencode(tmp_path) + b"/", lambda path, linked: None, readers=1, many=BATCH) as batches:
        batches.put(b"", names[:-count])
        (pid,) = children()
        os.kill(pid, signal.SIGSTOP)

        def rest() -> None:
            nonlocal put
            for name in names[-count:]:
                batches.put(b"", [name])
                put += 1
            batches.finish()

        thread = threading.Thread(target=rest)
        thread.start()
        try:
            before = -1
            while before != put:
                before = put
                time.sleep(0.3)
            assert thread.is_alive()
            # batches that were sent, one at hand; 4 MiB that wait, and what was made with the last of them
            assert put <= (DEPTH + 1) * BATCH + (6 << 20) // size
        finally:
            os.kill(pid, signal.SIGCONT)
            thread.join()
    writer.close()
    assert writer.entries == len(names)
    assert sum(written) == (len(names) * 512) + count * (-(-size // 512) * 512) + 1024
