"""Stages in archives: there and back, and archives that lie."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywerf.build.project.storage.model import StageId
from pywerf.build.project.storage.records import ManagedImage
from pywerf.build.stages.archive import DOCUMENT, ArchiveOrigin, ArchiveTarget
from pywerf.build.stages.contents import Contents, all_contents
from pywerf.build.stages.places import RepositoryOrigin
from pywerf.errors import ArchiveError, DigestMismatch, RegistryError, RegistryNotFound
from support.fake_registry import FakeRegistry, digest_of
from support.stage_shelf import Shelf, stage_id

from .conftest import Copying

COMMIT = "c" * 40


@pytest.fixture
def filled(a: Shelf) -> Shelf:
    for number in (1, 2, 3):
        a.stage(number)
        a.built("web", COMMIT, stage_id(number))
    a.index(9, 1, 2)
    a.manage("web")
    a.manage("a name " + "x" * 200)
    a.custom("v1", stage_id(3))
    return a


@pytest.mark.parametrize("name", ["stages.tar", "stages.tar.gz", "stages.tgz"])
def test_there_and_back(name: str, filled: Shelf, b: Shelf, copying: Copying, fake_registry: FakeRegistry) -> None:
    path = copying.pack(filled, name)
    assert (path.read_bytes()[:2] == b"\x1f\x8b") is (name != "stages.tar")
    assert set(os.listdir(path.parent)) <= {name, "home"}
    done = copying.unpack(path, b)
    assert str(done) == "4 stages, 6 records copied"
    assert b.tags == filled.tags
    for tag in b.tags:
        assert fake_registry.manifests["b", tag] == fake_registry.manifests["a", tag]
    assert str(copying.unpack(path, b)) == "0 stages, 0 records copied; 4 stages there already"


def test_a_blob_of_several_stages_is_in_it_once(a: Shelf, copying: Copying, fake_registry: FakeRegistry) -> None:
    big, small = b"x" * (1 << 21), b"small"
    for number in range(1, 9):
        fake_registry.add_image("a", str(stage_id(number)), (big, small, b"own" * number))
    contents = Contents("shop", tuple(stage_id(number) for number in range(1, 9)))
    path = copying.folder / "s.tar"
    copying.copied(contents, RepositoryOrigin(a.storage), ArchiveTarget(str(path)), jobs=8)
    with tarfile.open(path) as archive:
        names = archive.getnames()
    assert len(names) == len(set(names))
    for blob in (big, small):
        assert names.count("blobs/" + digest_of(blob).replace(":", "/")) == 1
        assert len(fake_registry.seen("GET", f"/v2/a/blobs/{digest_of(blob)}")) == 1


def test_nothing_is_left_of_a_copy_that_fails(filled: Shelf, copying: Copying, fake_registry: FakeRegistry) -> None:
    path = copying.folder / "stages.tar"
    path.write_text("an older one")
    contents = all_contents(filled.storage, "shop", jobs=1)
    fake_registry.fail("GET", "/v2/a/blobs/", 400, times=50)
    with pytest.raises(RegistryError):
        copying.copied(contents, RepositoryOrigin(filled.storage), ArchiveTarget(str(path)))
    assert path.read_text() == "an older one"
    assert set(os.listdir(copying.folder)) <= {"stages.tar", "home"}


# archives that lie


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A copy of an archive with other files."""
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]  # all are files
    change(files)
    other = path.with_name("other.tar")
    with tarfile.open(other, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return other


def with_document(path: Path, **fields: Any) -> Path:
    def change(files: dict[str, bytes]) -> None:
        files[DOCUMENT] = json.dumps({**json.loads(files[DOCUMENT]), **fields}).encode()

    return rewritten(path, change)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"version": 2}, "version 2"),
        ({"version": "1"}, "Expected `int`"),
        ({"project": "../x"}, "the project '../x'"),
        ({"metadata": ["../../other/manifests/latest"]}, "none of an image at a commit"),
        ({"metadata": ["cleanup"]}, "none of an image at a commit"),
        ({"metadata": [f"meta-../x_{COMMIT}_{stage_id(1)}"]}, "that is no tag"),
        ({"metadata": [f"meta-x_{COMMIT}_{stage_id(8)}"]}, "not in the archive"),
        ({"imports": [["../x", str(stage_id(1)), ""]]}, "that is no tag"),
        ({"imports": [["x", "latest", ""]]}, "no stage's name"),
        ({"custom": {"../x": str(stage_id(1))}}, "custom tag '../x'"),
        ({"custom": {"cleanup": str(stage_id(1))}}, "custom tag 'cleanup'"),
        ({"custom": {"client-id-x-1": str(stage_id(1))}}, "custom tag 'client-id-x-1'"),
        ({"custom": {str(stage_id(2)): str(stage_id(1))}}, "custom tag"),
        ({"custom": {f"{stage_id(2)}-rejected": str(stage_id(1))}}, "custom tag"),
        ({"custom": {"v1": str(stage_id(8))}}, "not in the archive"),
        ({"managed": "web"}, "Expected `array`"),
    ],
)
def test_documents_that_are_refused(fields: dict[str, Any], why: str, filled: Shelf, copying: Copying) -> None:
    path = with_document(copying.pack(filled), **fields)
    with pytest.raises(ArchiveError, match=why):
        ArchiveOrigin(str(path))


