"""ADD of archives: what they make of a file system, and what they cannot."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable, Iterator

import pytest

from pywerf.backend.buildah.copy_plan import CopyPlan
from pywerf.backend.buildah.unpack import is_archive, read_chunks, unpack_archive
from pywerf.errors import ArchiveError, BuildError
from support.memory_tree import MemoryTree, directory, link

Entry = tuple[str, bytes, dict[str, object]]


def _tar(*entries: Entry) -> bytes:
    """(name, content or link target, TarInfo's fields): a directory's name ends with a slash."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content, fields in entries:
            info = tarfile.TarInfo(name.rstrip("/") or "./")
            info.mode, info.uid, info.gid, info.mtime = 0o644, 1000, 1001, 42
            if name.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            for key, value in fields.items():
                setattr(info, key, value)
            if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = content.decode()
            if info.isreg():
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                archive.addfile(info)
    return buffer.getvalue()


def _file(name: str, content: bytes = b"x", **fields: object) -> Entry:
    return name, content, fields


def _link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Entry:
    return name, target.encode(), {"type": kind}


@pytest.fixture
def spool() -> Iterator[int]:
    fd = os.memfd_create("spool")
    yield fd
    os.close(fd)


Unpack = Callable[..., CopyPlan]


@pytest.fixture
def unpack(spool: int) -> Unpack:
    """Unpack an archive into `folder` of a tree."""

    def call(data: bytes, lower: MemoryTree | None = None, folder: str = "", **options: object) -> CopyPlan:
        plan = CopyPlan(lower, owner=None, mode=None, made_ns=7)
        plan.make_directories(folder)
        unpack_archive(iter([data]), plan, folder, spool)
        return plan

    return call


def _content(plan: CopyPlan, path: str) -> bytes:
    entry = plan.entries[path]
    assert entry.spool is not None
    fd, offset = entry.spool
    return os.pread(fd, entry.node.size, offset)


PLAIN = _tar(_file("a"))


@pytest.mark.parametrize(
    "data",
    [PLAIN, gzip.compress(PLAIN), bz2.compress(PLAIN), lzma.compress(PLAIN)],
    ids=["plain", "gzip", "bzip2", "xz"],
)
def test_archives_are_told_by_their_content(data: bytes) -> None:
    assert is_archive(lambda: iter([data]))


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", gzip.compress(b"hello"), b"\x1f\x8bdamaged", bytes(2000)],
    ids=["empty", "text", "gzipped text", "damaged", "zeros"],
)
def test_other_files_are_no_archives(data: bytes) -> None:
    assert not is_archive(lambda: iter([data]))


def test_owners_modes_and_times_are_the_archives(unpack: Unpack) -> None:
    plan = unpack(_tar(_file("app/run", b"#!", mode=0o4755), ("data/", b"", {"mode": 0o1777})), folder="srv")
    node = plan.entries["srv/app/run"].node
    assert (node.mode, node.uid, node.gid, node.mtime_ns) == (0o4755, 1000, 1001, 42_000_000_000)
    assert _content(plan, "srv/app/run") == b"#!"
    assert plan.entries["srv/data"].node.mode == 0o1777
    implied = plan.entries["srv/app"].node  # not in the archive
    assert (implied.mode, implied.uid, implied.mtime_ns) == (0o755, 0, 7)


def test_the_archives_root_is_the_destination(unpack: Unpack) -> None:
    plan = unpack(_tar(("./", b"", {"mode": 0o700}), _file("./a")), folder="srv")
    srv = plan.entries["srv"].node  # which keeps its own owner and mode
    assert (srv.mode, srv.uid, srv.mtime_ns) == (0o755, 0, 7)
    assert "" not in unpack(_tar(("./", b"", {}))).entries


def test_an_entry_replaces_what_is_there(unpack: Unpack) -> None:
    lower = MemoryTree({"dir/inside": "1", "file": "2", "kept": directory(), "kept/x": "3"})
    plan = unpack(_tar(_file("dir"), ("file/", b"", {}), _file("file/new"), ("kept/", b"", {})), lower)
    kinds = {path: entry.node.kind for path, entry in plan.sorted()}
    assert kinds == {"dir": "file", "file": "dir", "file/new": "file", "kept": "dir"}


def test_the_last_entry_of_a_name_counts(unpack: Unpack) -> None:
    plan = unpack(_tar(_file("a", b"old"), _file("a", b"newer")))
    assert _content(plan, "a") == b"newer"


def test_links(unpack: Unpack) -> None:
    plan = unpack(_tar(_file("a", b"data"), _link("s", "a"), _link("h", "a", tarfile.LNKTYPE)))
    assert plan.entries["s"].target == "a"
    assert plan.entries["a"].link
    assert plan.entries["a"].link == plan.entries["h"].link
    assert _content(plan, "h") == b"data"


