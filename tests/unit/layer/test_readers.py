"""Real processes that read files: what they answer, that they are found dead, that they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pywerf.layer.pack import Packer
from pywerf.layer.readers import DEPTH, Reader, ReaderLost

FOREVER = 1 << 62


def children() -> set[int]:
    """The processes that this one has started."""
    found: set[int] = set()
    for task in os.listdir("/proc/self/task"):
        found |= set(map(int, Path(f"/proc/self/task/{task}/children").read_text().split()))
    return found


@pytest.fixture
def files(tmp_path: Path) -> Path:
    root = tmp_path / "files"
    (root / "d").mkdir(parents=True)
    for number in range(100):
        (root / f"d/{number:02}").write_bytes(os.urandom(number * 50))
    (root / "d/large").write_bytes(bytes(3 << 20))
    os.link(root / "d/07", root / "d/zlink")
    return root


@pytest.fixture
def reader(files: Path) -> Iterator[Reader]:
    before = children()
    reader = Reader(os.fsencode(files) + b"/", FOREVER)
    yield reader
    reader.close()
    reader.close()  # nothing happens
    assert children() == before


def batch_of(files: Path) -> list[bytes | tuple[bytes, list[bytes]]]:
    return [b"x" * 512, (b"d/", [os.fsencode(name) for name in sorted(os.listdir(files / "d"))])]


def test_answers_are_those_of_a_packer(reader: Reader, files: Path) -> None:
    expected: list[tuple[bytes, int, object]] = []
    packer = Packer(os.fsencode(files) + b"/", FOREVER)
    for _ in range(DEPTH):
        packer.pack(batch_of(files), lambda *made: expected.append(made))
        assert reader.send(batch_of(files))
    assert reader.waiting == DEPTH
    assert not reader.send(batch_of(files))
    assert [reader.receive() for _ in expected] == expected
    assert not reader.ready()


def test_files_that_fill_the_pipe_many_times(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / str(number)).write_bytes(os.urandom(900_000))
    names = [str(number).encode() for number in range(9)]
    expected: list[tuple[bytes, int, object]] = []
    Packer(os.fsencode(tmp_path) + b"/", FOREVER).pack([(b"", names)], lambda *made: expected.append(made))
    reader = Reader(os.fsencode(tmp_path) + b"/", FOREVER)
    try:
        assert reader.send([(b"", names)])
        assert [reader.receive() for _ in expected] == expected
    finally:
        reader.close()


def test_a_relative_root_is_of_the_current_directory(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files.parent)
    reader = Reader(b"files/", FOREVER)
    monkeypatch.chdir("/")
    try:
        assert reader.send([(b"d/", [b"50"])])
        data, number, left = reader.receive()
        assert data[512 : 512 + 2500] == (files / "d/50").read_bytes()
        assert (number, left) == (1, [])
    finally:
        reader.close()


def test_a_batch_that_no_packet_can_hold_is_not_taken(reader: Reader) -> None:
    assert not reader.send([(b"d/", [b"n" * (64 << 20)])])
    assert reader.waiting == 0


def test_a_killed_process_is_lost(reader: Reader, files: Path) -> None:
    (pid,) = children()
    assert reader.send(batch_of(files))
    first = reader.receive()
    os.kill(pid, signal.SIGKILL)
    assert first[1] == 102
    with pytest.raises(ReaderLost):
        reader.receive()
    assert reader.ready()
    reader.close()
    with pytest.raises(ReaderLost):
        reader.receive()


def test_it_ends_with_whoever_started_it(files: Path) -> None:
    code = (
        "import os, sys, signal; from pywerf.layer.readers import Reader; "
        "reader = Reader(os.fsencode(sys.argv[1]) + b'/', 9); "
        "print(reader._pid, flush=True); reader.send([(b'd/', [b'large', b'50'] * 50)]); reader.receive(); "
        "reader.send([(b'd/', [b'50'] * 900)]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    process = subprocess.run([sys.executable, "-c", code, str(files)], stdout=subprocess.PIPE, text=True, check=False)
    assert process.returncode == -signal.SIGKILL
    pid = int(process.stdout)
    end = time.monotonic() + 30
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_alive(pid)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_no_interpreter_no_reader(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(OSError, match="interpreter"):
        Reader(os.fsencode(files) + b"/", FOREVER)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(FileNotFoundError):
        Reader(os.fsencode(files) + b"/", FOREVER)
    assert os.listdir("/proc/self/fd") == before
