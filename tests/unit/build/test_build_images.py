"""Builds without a command: from a Dockerfile to an image in the store, with real contexts and a registry beside."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pywerf.build.options import BuildOptions, Output
from pywerf.build.session import Session
from pywerf.errors import BuildError, DockerfileError, IsolationError, UsageError, WerfError
from pywerf.oci.config import ImageConfig
from pywerf.oci.manifest import Index, parse_manifest
from pywerf.oci.platform import Platform
from pywerf.report.quiet import QuietReporter
from support.builds import write
from support.fake_registry import FakeRegistry
from support.image_values import Image

EPOCH = "2001-09-09T01:46:40Z"


class Build:
    """Builds a folder with one session; options by name."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.session = session
        self.folder = folder

    def __call__(self, dockerfile: str = "", **options: Any) -> ImageConfig:
        if dockerfile:
            (self.folder / "Dockerfile").write_text(dockerfile)
        given = msgspec.structs.replace(BuildOptions(context=str(self.folder)), **options)
        result = self.session.build(given)
        self.result = result
        return ImageConfig.from_json(self.session.store.blobs.read(result.image_id))


@pytest.fixture
def build(session: Session, tmp_path: Path) -> Build:
    return Build(session, write(tmp_path / "context", {"f": "content", "d/g": "more"}))


def test_an_image_of_copies(build: Build) -> None:
    config = build('FROM scratch\nCOPY f /\nCOPY d /d\nENV A=b\nCMD ["/f"]\n', tags=("app:1", "app:2"))
    assert len(config.diff_ids) == 2
    assert config.config.cmd == ("/f",)
    assert "A=b" in config.config.env
    assert [item.empty_layer for item in config.history] == [False, False, True, True]
    record = build.session.find_image("app:1")
    assert record.names == ("localhost/app:1", "localhost/app:2")
    assert build.result.names == record.names
    assert build.result.image_id == record.id


def test_an_image_of_nothing(build: Build) -> None:
    assert build("FROM scratch\nLABEL a=b\n").diff_ids == ()


def test_the_same_twice_is_one_image(build: Build) -> None:
    text = "FROM scratch\nCOPY . /all/\nLABEL a=b\n"
    first = build(text)
    assert build(text) == first
    assert len(build.session.store.images.list()) == 1


def test_a_failure_tags_nothing_and_keeps_what_was_finished(build: Build) -> None:
    with pytest.raises(BuildError, match="not found") as caught:
        build("FROM scratch\nCOPY f /\nCOPY gone /\n", tags=("app:1",))
    assert caught.value.source is not None
    assert (caught.value.source.first, caught.value.source.lines) == (3, ("COPY gone /",))
    assert build.session.store.images.list() == []
    assert len(build.session.store.cache.list()) == 1, "the first COPY is cached for the next try"


def test_a_dockerfile_that_is_wrong_at_its_line(build: Build) -> None:
    with pytest.raises(DockerfileError, match="COPPY") as caught:
        build("FROM scratch\nCOPPY f /\n")
    assert caught.value.source is not None
    assert caught.value.source.first == 2


@pytest.mark.parametrize("option", ["timestamp", "source_date_epoch"])
def test_fixed_times(build: Build, make_session: Callable[..., Session], option: str) -> None:
    text = "FROM scratch\nWORKDIR /made\nCOPY f deep/\nLABEL a=b\n"
    config = build(text, **{option: 1_000_000_000})
    assert {config.created, *(item.created for item in config.history)} == {EPOCH}
    other = Build(make_session("other"), build.folder)
    os.utime(build.folder / "f", ns=(10**18, 10**18))
    if option == "timestamp":
        os.utime(build.folder / "f")
    again = other(text, **{option: 1_000_000_000})
    if option == "timestamp":
        assert again == config, "in another store, at another time"
    assert again.diff_ids[0] == config.diff_ids[0], "directories that are made have the time as well"


def test_clamped_and_other_builds_do_not_share_layers(build: Build) -> None:
    plain = build("FROM scratch\nCOPY f /\n")
    clamped = build("FROM scratch\nCOPY f /\n", timestamp=5)
    assert plain.diff_ids != clamped.diff_ids
    assert build("FROM scratch\nCOPY f /\n").diff_ids == plain.diff_ids


