"""The tar that is written: its bytes, its pax records, and that tarfile reads it as it was meant."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import ArchiveError
from pywerf.layer.tar_read import read_entries
from pywerf.layer.tar_write import TarWriter
from pywerf.oci.digest import Digest
from support.trees import collect

NS = 10**9


class Sink:
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def write(self, chunk: bytes) -> None:
        self.chunks.append(chunk)

    @property
    def data(self) -> bytes:
        return b"".join(self.chunks)


@pytest.fixture
def sink() -> Sink:
    return Sink()


def test_plain_file_is_one_ustar_header_and_its_content(sink: Sink) -> None:
    writer = TarWriter(sink.write)
    writer.file_bytes("etc/hosts", 0o644, 3, 4, 5 * NS, b"x" * 513)
    writer.close()
    data = sink.data
    assert len(data) == 512 + 1024 + 1024
    info = tarfile.TarInfo("etc/hosts")
    info.mode, info.uid, info.gid, info.mtime, info.size = 0o644, 3, 4, 5, 513
    expected = info.tobuf(tarfile.USTAR_FORMAT)
    # tarfile leaves the device numbers empty where GNU tar, and we, write zeros.
    assert data[:148] + data[156:329] + data[345:512] == expected[:148] + expected[156:329] + expected[345:]
    assert data[512:1025] == b"x" * 513
    assert not data[1025:].strip(b"\0")


@pytest.mark.parametrize("kind", ["directory", "symlink", "hardlink", "char", "fifo"])
def test_headers_of_other_kinds_equal_those_of_tarfile(sink: Sink, kind: str) -> None:
    writer = TarWriter(sink.write)
    info = tarfile.TarInfo("a/b")
    info.mode, info.uid, info.gid, info.mtime = 0o750, 1, 2, 3
    if kind == "directory":
        writer.directory("a/b", 0o750, 1, 2, 3 * NS)
        info.type = tarfile.DIRTYPE
    elif kind == "symlink":
        writer.symlink("a/b", "../c", 1, 2, 3 * NS)
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, "../c", 0o777
    elif kind == "hardlink":
        writer.hardlink("a/b", "a/a", 0o750, 1, 2, 3 * NS)
        info.type, info.linkname = tarfile.LNKTYPE, "a/a"
    elif kind == "char":
        writer.device("a/b", "char", 0o750, 1, 2, 3 * NS, os.makedev(4, 700))
        info.type, info.devmajor, info.devminor = tarfile.CHRTYPE, 4, 700
    else:
        writer.device("a/b", "fifo", 0o750, 1, 2, 3 * NS)
        info.type = tarfile.FIFOTYPE
    writer.flush()
    expected = info.tobuf(tarfile.USTAR_FORMAT)
    assert sink.data[:148] == expected[:148]
    assert sink.data[156:329] == expected[156:329]
    assert collect(sink.data + bytes(1024))["a/b"].type == info.type


def test_device_numbers(sink: Sink) -> None:
    writer = TarWriter(sink.write)
    writer.device("d", "block", 0o600, 0, 0, 0, os.makedev(259, 1048575))
    writer.close()
    info = collect(sink.data)["d"]
    assert (info.type, info.devmajor, info.devminor) == (tarfile.BLKTYPE, 259, 1048575)


def test_whiteout_is_an_empty_file_without_owner_or_time(sink: Sink) -> None:
    writer = TarWriter(sink.write, clamp=100)
    writer.whiteout("usr/bin/cc")
    writer.whiteout("top")
    writer.close()
    entries = collect(sink.data)
    assert list(entries) == ["usr/bin/.wh.cc", ".wh.top"]
    info = entries["usr/bin/.wh.cc"]
    assert (info.size, info.uid, info.mtime, info.isreg()) == (0, 0, 0, True)


@pytest.mark.parametrize(
    ("name", "in_ustar"),
    [
        ("a" * 100, True),
        ("d/" + "a" * 100, True),
        ("p" * 155 + "/" + "a" * 100, True),
        ("a" * 101, False),
        ("p" * 156 + "/" + "a", False),
        ("p" * 155 + "/" + "a" * 101, False),
        ("ä" * 50, True),
        ("ä" * 51, False),
        ("/".join(["näme"] * 40), True),
        ("/".join(["näme"] * 80), False),
        ("x" * 99 + "\udcff", True),
        ("x" * 300 + "\udcff", False),
    ],
)
def test_long_names_use_the_prefix_and_pax_only_where_that_is_too_short(sink: Sink, name: str, in_ustar: bool) -> None:
    writer = TarWriter(sink.write)
    writer.file_bytes(name, 0o644, 0, 0, 0, b"1")
    writer.close()
    assert (sink.data[156:157] == b"0") is in_ustar
    assert list(collect(sink.data)) == [name]


def test_long_directory_name_keeps_its_slash_and_fits_without_it(sink: Sink) -> None:
    writer = TarWriter(sink.write)
    for name in ("d" * 99, "d" * 100, "d" * 155 + "/" + "e" * 99, "d" * 300):
        writer.directory(name, 0o755, 0, 0, 0)
    writer.close()
    entries = collect(sink.data)
    assert [len(name) for name in entries] == [99, 100, 255, 300]
    assert all(info.isdir() for info in entries.values())


@pytest.mark.parametrize("target", ["t" * 100, "t" * 101, "ü" * 80, "\udcfe" * 101])
def test_long_link_targets(sink: Sink, target: str) -> None:
    writer = TarWriter(sink.write)
    writer.symlink("s", target, 0, 0, 0)
    writer.hardlink("h", target, 0o644, 0, 0, 0)
    writer.close()
    entries = collect(sink.data)
    assert entries["s"].linkname == target
    assert entries["h"].linkname == target


def test_owners_and_times_that_ustar_cannot_hold(sink: Sink) -> None:
    writer = TarWriter(sink.write)
    writer.file_bytes("big", 0o644, 2097152, 4294967294, (1 << 34) * NS, b"data")
    writer.file_bytes("old", 0o644, 2097151, 2097151, -5 * NS, b"data")
    writer.close()
    entries = collect(sink.data)
    assert (entries["big"].uid, entries["big"].gid, entries["big"].mtime) == (2097152, 4294967294, 1 << 34)
    assert (entries["old"].uid, entries["old"].mtime) == (2097151, -5)
    assert "uid" not in entries["old"].pax_headers


def test_time_is_whole_seconds_rounded_down(sink: Sink) -> None:
    writer = TarWriter(sink.write)
    writer.file_bytes("a", 0o644, 0, 0, 1_999_999_999, b"")
    writer.file_bytes("b", 0o644, 0, 0, -1, b"")
    writer.close()
    entries = collect(sink.data)
    assert entries["a"].mtime == 1
    assert entries["b"].mtime == -1
    assert not entries["a"].pax_headers


@pytest.mark.parametrize(
    ("mtime_ns", "record"),
    [(1_500_000_000, "1.5"), (-1_500_000_000, "-1.5"), (-1, "-0.000000001"), (1, "0.000000001"), (7 * NS, None)],
)
def test_subsecond_times_when_asked(sink: Sink, mtime_ns: int, record: str | None) -> None:
    writer = TarWriter(sink.write, subsecond=True)
    writer.file_bytes("a", 0o644, 0, 0, mtime_ns, b"")
    writer.close()
    assert collect(sink.data)["a"].pax_headers.get("mtime") == record
    assert [entry.mtime_ns for entry in read_entries([sink.data])] == [mtime_ns]


@pytest.mark.parametrize("subsecond", [False, True])
def test_clamp_lowers_later_times_only(sink: Sink, subsecond: bool) -> None:
    writer = TarWriter(sink.write, clamp=100, subsecond=subsecond)
    for name, mtime_ns in (("older", 99 * NS), ("equal", 100 * NS), ("a bit later", 100 * NS + 1), ("later", 1 << 60)):
        writer.file_bytes(name, 0o644, 0, 0, mtime_ns, b"")
        writer.directory(name + ".d", 0o755, 0, 0, mtime_ns)
    writer.close()
    times = {name: info.mtime for name, info in collect(sink.data).items()}
    assert times == {
        name + suffix: 99 if name == "older" else 100
        for name in ("older", "equal", "a bit later", "later")
        for suffix in ("", ".d")
    }


def test_xattrs_are_binary_pax_records_in_a_fixed_order(sink: Sink) -> None:
    xattrs = {"user.z": b"\0\xff\n=", "security.capability": bytes(range(20)), "user.a=b%": b""}
    writer = TarWriter(sink.write)
    writer.file_bytes("f", 0o644, 0, 0, 0, b"content", xattrs)
    writer.file_bytes("g", 0o644, 0, 0, 0, b"content", dict(reversed(xattrs.items())))
    writer.close()
    first, second = read_entries([sink.data])
    assert first.xattrs == second.xattrs == xattrs
    half = len(sink.data[:-1024]) // 2
    assert sink.data[512:1024] == sink.data[half + 512 : half + 1024]
    assert b"=\0\xff\n=\n" in sink.data


def test_size_beyond_eight_gibibytes(sink: Sink) -> None:
    size = (8 << 30) + 1
    block = bytes(1 << 20)

    def content() -> Iterator[bytes]:
        for _ in range(8 << 10):
            yield block
        yield b"!"

    written = 0

    def write(chunk: bytes) -> None:
        nonlocal written
        if not written:
            sink.write(chunk)
        written += len(chunk)

    writer = TarWriter(write)
    writer.file_chunks("huge", 0o644, 0, 0, 0, size, content())
    writer.close()
    assert written == 512 + 512 + 512 + size + 511 + 1024
    # All readers need of it is the beginning.
    entry = next(iter(read_entries(sink.chunks)))
    assert (entry.size, entry.path) == (size, "huge")
    with tarfile.open(fileobj=_Beginning(sink.data), mode="r|") as archive:
        assert next(iter(archive)).size == size


class _Beginning:
    """A stream of which only the beginning is asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int) -> bytes:
        part, self._data = self._data[:size], self._data[size:]
        return part


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1 << 20, (1 << 20) + 1, (3 << 20) + 77])
def test_file_from_a_descriptor_with_its_digest(sink: Sink, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    path = tmp_path / "content"
    path.write_bytes(content)
    writer = TarWriter(sink.write)
    with path.open("rb") as file:
        digest = writer.file("f", 0o644, 0, 0, 0, size, file.fileno(), digest=True)
    writer.file_bytes("after", 0o644, 0, 0, 0, b"")
    writer.close()
    assert digest == Digest.of(content)
    entries = read_entries([sink.data])
    assert b"".join(next(entries).data()) == content
    assert next(entries).path == "after"


@pytest.mark.parametrize("size", [1000, 3 << 20])
def test_file_that_shrank_is_an_error_that_names_it(sink: Sink, tmp_path: Path, size: int) -> None:
    path = tmp_path / "content"
    path.write_bytes(bytes(size - 1))
    with path.open("rb") as file, pytest.raises(ArchiveError, match=r"data/log"):
        TarWriter(sink.write).file("data/log", 0o644, 0, 0, 0, size, file.fileno())


@pytest.mark.parametrize("size", [1000, 3 << 20])
def test_file_that_grew_is_cut_at_its_size(sink: Sink, tmp_path: Path, size: int) -> None:
    path = tmp_path / "content"
    path.write_bytes(b"a" * size + b"b" * 5000)
    writer = TarWriter(sink.write)
    with path.open("rb") as file:
        writer.file("log", 0o644, 0, 0, 0, size, file.fileno())
    writer.close()
    assert [b"".join(entry.data()) for entry in read_entries([sink.data])] == [b"a" * size]


def test_chunks_that_are_not_of_the_announced_size_are_errors(sink: Sink) -> None:
    writer = TarWriter(sink.write)
    with pytest.raises(ArchiveError, match="more content"):
        writer.file_chunks("f", 0o644, 0, 0, 0, 3, [b"ab", b"cd"])
    with pytest.raises(ArchiveError, match="ended 1 bytes before"):
        writer.file_chunks("f", 0o644, 0, 0, 0, 3, [b"ab"])


def test_sink_sees_large_chunks(sink: Sink) -> None:
    writer = TarWriter(sink.write)
    for number in range(3000):
        writer.file_bytes(f"f{number}", 0o644, 0, 0, 0, b"x" * 1000)
    writer.close()
    assert min(len(chunk) for chunk in sink.chunks[:-1]) >= 256 << 10
    assert writer.entries == 3000


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..") and not name.startswith(".wh..wh.")  # AUFS's, which are left out
)
PATHS = st.lists(NAMES, min_size=1, max_size=12).map("/".join)
BYTES_PATHS = st.lists(
    st.binary(min_size=1, max_size=60).filter(
        lambda b: not set(b"/\0") & set(b) and b not in (b".", b"..") and b[:8] != b".wh..wh."
    ),
    min_size=1,
    max_size=8,
).map(lambda parts: os.fsdecode(b"/".join(parts)))
ENTRIES = st.lists(
    st.tuples(
        st.one_of(PATHS, BYTES_PATHS),
        st.sampled_from(["file", "dir", "symlink", "hardlink", "char", "fifo"]),
        st.integers(0, 0o7777),
        st.integers(0, (1 << 32) - 2),
        st.integers(0, (1 << 32) - 2),
        st.integers(-(1 << 62), 1 << 62),
        st.binary(max_size=1500),
        st.dictionaries(st.sampled_from(["user.a", "user.ü", "security.capability"]), st.binary(max_size=60)),
        st.one_of(PATHS, BYTES_PATHS),
    ),
    max_size=6,
)