def test_a_hard_link_says_how_its_file_is_to_be(unpack: Unpack) -> None:
    kind = tarfile.LNKTYPE
    again = (
        "b",
        b"a",
        {"type": kind, "mode": 0o4711, "uid": 5, "mtime": 43, "pax_headers": {"SCHILY.xattr.user.k": "v"}},
    )
    plan = unpack(_tar(_file("a", mode=0o600), _link("a2", "a", kind), again))
    for name in ("a", "a2", "b"):
        entry = plan.entries[name]
        node = entry.node
        assert (node.name, node.mode, node.uid, node.gid, node.mtime_ns) == (name, 0o4711, 5, 1001, 43_000_000_000)
        assert entry.xattrs == {"user.k": b"v"}
        assert _content(plan, name) == b"x"
    plan = unpack(_tar(_link("s", "gone"), ("t", b"s", {"type": kind, "mode": 0o600, "uid": 5, "mtime": 43})))
    assert [plan.entries[name].node.uid for name in "st"] == [5, 5]
    assert plan.entries["s"].node.mtime_ns == 42_000_000_000  # a symlink's stays


def test_groups_of_hard_links_are_told_apart(unpack: Unpack) -> None:
    kind = tarfile.LNKTYPE
    plan = unpack(_tar(_file("a"), _link("a2", "a", kind), _file("b"), _link("b2", "b", kind), _link("a3", "a", kind)))
    groups = {path: plan.entries[path].link for path in ("a", "a2", "a3", "b", "b2")}
    assert groups["a"] == groups["a2"] == groups["a3"]
    assert groups["b"] == groups["b2"] != groups["a"]


def test_devices_need_no_privilege(unpack: Unpack) -> None:
    plan = unpack(_tar(("null", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3})))
    assert (plan.entries["null"].node.kind, plan.entries["null"].node.rdev) == ("char", os.makedev(1, 3))


@pytest.mark.parametrize("name", ["../x", "a/../../x", ".."])
def test_names_that_lead_out_are_refused(unpack: Unpack, name: str) -> None:
    with pytest.raises(ArchiveError, match="leads out"):
        unpack(_tar(_file(name)))


@pytest.mark.parametrize("name", ["a/../b", "./a//../b", "/b", "a/c/../../b"])
def test_names_are_cleaned(unpack: Unpack, name: str) -> None:
    assert list(unpack(_tar(_file(name)), folder="srv").entries) == ["srv", "srv/b"]


def test_links_in_the_way_stay_in_the_destination(unpack: Unpack) -> None:
    lower = MemoryTree({"srv/out": link("/etc"), "etc/passwd": "root"})
    plan = unpack(_tar(_file("out/passwd")), lower, folder="srv")
    assert "etc/passwd" not in plan.entries
    assert "srv/etc/passwd" in plan.entries


def test_own_links_in_the_way_stay_in_the_destination(unpack: Unpack) -> None:
    plan = unpack(_tar(_link("out", "../../.."), _file("out/x")), MemoryTree({"srv": directory()}), folder="srv")
    assert {"srv/out", "srv/x"} <= set(plan.entries)


def test_hard_links_to_what_the_destination_has(unpack: Unpack) -> None:
    lower = MemoryTree({"srv/f": "below", "srv/s": link("f"), "etc/shadow": "secret"})
    kind = tarfile.LNKTYPE
    archive = _tar(_file("own", b"own"), _link("h", "f", kind), _link("t", "s", kind), _file("last", b"last"))
    plan = unpack(archive, lower, folder="srv")
    assert plan.entries["srv/f"].link == plan.entries["srv/h"].link != 0
    assert [_content(plan, f"srv/{name}") for name in ("own", "f", "h", "last")] == [
        b"own",
        b"below",
        b"below",
        b"last",
    ]
    assert plan.entries["srv/f"].node.uid == 1000  # the link's own header says so
    assert [plan.entries[f"srv/{name}"].target for name in "st"] == ["f", "f"]


@pytest.mark.parametrize("target", ["etc/shadow", "/etc/shadow", "gone", "d", "../etc/shadow"])
def test_hard_links_to_what_nobody_has(unpack: Unpack, target: str) -> None:
    lower = MemoryTree({"etc/shadow": "secret", "srv/d": directory()})
    with pytest.raises(BuildError, match="hard link to"):
        unpack(_tar(_link("mine", target, tarfile.LNKTYPE)), lower, folder="srv")


def test_damage_is_an_error(unpack: Unpack) -> None:
    with pytest.raises(ArchiveError):
        unpack(PLAIN[:700])


def test_chunks_of_a_descriptor() -> None:
    fd = os.memfd_create("data")
    try:
        os.write(fd, bytes(3 << 20))
        os.lseek(fd, 1, os.SEEK_SET)
        assert sum(map(len, read_chunks(fd))) == (3 << 20) - 1
    finally:
        os.close(fd)
