"""Files read from the blobs of layers: what unpacking the same layers would give, without unpacking."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.backend.buildah.blob_index import LayerIndex
from pywerf.backend.buildah.blob_tree import BlobTree
from pywerf.errors import ArchiveError
from pywerf.layer.apply import apply_layer
from pywerf.layer.compress import decompress
from pywerf.util.filetree import Node, walk
from support.examples import examples

Item = tuple[str, str, str]  # name, kind, content or target


def tar(*items: Item, pax: bool = False) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT) as archive:
        for name, kind, content in items:
            member = tarfile.TarInfo(name)
            member.mtime, member.uid, member.gid, member.mode = 7, 12, 34, 0o751
            data = b""
            if kind == "file":
                data = content.encode()
                member.size = len(data)
            elif kind == "dir":
                member.type = tarfile.DIRTYPE
            elif kind == "symlink":
                member.type, member.linkname = tarfile.SYMTYPE, content
            elif kind == "hardlink":
                member.type, member.linkname = tarfile.LNKTYPE, content
            else:
                member.type = tarfile.CHRTYPE
                member.devmajor, member.devminor = map(int, content.split(":"))
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def index(layer: bytes, folder: Path, *, packed: bool = False) -> LayerIndex:
    """The index of a plain tar in a file, or of a compressed one."""
    number = len(list(folder.iterdir())) + 1
    blob = folder / f"blob{number}"
    blob.write_bytes(gzip.compress(layer) if packed else layer)

    def chunks() -> Iterator[bytes]:
        return decompress(iter([blob.read_bytes()]))

    return LayerIndex(number, chunks, "" if packed else str(blob), str(folder))


def stacked(folder: Path, *layers: bytes, packed: bool = False) -> BlobTree:
    tree = BlobTree()
    for layer in layers:
        tree = tree.with_layer(index(layer, folder, packed=packed))
    return tree


def content(tree: BlobTree, path: str) -> bytes:
    fd = tree.open(path)
    with open(fd, "rb") as file:
        return file.read()


def names(tree: BlobTree) -> list[str]:
    return [path for path, _ in walk(tree, "")]


@pytest.mark.parametrize("packed", [False, True])
def test_files_links_and_devices(tmp_path: Path, packed: bool) -> None:
    layer = tar(
        ("d", "dir", ""),
        ("d/f", "file", "data"),
        ("d/long" + "x" * 200, "file", "long"),
        ("d/h", "hardlink", "d/f"),
        ("d/l", "symlink", "f"),
        ("d/c", "char", "5:1"),
        ("d/big", "file", "b" * (5 << 20)),
        ("implicit/x", "file", ""),
        pax=packed,
    )
    tree = stacked(tmp_path, layer, packed=packed)
    assert content(tree, "d/f") == content(tree, "d/h") == b"data"
    assert content(tree, "d/long" + "x" * 200) == b"long"
    assert content(tree, "d/big") == b"b" * (5 << 20)
    assert tree.readlink("d/l") == "f"
    first, second, device = tree.lstat("d/f"), tree.lstat("d/h"), tree.lstat("d/c")
    assert first is not None
    assert second is not None
    assert device is not None
    assert (first.uid, first.gid, first.mode, first.mtime_ns, first.nlink) == (12, 34, 0o751, 7_000_000_000, 2)
    assert (first.dev, first.ino) == (second.dev, second.ino)
    assert (first.name, second.name) == ("f", "h")
    assert (device.kind, device.rdev) == ("char", os.makedev(5, 1))
    assert tree.lstat("implicit") == Node("implicit", "dir", 0o755, 0, 0, 0, 0)
    assert [node.name for node in tree.scandir("")] == ["d", "implicit"]


def test_a_layer_hides_removes_and_merges(tmp_path: Path) -> None:
    lower = tar(
        ("a/x", "file", "1"), ("a/y", "file", "2"), ("b/x", "file", "3"), ("c", "file", "4"), ("d/e/f", "file", "5")
    )
    upper = tar(
        ("a/new", "file", "6"),
        ("a/.wh.x", "file", ""),
        ("b/kept", "file", "7"),
        ("b/.wh..wh..opq", "file", ""),
        ("c", "dir", ""),
        ("c/in", "file", "8"),
        ("d", "file", "9"),
    )
    below = stacked(tmp_path, lower)
    before = names(below)
    tree = below.with_layer(index(upper, tmp_path))
    assert names(tree) == ["a", "a/new", "a/y", "b", "b/kept", "c", "c/in", "d"]
    assert content(tree, "d") == b"9"
    assert names(below) == before


def test_removals_are_about_lower_layers_alone(tmp_path: Path) -> None:
    upper = tar(("a/x", "file", "mine"), ("a/.wh.x", "file", ""), ("w", "char", "0:0"))
    tree = stacked(tmp_path, tar(("a/x", "file", "1"), ("w", "file", "2")), upper)
    assert names(tree) == ["a", "a/x"]
    assert content(tree, "a/x") == b"mine"


def test_links_of_the_layer_itself_are_followed_and_those_below_hidden(tmp_path: Path) -> None:
    own = tar(
        ("usr/lib", "dir", ""),
        ("lib", "symlink", "usr/lib"),
        ("lib/x", "file", "1"),
        ("out", "symlink", "/../.."),
        ("out/y", "file", "2"),
    )
    tree = stacked(tmp_path, own)
    assert content(tree, "usr/lib/x") == b"1"
    assert content(tree, "y") == b"2"
    tree = tree.with_layer(index(tar(("lib/z", "file", "3")), tmp_path))
    assert content(tree, "lib/z") == b"3"
    assert tree.lstat("usr/lib/z") is None


def test_sparse_files_are_whole(tmp_path: Path) -> None:
    big = tmp_path / "sparse"
    with big.open("wb") as file:
        file.seek(3 << 20)
        file.write(b"end")
        file.truncate(6 << 20)
    import subprocess

    subprocess.run(["tar", "-C", tmp_path, "--sparse", "-cf", tmp_path / "s.tar", "sparse"], check=True)
    layer = (tmp_path / "s.tar").read_bytes()
    assert len(layer) < 1 << 20
    (tmp_path / "blobs").mkdir()
    tree = stacked(tmp_path / "blobs", layer)
    assert content(tree, "sparse") == big.read_bytes()


@pytest.mark.parametrize(
    "layer",
    [
        tar(("../x", "file", "")),
        tar(("a/../../x", "file", "")),
        tar(("x", "hardlink", "missing")),
        tar(("d", "dir", ""), ("x", "hardlink", "d")),
        tar((".wh.", "file", "")),
        tar((".", "file", "")),
        tar(("x", "file", "data"))[:700],
        b"nonsense" * 100,
    ],
)
def test_damaged_and_hostile_layers_are_refused(tmp_path: Path, layer: bytes) -> None:
    with pytest.raises(ArchiveError):
        stacked(tmp_path, layer)


def test_a_loop_of_links_is_an_error(tmp_path: Path) -> None:
    from pywerf.errors import ContextError

    with pytest.raises(ContextError, match="too many levels"):
        stacked(tmp_path, tar(("a", "symlink", "b"), ("b", "symlink", "a"), ("a/x", "file", "")))


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda tree: tree.scandir("no"), FileNotFoundError),
        (lambda tree: tree.scandir("f"), NotADirectoryError),
        (lambda tree: tree.open("no"), FileNotFoundError),
        (lambda tree: tree.open("d"), OSError),
        (lambda tree: tree.readlink("f"), OSError),
        (lambda tree: tree.xattrs("f/x"), FileNotFoundError),
    ],
)
def test_what_is_not_there(tmp_path: Path, call: Callable[[BlobTree], object], error: type[OSError]) -> None:
    tree = stacked(tmp_path, tar(("f", "file", ""), ("d", "dir", "")))
    assert tree.lstat("f/x") is None
    assert tree.xattrs("") == {}
    with pytest.raises(error):
        call(tree)


part = st.sampled_from(["a", "b", "c"])
path = st.lists(part, min_size=1, max_size=3).map("/".join)
item = st.one_of(
    st.tuples(path, st.just("file"), st.text("xyz", max_size=3)),
    st.tuples(path, st.just("dir"), st.just("")),
    st.tuples(path.map(lambda name: f"{name}/s"), st.just("symlink"), part),
    st.tuples(st.lists(part, max_size=2), part).map(lambda both: ("/".join((*both[0], f".wh.{both[1]}")), "file", "")),
    st.lists(part, min_size=1, max_size=2).map(lambda parts: ("/".join((*parts, ".wh..wh..opq")), "file", "")),
)


def with_folders(layer: list[Item]) -> list[Item]:
    """An opaque directory has an entry of its own, as all tools write it; without one the two forms differ."""
    opaque = {name.removesuffix("/.wh..wh..opq") for name, _, _ in layer if name.endswith(".wh..wh..opq")}
    return [(name, "dir", "") for name in sorted(opaque)] + layer


def fits(layer: list[Item]) -> bool:
    """No entry stands in what the same layer makes a file: that cannot be unpacked."""
    files = {name for name, kind, _ in layer if kind != "dir" and ".wh." not in name}
    return not any(name.startswith(f"{file}/") for name, _, _ in layer for file in files) and not files & {
        name for name, kind, _ in layer if kind == "dir"
    }


def listed(tree: BlobTree, root: Path) -> tuple[list[tuple[str, str, bytes]], list[tuple[str, str, bytes]]]:
    ours = []
    for name, node in walk(tree, ""):
        data = content(tree, name) if node.kind == "file" else b""
        ours.append((name, node.kind, os.fsencode(tree.readlink(name)) if node.kind == "symlink" else data))
    theirs = []
    for file in root.rglob("*"):
        kind = "symlink" if file.is_symlink() else "dir" if file.is_dir() else "file"
        data = os.fsencode(os.readlink(file)) if kind == "symlink" else file.read_bytes() if kind == "file" else b""
        theirs.append((str(file.relative_to(root)), kind, data))
    return sorted(ours), sorted(theirs)


@examples(60)
@given(st.lists(st.lists(item, max_size=6).map(with_folders).filter(fits), min_size=1, max_size=4))
def test_layers_add_up_to_what_unpacking_gives(layers: list[list[Item]]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder, root = Path(temporary) / "blobs", Path(temporary) / "root"
        folder.mkdir()
        root.mkdir()
        tree = BlobTree()
        for items in layers:
            layer = tar(*items)
            try:
                apply_layer([layer], str(root), form="plain", owner_map=lambda uid, gid: None)
            except ArchiveError:  # a directory is wanted where a lower layer has a file: overlay hides it
                return
            tree = tree.with_layer(index(layer, folder))
        ours, theirs = listed(tree, root)
        assert ours == theirs