@given(ENTRIES, st.integers(1, 4000), st.booleans())
def test_round_trip_through_our_reader_and_tarfile(entries: list[tuple], chunk: int, subsecond: bool) -> None:  # type: ignore[type-arg]
    sink = Sink()
    writer = TarWriter(sink.write, subsecond=subsecond)
    for path, kind, mode, uid, gid, mtime_ns, data, xattrs, target in entries:
        if kind == "file":
            writer.file_bytes(path, mode, uid, gid, mtime_ns, data, xattrs)
        elif kind == "dir":
            writer.directory(path, mode, uid, gid, mtime_ns, xattrs)
        elif kind == "symlink":
            writer.symlink(path, target, uid, gid, mtime_ns, xattrs)
        elif kind == "hardlink":
            writer.hardlink(path, target, mode, uid, gid, mtime_ns)
        else:
            writer.device(path, kind, mode, uid, gid, mtime_ns, os.makedev(9, 8) if kind == "char" else 0, xattrs)
    writer.close()
    data = sink.data
    assert len(data) % 512 == 0
    seen = 0
    for entry, expected in zip(
        read_entries(data[i : i + chunk] for i in range(0, len(data), chunk)), entries, strict=True
    ):
        path, kind, mode, uid, gid, mtime_ns, content, xattrs, target = expected
        seen += 1
        assert (entry.path, entry.kind, entry.uid, entry.gid) == (path, kind, uid, gid)
        assert entry.mode == (0o777 if kind == "symlink" else mode)
        assert entry.mtime_ns == (mtime_ns if subsecond else mtime_ns // NS * NS)
        assert entry.linkname == (target if kind in ("symlink", "hardlink") else "")
        assert entry.xattrs == ({} if kind == "hardlink" else xattrs)
        assert b"".join(entry.data()) == (content if kind == "file" else b"")
    assert seen == len(entries) == writer.entries
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        for info, expected in zip(archive, entries, strict=True):
            path, kind, mode, uid, gid, mtime_ns, content, xattrs, target = expected
            assert (info.name, info.uid, info.gid) == (path.rstrip("/"), uid, gid)
            if kind == "file":
                file = archive.extractfile(info)
                assert file is not None
                assert file.read() == content
            if kind in ("symlink", "hardlink"):
                assert info.linkname == target