def test_args_labels_and_env(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_HOST", "host")
    config = build(
        "FROM scratch\nARG A\nARG FROM_HOST\nARG NONE=default\nLABEL l=$A-$FROM_HOST-$NONE kept=1\nENV DROP=1\n",
        build_args=(("A", "a"), ("FROM_HOST", None), ("NONE", None)),
        labels=(("more", "2"),),
        env=(("NEW", "3"), ("FROM_HOST", None), ("MISSING", None)),
        unset_env=("DROP",),
    )
    assert config.config.labels == {"l": "a-host-default", "kept": "1", "more": "2"}
    assert {"NEW=3", "FROM_HOST=host"} <= set(config.config.env)
    assert not [item for item in config.config.env if item.startswith(("DROP", "MISSING"))]


def test_platforms_make_an_index(build: Build) -> None:
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm64"))
    (build.folder / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nLABEL a=$TARGETARCH\nCOPY f /\n")
    options = BuildOptions(context=str(build.folder), platforms=platforms, tags=("multi:1",))
    result = build.session.build(options)
    record = build.session.find_image("multi:1")
    assert record.is_index
    assert result.manifest_digest == record.manifest_digest
    index = parse_manifest(build.session.store.blobs.read(record.manifest_digest))
    assert isinstance(index, Index)
    assert [item.platform for item in index.manifests] == list(platforms)
    for item in index.manifests:
        assert build.session.store.blobs.has(item.digest) == item.size


def test_a_base_of_a_registry_is_named_and_not_pulled(
    build: Build, put_image: Callable[[str, Image], str], image: Image, fake_registry: FakeRegistry
) -> None:
    name = put_image("base:1", image)
    config = build(f"FROM {name}\nENV A=b\n")
    assert config.diff_ids == image.config.diff_ids
    assert sum(not item.empty_layer for item in config.history) == 2
    assert not [layer for layer in image.manifest.layers if fake_registry.seen("GET", str(layer.digest))]


def test_iidfile_and_metadata(build: Build, tmp_path: Path) -> None:
    build("FROM scratch\nCOPY f /\n", iidfile=str(tmp_path / "iid"))
    assert (tmp_path / "iid").read_text() == str(build.result.image_id)
    with pytest.raises(BuildError, match="nowhere"):
        build(iidfile=str(tmp_path / "nowhere/iid"))


def test_outputs(build: Build, tmp_path: Path) -> None:
    outputs = (
        Output("local", str(tmp_path / "local")),
        Output("tar", str(tmp_path / "fs.tar")),
        Output("oci", str(tmp_path / "layout"), {"tar": "false"}),
        Output("docker", str(tmp_path / "docker.tar")),
    )
    build("FROM scratch\nCOPY f /x/f\n", outputs=outputs, tags=("app:1",))
    assert (tmp_path / "local/x/f").read_text() == "content"
    assert (tmp_path / "fs.tar").stat().st_size % 512 == 0
    index = json.loads((tmp_path / "layout/index.json").read_text())
    assert len(index["manifests"]) == 1
    assert (tmp_path / "docker.tar").exists()
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize(
    "output",
    [
        Output("zip", "x"),
        Output("oci"),
        Output("tar"),
        Output("local", "-"),
        Output("registry"),
        Output("image", "", {"push": "true"}),
        Output("registry", "r.example.com/x:1", {"compression": "rar"}),
        Output("registry", "UPPER"),
    ],
)
def test_outputs_are_checked_before_anything_is_done(build: Build, output: Output) -> None:
    with pytest.raises(WerfError) as caught:
        build("FROM scratch\nCOPY f /\n", outputs=(output,))
    assert isinstance(caught.value, UsageError) or "UPPER" in str(caught.value)
    assert build.session.store.cache.list() == []


def test_an_output_that_fails_names_the_place(build: Build, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for kind in ("local", "tar"):
        with pytest.raises(BuildError, match=str(tmp_path / "file")):
            build("FROM scratch\nCOPY f /\n", outputs=(Output(kind, str(tmp_path / "file/below")),))


def test_a_context_in_which_a_name_is_not_utf_8(build: Build) -> None:
    with open(os.fsencode(build.folder) + b"/odd-\xff", "wb") as file:
        file.write(b"x")
    config = build("FROM scratch\nCOPY . /all/\n", tags=("odd:1",))
    assert len(config.diff_ids) == 1
    assert build() == config, "and it is cached"


class Meddler(QuietReporter):
    """Changes a file of the context when its digest has been made: before its COPY reads it."""

    def __init__(self, file: Path) -> None:
        super().__init__(io.StringIO())
        self.file = file
        self.changes: dict[int, str] = {}  # by how many digests are yet to come

    @contextmanager
    def span(self, kind: str, name: str) -> Iterator[None]:
        """The time line's hook."""
        yield
        if kind == "digest" and self.changes:
            self.changes = {count - 1: content for count, content in self.changes.items()}
            if 0 in self.changes:
                self.file.write_text(self.changes.pop(0))


def test_a_file_that_changes_under_its_copy_is_not_taken_for_what_it_was(
    make_session: Callable[..., Session], tmp_path: Path
) -> None:
    file = tmp_path / "context" / "f"
    meddler = Meddler(file)
    build = Build(make_session(reporter=meddler), write(tmp_path / "context", {"f": "1111"}))
    layers = [build("FROM scratch\nCOPY f /\n").diff_ids]
    file.write_text("2222")
    meddler.changes = {2: "3333"}  # the first one looks whether it is remembered
    build()
    assert file.read_text() == "3333"
    for content in ("2222", "3333"):
        file.write_text(content)
        (layer,) = build().diff_ids
        with tarfile.open(fileobj=io.BytesIO(build.session.store.blobs.read(layer))) as tar:
            member = tar.extractfile("f")
            assert member is not None
            assert member.read().decode() == content
        layers.append((layer,))
    assert len(set(layers)) == 3


def test_hooks_are_for_runtimes(build: Build, tmp_path: Path) -> None:
    with pytest.raises(IsolationError, match="--hooks-dir: chroot isolation runs no hooks") as caught:
        build("FROM scratch\nLABEL a=b\n", hooks_dirs=(str(tmp_path),))
    assert "--isolation oci" in (caught.value.hint or "")
