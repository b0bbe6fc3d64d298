"""The tar that is read: every format, and damage that must not go through."""

from __future__ import annotations

import os
import random
import tarfile
from collections.abc import Iterator
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import ArchiveError
from pywerf.layer.tar_format import FieldError, number, pax_records, pax_time
from pywerf.layer.tar_read import TarEntry, read_entries
from support.trees import header, pax, pieces

END = bytes(1024)


def contents(data: bytes, chunk: int = 700) -> list[tuple[str, str, bytes]]:
    return [(entry.path, entry.kind, b"".join(entry.data())) for entry in read_entries(pieces(data, chunk))]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("chunk", [1, 511, 512, 5000, 1 << 20])
def test_archives_of_tarfile(format: int, chunk: int) -> None:
    out = BytesIO()
    long = "very/" * 16 + "l" * (90 if format == tarfile.USTAR_FORMAT else 150)
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, content in (("a", b"1"), (long, b"2" * 700), ("ä", b"")):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uid, info.gid, info.mtime = len(content), 0o4755, 12, 34, 56
            archive.addfile(info, BytesIO(content))
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "t" * (100 if format == tarfile.USTAR_FORMAT else 200)
        archive.addfile(info)
        info = tarfile.TarInfo("folder")
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    data = out.getvalue()
    entries = []
    for entry in read_entries(pieces(data, chunk)):
        entries.append((entry.path, entry.kind, b"".join(entry.data()), entry.linkname))
        if entry.kind == "file":
            assert (entry.mode, entry.uid, entry.gid, entry.mtime_ns) == (0o4755, 12, 34, 56 * 10**9)
    assert entries == [
        ("a", "file", b"1", ""),
        (long, "file", b"2" * 700, ""),
        ("ä", "file", b"", ""),
        ("link", "symlink", b"", info_target(format)),
        ("folder", "dir", b"", ""),
    ]


def info_target(format: int) -> str:
    return "t" * (100 if format == tarfile.USTAR_FORMAT else 200)


def test_content_that_is_not_read_is_skipped() -> None:
    data = header(b"a", size=1500) + padded(b"a" * 1500) + header(b"b", size=3) + padded(b"bbb") + END
    for chunk in (1, 100, 512, 4096):
        assert [entry.path for entry in read_entries(pieces(data, chunk))] == ["a", "b"]


def test_content_is_gone_once_the_next_entry_is_there() -> None:
    data = header(b"a", size=3) + padded(b"aaa") + header(b"b", size=3) + padded(b"bbb") + END
    entries = read_entries([data])
    first, second = next(entries), next(entries)
    assert b"".join(first.data()) == b""
    assert b"".join(second.data()) == b"bbb"


def test_v7_directory_is_a_name_with_a_slash() -> None:
    assert contents(header(b"d/", kind=b"\0", magic=bytes(8)) + END) == [("d", "dir", b"")]


def test_signed_checksums_of_old_systems() -> None:
    assert contents(header("ümlaut".encode(), signed=True) + END) == [("ümlaut", "file", b"")]


def test_star_prefix_is_131_bytes() -> None:
    tail = b"p" * 131 + b"00000000000 00000000000 ".ljust(32, b"\0") + b"tar\0"
    assert contents(header(b"name", tail=tail) + END) == [("p" * 131 + "/name", "file", b"")]


def test_gnu_header_has_no_prefix() -> None:
    block = header(b"name", magic=b"ustar  \0", tail=b"00000000001\0")
    assert contents(block + END) == [("name", "file", b"")]


def test_base_256_numbers() -> None:
    size = b"\x80" + (3).to_bytes(11, "big")
    assert contents(header(b"a", size=size) + padded(b"xyz") + END) == [("a", "file", b"xyz")]
    assert number(b"\xff" * 12) == -1
    assert number(b"\x80" + bytes(10) + b"1") == 0x31
    assert number(b"\xff" + b"\xff" * 10 + b"\xfe") == -2


