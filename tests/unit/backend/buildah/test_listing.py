"""Lists of files: complete, compact, readable again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pywerf.backend.buildah.files import Files
from pywerf.backend.buildah.listing import Listed, listing_of, read_listing
from pywerf.backend.buildah.selection import select
from pywerf.graph.op import CopyOp
from pywerf.source.digests import FileDigests
from pywerf.source.local import LocalTree


def files(folder: Path) -> Files:
    return Files(
        "the build context", LocalTree(str(folder), None), digests=FileDigests(lambda: None, lambda data: None)
    )


def listed(folder: Path, *sources: str, owners: bool = False) -> dict[str, Listed]:
    source = files(folder)
    op = CopyOp(sources, "/", True)
    return read_listing(listing_of(select(source.tree, op, source.name), source, owners=owners))


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("print()")
    (tmp_path / "src" / "app.py").chmod(0o755)
    (tmp_path / "src" / "link").symlink_to("app.py")
    (tmp_path / "README").write_text("")
    return tmp_path


def test_files_directories_and_links(context: Path) -> None:
    found = listed(context, "src", "README")
    assert sorted(found) == ["README", "src", "src/app.py", "src/link"]
    app = found["src/app.py"]
    assert (app.kind, app.mode, len(app.content)) == ("file", 0o755, 8)
    assert found["src/link"].content == b"app.py"
    assert found["src"].kind == "dir"
    assert sorted(listed(context, "*")) == ["README", "src", "src/app.py", "src/link"]
    assert sorted(listed(context, ".")) == ["README", "src", "src/app.py", "src/link"]


def test_owners_only_where_they_count(context: Path) -> None:
    assert listed(context, "README")["README"].uid == 0
    assert listed(context, "README", owners=True)["README"].uid == os.stat(context / "README").st_uid


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_text("x")
    assert list(listed(tmp_path, ".")) == ["\udcff"]


def test_many_files_are_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("a")
    plain = listed(tmp_path, ".")
    monkeypatch.setattr("pywerf.backend.buildah.listing._PLAIN_BYTES", 0)
    assert listed(tmp_path, ".") == plain


def test_an_empty_directory(tmp_path: Path) -> None:
    assert listed(tmp_path, ".") == {}


def test_too_many_files_are_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pywerf.backend.buildah.listing._MAX_BYTES", 10)
    (tmp_path / "a").write_text("a")
    source = files(tmp_path)
    assert listing_of(select(source.tree, CopyOp((".",), "/", True), ""), source, owners=False) == b""


@pytest.mark.parametrize("data", [b"", b"text", b"\0", b"\0\x93", b"\1x\x9c\x03\x00\x00\x00\x00\x01"])
def test_what_is_no_list(data: bytes) -> None:
    with pytest.raises(ValueError, match="no list of files"):
        read_listing(data)