def test_any_name_of_an_image_is_a_tag_of_its_record(filled: Shelf, b: Shelf, copying: Copying) -> None:
    names = ["../../x", "", "a b", "x" * 500, "\n"]
    copying.unpack(with_document(copying.pack(filled), managed=names), b)
    assert {ManagedImage(name).tag for name in names} <= b.tags


def test_images_that_are_no_stages_are_refused(filled: Shelf, copying: Copying) -> None:
    def change(files: dict[str, bytes]) -> None:
        files["index.json"] = files["index.json"].replace(str(stage_id(1)).encode(), b"latest")

    path = rewritten(copying.pack(filled), change)
    with pytest.raises(ArchiveError, match="'latest': it is not called as stages are"):
        ArchiveOrigin(str(path))


def test_blobs_and_manifests_are_checked(filled: Shelf, make_shelf: Callable[[str], Shelf], copying: Copying) -> None:
    path = copying.pack(filled)
    with tarfile.open(path) as archive:
        blobs = [name for name in archive.getnames() if name.startswith("blobs/")]
    assert len(blobs) == 7  # three images, and an index
    for number, blob in enumerate(blobs):

        def change(files: dict[str, bytes], blob: str = blob) -> None:
            files[blob] = files[blob][:-1] + b" "

        target = make_shelf(f"b{number}")
        with pytest.raises(DigestMismatch, match="stage "):
            copying.unpack(rewritten(path, change), target)
        assert len([tag for tag in target.tags if StageId.parse(tag)]) < 4
        assert not {tag for tag in target.tags if StageId.parse(tag) is None}


def test_indexes_that_name_each_other_a_million_times(filled: Shelf, b: Shelf, copying: Copying) -> None:
    def change(files: dict[str, bytes]) -> None:
        entry: dict[str, Any] = {}
        kind = "application/vnd.oci.image.index.v1+json"
        inner = json.loads(files["index.json"])["manifests"][:1]
        for _ in range(3):
            data = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": inner}).encode()
            files[f"blobs/{digest_of(data).replace(':', '/')}"] = data
            entry = {"mediaType": kind, "digest": digest_of(data), "size": len(data)}
            inner = [entry] * 1000
        entry["annotations"] = {"org.opencontainers.image.ref.name": stage_id(7).digest}
        files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
        files[DOCUMENT] = json.dumps({"version": 1, "project": "shop"}).encode()

    assert copying.unpack(rewritten(copying.pack(filled), change), b).stages == 1


def test_other_archives_are_told_from_them(copying: Copying) -> None:
    path = copying.folder / "other.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo(f"stages/{stage_id(1)}.tar.gz"))
    with pytest.raises(ArchiveError, match="no archive of stages") as caught:
        ArchiveOrigin(str(path))
    assert "upstream's" in (caught.value.hint or "")
    with pytest.raises(RegistryNotFound, match="archive:/nowhere: no such file"):
        ArchiveOrigin("/nowhere")