def test_size_of_twelve_digits_without_terminator() -> None:
    block = header(b"a", size=b"777777777777")
    (entry,) = [entry.size for entry in first_entries(block)]
    assert entry == 0o777777777777


def first_entries(data: bytes) -> Iterator[TarEntry]:
    yield next(read_entries([data]))


def test_links_have_no_content_whatever_their_size_says() -> None:
    data = header(b"h", kind=b"1", link=b"a", size=1000) + header(b"b", size=1) + padded(b"b") + END
    assert contents(data) == [("h", "hardlink", b""), ("b", "file", b"b")]


def test_gnu_long_names_and_links() -> None:
    data = (
        header(b"././@LongLink", kind=b"L", size=201)
        + padded(b"n" * 200 + b"\0")
        + header(b"././@LongLink", kind=b"K", size=151)
        + padded(b"t" * 150 + b"\0")
        + header(b"nnn", kind=b"2", link=b"ttt")
        + END
    )
    (entry,) = read_entries([data])
    assert (entry.path, entry.linkname) == ("n" * 200, "t" * 150)


def test_local_pax_records_beat_global_ones_and_end_with_their_entry() -> None:
    data = (
        pax(b"g", uid=b"7", gid=b"8")
        + pax(uid=b"9", mtime=b"1.25")
        + header(b"a")
        + header(b"b")
        + pax(b"g", uid=b"")
        + header(b"c")
        + END
    )
    assert [(entry.path, entry.uid, entry.gid) for entry in read_entries([data])] == [
        ("a", 9, 8),
        ("b", 7, 8),
        ("c", 0, 8),
    ]
    assert next(read_entries([data])).mtime_ns == 1_250_000_000


def test_libarchive_xattrs() -> None:
    data = pax(LIBARCHIVE_xattr_user_a=b"AAE", **{"LIBARCHIVE.xattr.user.%62": b"YmI="}) + header(b"a") + END
    assert next(read_entries([data])).xattrs == {"user.a": b"\0\1", "user.b": b"bb"}


SPARSE = [
    pytest.param(
        header(
            b"s",
            kind=b"S",
            size=6,
            magic=b"ustar  \0",
            tail=bytes(41)
            + b"%011o\0%011o\0" % (2, 3)
            + b"%011o\0%011o\0" % (600, 3)
            + bytes(48)
            + b"\0"
            + b"%011o\0" % 1000,
        ),
        id="old GNU",
    ),
    pytest.param(
        pax(GNU_sparse_size=b"1000", GNU_sparse_numblocks=b"2", GNU_sparse_map=b"2,3,600,3", GNU_sparse_name=b"s")
        + header(b"GNUSparseFile.0/s", size=6),
        id="0.1",
    ),
    pytest.param(
        pax(GNU_sparse_major=b"1", GNU_sparse_minor=b"0", GNU_sparse_name=b"s", GNU_sparse_realsize=b"1000")
        + header(b"GNUSparseFile.0/s", size=512 + 6)
        + padded(b"2\n2\n3\n600\n3\n"),
        id="1.0",
    ),
]


@pytest.mark.parametrize("start", SPARSE)
@pytest.mark.parametrize("chunk", [1, 513, 1 << 16])
def test_sparse_files(start: bytes, chunk: int) -> None:
    expected = bytearray(1000)
    expected[2:5], expected[600:603] = b"abc", b"def"
    data = start + padded(b"abcdef") + header(b"next") + END
    assert contents(data, chunk) == [("s", "file", bytes(expected)), ("next", "file", b"")]
    entry = next(read_entries(pieces(data, chunk)))
    assert (entry.size, entry.segments) == (1000, ((2, 3), (600, 3)))
    assert [(offset, part) for offset, part in entry.pieces() if len(part) == 3 or chunk == 1]


