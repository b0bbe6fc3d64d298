"""The layers of COPY, ADD and WORKDIR, read back with tarfile."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pywerf.backend.buildah.copy_step import copy_layer, mkdir_layer, owner_numbers
from pywerf.backend.buildah.files import Files
from pywerf.backend.buildah.ref import LayerInfo
from pywerf.backend.buildah.selection import select
from pywerf.errors import BuildError, IsolationError
from pywerf.graph.op import CopyOp, InlineFile, MkdirOp, Owner
from pywerf.store.store import Store
from support.memory_tree import MemoryTree, directory, link

PASSWD = "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n"
IMAGE = MemoryTree(
    {
        "etc/passwd": PASSWD,
        "etc/group": "root:x:0:\nstaff:x:50:app\n",
        "app": directory(0o711, 5, 5),
        "current": link("/app"),
        "file": "old",
    }
)
SOURCE = MemoryTree({"a": "A", "b": "B", "dir/c": "C", "dir/sub/d": "D"}, owner=(33, 34))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as store:
        yield store


def _members(store: Store, info: LayerInfo) -> list[tarfile.TarInfo]:
    assert info.descriptor is not None
    data = b"".join(store.blobs.chunks(info.descriptor.digest))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getmembers()


Copy = Callable[..., dict[str, tuple[str, int, int, int]]]


@pytest.fixture
def copy(store: Store, tmp_path: Path) -> Copy:
    """Carry a COPY out; the entries of its layer as (kind, mode, uid, gid)."""

    def call(
        *sources: str, dest: str, lower: MemoryTree | None = IMAGE, tree: MemoryTree = SOURCE, **fields: object
    ) -> dict[str, tuple[str, int, int, int]]:
        fields.setdefault("dest_is_dir", dest.endswith("/"))
        op = CopyOp(sources=sources, dest=dest, **fields)  # type: ignore[arg-type]
        info = copy_layer(
            op,
            lower,
            Files("the build context", tree),
            select(tree, op, "the build context"),
            store,
            clamp=None,
            made_ns=1_000_000_000,
            created="",
            scratch_dir=str(tmp_path),
            changed=lambda: None,
        )
        return {
            member.name: ("d" if member.isdir() else "f", member.mode, member.uid, member.gid)
            for member in _members(store, info)
        }

    return call


def test_a_file_takes_the_name_of_the_destination(copy: Copy) -> None:
    assert copy("a", dest="/new/name") == {"new": ("d", 0o755, 0, 0), "new/name": ("f", 0o644, 0, 0)}


@pytest.mark.parametrize("dest", ["/app", "/app/", "/current"])
def test_a_file_goes_into_a_directory_that_is_there(copy: Copy, dest: str) -> None:
    assert copy("a", dest=dest) == {"app": ("d", 0o711, 5, 5), "app/a": ("f", 0o644, 0, 0)}


def test_a_slash_makes_a_directory(copy: Copy) -> None:
    assert list(copy("a", dest="/new/")) == ["new", "new/a"]


def test_files_overwrite_files(copy: Copy) -> None:
    assert copy("a", dest="/file") == {"file": ("f", 0o644, 0, 0)}


def test_several_files_need_a_directory(copy: Copy) -> None:
    with pytest.raises(BuildError, match="the destination must be a directory and end with a /"):
        copy("a", "b", dest="/new")
    assert list(copy("a", "b", dest="/app")) == ["app", "app/a", "app/b"]


def test_directories_are_poured_together(copy: Copy) -> None:
    tree = MemoryTree({"one/x": "1", "two/y": "2"})
    assert list(copy("one", "two", dest="/new", tree=tree)) == ["new", "new/x", "new/y"]


def test_owners(copy: Copy) -> None:
    assert copy("a", dest="/x") == {"x": ("f", 0o644, 0, 0)}
    assert copy("a", dest="/x", keep_owner=True) == {"x": ("f", 0o644, 33, 34)}
    owned = copy("a", dest="/new/x", owner=Owner("app", "staff"))
    assert owned == {"new": ("d", 0o755, 1000, 50), "new/x": ("f", 0o644, 1000, 50)}


def test_chmod(copy: Copy) -> None:
    assert copy("dir", dest="/n/", chmod="u=rwX,go=")["n/c"] == ("f", 0o600, 0, 0)
    assert copy("dir", dest="/n/", chmod="0755")["n/c"] == ("f", 0o755, 0, 0)


def test_here_documents(copy: Copy) -> None:
    files = (InlineFile("one", b"1"), InlineFile("two", b"2"))
    assert list(copy(dest="/new/", files=files)) == ["new", "new/one", "new/two"]
    assert copy(dest="/new", files=files[:1], chmod="700") == {"new": ("f", 0o700, 0, 0)}


def test_a_link_layer_does_not_look_below(copy: Copy) -> None:
    assert copy("a", dest="/app/", link=True) == {"app": ("d", 0o755, 0, 0), "app/a": ("f", 0o644, 0, 0)}


def test_add_unpacks_archives_alone(copy: Copy) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("inside")
        info.uid = 77
        archive.addfile(info)
    tree = MemoryTree({"x.tar": buffer.getvalue(), "plain": "text"})
    unpacked = copy("x.tar", "plain", dest="/new/", tree=tree, unpack=True, chmod="700")
    assert unpacked == {
        "new": ("d", 0o755, 0, 0),
        "new/inside": ("f", 0o644, 77, 0),
        "new/plain": ("f", 0o700, 0, 0),
    }
    assert list(copy("x.tar", dest="/new/", tree=tree)) == ["new", "new/x.tar"]
    assert copy("x.tar", dest="/new/", tree=tree, unpack=True, owner=Owner("5"))["new/inside"] == ("f", 0o644, 5, 5)


def test_nothing_to_copy_is_an_empty_layer(store: Store, tmp_path: Path) -> None:
    op = CopyOp(sources=("*.none",), dest="/", dest_is_dir=True)
    info = copy_layer(
        op,
        IMAGE,
        Files("x", SOURCE),
        [],
        store,
        clamp=None,
        made_ns=0,
        created="",
        scratch_dir=str(tmp_path),
        changed=lambda: None,
    )
    assert info.empty
    assert info.descriptor is None


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        (None, None),
        (Owner("5"), (5, 5)),
        (Owner("5", "6"), (5, 6)),
        (Owner("app"), (1000, 1001)),
        (Owner("app", "staff"), (1000, 50)),
        (Owner("", "staff"), (0, 50)),
        (Owner("7", "staff"), (7, 50)),
    ],
)
def test_owners_are_looked_up_in_the_image(written: Owner | None, numbers: tuple[int, int] | None) -> None:
    assert owner_numbers(written, IMAGE) == numbers


def test_an_owner_that_nobody_knows() -> None:
    with pytest.raises(IsolationError, match="unable to find user nobody-here"):
        owner_numbers(Owner("nobody-here"), IMAGE)


@pytest.mark.parametrize("owner", [Owner("4294967295"), Owner("99999999999"), Owner("1", "4294967295")])
def test_an_owner_that_no_file_can_have(owner: Owner) -> None:
    assert owner_numbers(Owner("4294967294"), IMAGE) == (4294967294, 4294967294)
    with pytest.raises(IsolationError, match="must be in range 0-4294967294"):
        owner_numbers(owner, IMAGE)


def _workdir(store: Store, path: str, owner: Owner | None = None) -> LayerInfo:
    return mkdir_layer(MkdirOp(path, owner), IMAGE, store, clamp=None, made_ns=0, created="")


def test_workdir_makes_what_is_missing(store: Store) -> None:
    members = _members(store, _workdir(store, "/app/a/b", Owner("app")))
    assert [(item.name, item.uid) for item in members] == [("app", 5), ("app/a", 1000), ("app/a/b", 1000)]


@pytest.mark.parametrize("path", ["/", "/app", "/current"])
def test_workdir_that_is_there_changes_nothing(store: Store, path: str) -> None:
    assert _workdir(store, path).empty


def test_workdir_of_an_unknown_user_is_roots(store: Store) -> None:
    (member,) = _members(store, _workdir(store, "/new", Owner("later")))
    assert member.uid == 0