def test_sparse_0_0_repeats_its_records() -> None:
    body = b""
    for key, value in (
        ("size", 1000),
        ("numblocks", 2),
        ("offset", 2),
        ("numbytes", 3),
        ("offset", 600),
        ("numbytes", 3),
    ):
        line = f" GNU.sparse.{key}={value}\n".encode()
        body += b"%d" % (len(line) + 2) + line
    data = header(b"P", kind=b"x", size=len(body)) + padded(body) + header(b"s", size=6) + padded(b"abcdef") + END
    entry = next(read_entries([data]))
    assert (entry.size, entry.segments) == (1000, ((2, 3), (600, 3)))


@pytest.mark.parametrize("map", [b"2,3,1,3", b"2,3,999,3", b"2,3", b"2,-3,600,3", b"2,3,600", b"2,4,600,3"])
def test_bad_sparse_maps_are_errors(map: bytes) -> None:
    data = pax(GNU_sparse_size=b"1000", GNU_sparse_map=map) + header(b"s", size=6) + padded(b"abcdef") + END
    with pytest.raises(ArchiveError, match=r"entry 's'"):
        list(read_entries([data]))


@pytest.mark.parametrize(
    ("map", "size"),
    [(b"9" * 30 + b"\n", 1024), (b"x\n", 1024), (b"2\n", 512), (b"99999999\n", 1 << 20), (b"2\n1\n", 1024)],
)
def test_bad_sparse_1_0_maps_are_errors(map: bytes, size: int) -> None:
    data = pax(GNU_sparse_major=b"1", GNU_sparse_minor=b"0", GNU_sparse_realsize=b"1000") + header(b"s", size=size)
    with pytest.raises(ArchiveError):
        list(read_entries([data + padded(map) + bytes(1 << 20) + END]))


def test_aufs_bookkeeping_is_left_out_and_opaque_marks_are_not() -> None:
    data = b"".join(
        header(name, size=1) + padded(b"x")
        for name in (b".wh..wh.aufs", b".wh..wh.plnk/123.4", b"d/.wh..wh..opq", b"d/.wh.x", b"real")
    )
    assert [path for path, _, _ in contents(data + END)] == ["d/.wh..wh..opq", "d/.wh.x", "real"]


@pytest.mark.parametrize("data", [b"", END, bytes(512), END + b"trailing", header(b"a"), header(b"a") + bytes(10240)])
def test_ends_that_are_accepted(data: bytes) -> None:
    assert len(contents(data)) == (1 if data.startswith(b"a") else 0)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (header(b"good") + header(b"bad", size=100) + b"short", "entry 'bad' at offset 512.*too early"),
        (header(b"a")[:300], "offset 0: the archive ends too early"),
        (header(b"a")[:200] + b"!" + header(b"a")[201:] + END, "checksum"),
        (b"this is no archive at all " * 100, "checksum"),
        (bytes(512) + header(b"a"), "lone block"),
        (header(b"a", size=b"zzzzzzzzzzz\0") + END, "entry 'a'.*bad number"),
        (header(b"a", size=b"99999999999\0") + END, "bad octal"),
        (header(b"a", size=b"-0000000001\0") + END, "bad number"),
        (header(b"a", size=b"\xff" * 12) + END, "bad size -1"),
        (header(b"a", size=b"\x80" + b"\x7f" * 11) + END, "bad size"),
        (pax(size=b"9223372036854775808") + header(b"a") + END, "bad number"),
        (pax(size=b"-1") + header(b"a") + END, "bad number"),
        (pax(uid=b"4294967295") + header(b"a") + END, "bad owner"),
        (pax(mtime=b"1e5") + header(b"a") + END, "bad time"),
        (pax(mtime=b"9" * 15) + header(b"a") + END, "bounds"),
        (pax(path=b"a\0b") + header(b"a") + END, "NUL"),
        (pax(path=b"x"), "after an extended header|too early"),
        (pax(path=b"x") + END, "after an extended header"),
        (header(b"PaxHeader", kind=b"x", size=1 << 32), "extended headers of 4294967296 bytes"),
        (header(b"L", kind=b"L", size=9 << 20), "extended header"),
        (header(b"P", kind=b"x", size=5) + padded(b"99 a=") + header(b"a"), "malformed pax"),
        (header(b"P", kind=b"x", size=5) + padded(b"4 a=b") + header(b"a"), "malformed pax"),
        (header(b"P", kind=b"x", size=5) + padded(b"hello") + header(b"a"), "length in a pax record"),
        (header(b"a", kind=b"3", rdev=(5000, 1)) + END, "bad device"),
        (header(b"a", kind=b"M") + END, "another volume"),
        (header(b"a", kind=b"?") + END, "unknown type '\\?'"),
        (header(b"") + END, "without a name"),
    ],
)
@pytest.mark.parametrize("chunk", [100, 1 << 20])
def test_damage_is_an_error_that_names_the_place(data: bytes, what: str, chunk: int) -> None:
    with pytest.raises(ArchiveError, match=what):
        contents(data, chunk)


@pytest.mark.parametrize("kind", [b"g", b"x"])
def test_extended_headers_without_end_are_an_error(kind: bytes) -> None:
    def blocks() -> Iterator[bytes]:
        for key in range(1000):
            yield pax(kind, **{f"key{key}": bytes(1 << 16)})
            if kind == b"g":
                yield header(b"f")

    with pytest.raises(ArchiveError, match="extended headers"):
        for _ in read_entries(blocks()):
            pass


def test_every_truncation_inside_an_entry_is_an_error() -> None:
    data = pax(path=b"long" * 50) + header(b"a", size=700) + padded(b"a" * 700)
    for end in range(1, len(data)):
        if end == 512 * 2:
            continue  # the extended header is whole, its entry is missing: another message
        with pytest.raises(ArchiveError):
            contents(data[:end], 10000)


@given(st.binary(max_size=3000), st.integers(0, 1 << 30))
def test_random_damage_gives_entries_or_an_archive_error(noise: bytes, seed: int) -> None:
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("n" * 150)
        info.size = 600
        info.mtime = 1.5
        archive.addfile(info, BytesIO(b"c" * 600))
    data = bytearray(out.getvalue()[:4096])
    rng = random.Random(seed)
    position = rng.randrange(len(data))
    data[position : position + len(noise)] = noise
    # A right checksum lets the damage reach what is behind it.
    for block in range(0, len(data) - 511, 512):
        if rng.random() < 0.7 and data[block : block + 512].strip(b"\0"):
            data[block + 148 : block + 156] = b" " * 8
            data[block + 148 : block + 156] = b"%06o\0 " % sum(data[block : block + 512])
    try:
        for entry in read_entries([bytes(data)]):
            for _ in entry.stored():
                pass
    except ArchiveError:
        pass


def test_pax_values_may_hold_anything() -> None:
    assert pax_records(b"13 k=a\nb=c d\n") == [(b"k", b"a\nb=c d")]
    assert pax_records(b"7 k=\0\xff\n" + bytes(20)) == [(b"k", b"\0\xff")]


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        (b"0", 0),
        (b"-1.5", -1_500_000_000),
        (b"1.0000000019", 1_000_000_001),
        (b".5", 500_000_000),
        (b"-0.5", -500_000_000),
    ],
)
def test_pax_times(text: bytes, nanoseconds: int) -> None:
    assert pax_time(text) == nanoseconds


@pytest.mark.parametrize("text", [b"--1", b"1.", b"1.x", b"x", b"+1", b"1_0"])
def test_bad_pax_times(text: bytes) -> None:
    if text == b"1.":
        assert pax_time(text) == 10**9  # Go and GNU tar take it
        return
    with pytest.raises(FieldError):
        pax_time(text)


def test_names_that_are_not_utf8_survive() -> None:
    assert contents(header(b"caf\xe9") + END)[0][0] == os.fsdecode(b"caf\xe9")
