"""`--manifest`: images join a list, one build after the other, and at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.build.options import BuildOptions
from pywerf.build.session import Session
from pywerf.errors import BuildError, InvalidReference
from pywerf.oci.manifest import Index, parse_manifest
from pywerf.oci.media_types import DOCKER_INDEX, OCI_INDEX, ImageFormat
from pywerf.oci.platform import Platform

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")

Build = Callable[..., str]


@pytest.fixture
def build(session: Session, tmp_path: Path) -> Build:
    (tmp_path / "context").mkdir()

    def make(
        label: str, *platforms: Platform, into: str = "list", tags: tuple[str, ...] = (), form: ImageFormat = "oci"
    ) -> str:
        folder = tmp_path / "context"
        (folder / "Dockerfile").write_text(f"FROM scratch\nLABEL label={label}\n")
        options = BuildOptions(str(folder), manifest=into, platforms=platforms, tags=tags, image_format=form)
        return str(session.build(options).image_id)

    return make


def index_of(session: Session, name: str) -> Index:
    record = session.find_image(name)
    document = parse_manifest(session.store.blobs.read(record.manifest_digest), record.media_type)
    assert isinstance(document, Index)
    return document


def platforms_of(session: Session, name: str) -> list[str]:
    return [str(item.platform) for item in index_of(session, name).manifests]


def test_a_list_is_made_and_grows(build: Build, session: Session) -> None:
    one = build("a", AMD64)
    assert session.find_image("list").names == ("localhost/list:latest",)
    assert platforms_of(session, "list") == ["linux/amd64"]
    assert session.find_image(one).names == ()
    two = build("a", ARM64, tags=("named",))
    assert platforms_of(session, "list") == ["linux/amd64", "linux/arm64"]
    assert str(session.find_image("named").id) == two
    assert [record.id for record in session.store.images.list() if record.is_index] == [session.find_image("list").id]
    size = sum(session.find_image(image).size for image in (one, two))
    assert session.find_image("list").size == size


def test_what_is_there_is_not_added_again(build: Build, session: Session) -> None:
    build("a", AMD64)
    before = session.find_image("list")
    build("a", AMD64)
    assert session.find_image("list") == before


def test_another_image_of_the_same_platform_comes_beside(build: Build, session: Session) -> None:
    build("a", AMD64)
    build("b", AMD64)
    assert platforms_of(session, "list") == ["linux/amd64", "linux/amd64"]


def test_several_platforms_at_once_are_the_list(build: Build, session: Session) -> None:
    assert build("a", AMD64, ARM64) == str(session.find_image("list").id)
    assert build("b", AMD64, ARM64) == str(session.find_image("list").id)
    assert len(platforms_of(session, "list")) == 4


def test_a_tag_of_several_platforms_has_these_alone(build: Build, session: Session) -> None:
    build("a", AMD64)
    tagged = build("b", AMD64, ARM64, tags=("tagged",))
    assert tagged == str(session.find_image("tagged").id)
    assert len(platforms_of(session, "tagged")) == 2
    assert len(platforms_of(session, "list")) == 3


def test_an_index_that_has_another_name_is_left(build: Build, session: Session) -> None:
    build("a", AMD64, ARM64, tags=("kept",))
    build("b", AMD64)
    assert platforms_of(session, "kept") == ["linux/amd64", "linux/arm64"]
    assert len(platforms_of(session, "list")) == 3


@pytest.mark.parametrize(("form", "kind"), [("oci", OCI_INDEX), ("docker", DOCKER_INDEX)])
def test_a_list_keeps_its_form(build: Build, session: Session, form: ImageFormat, kind: str) -> None:
    build("a", AMD64, form=form)
    build("b", ARM64, form="docker" if form == "oci" else "oci")
    assert index_of(session, "list").media_type == kind


def test_an_image_is_no_list(build: Build, session: Session) -> None:
    build("a", AMD64, tags=("image",))
    with pytest.raises(BuildError, match="localhost/image:latest: an image has this name, not a manifest list"):
        build("b", AMD64, into="image")
    with pytest.raises(InvalidReference):
        build("b", AMD64, into="UPPER")
    assert len(session.store.images.list()) == 2


def test_builds_at_once_lose_nothing(make_session: Callable[..., Session], tmp_path: Path) -> None:
    def one(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "Dockerfile").write_text(f"FROM scratch\nLABEL n={number}\n")
        make_session().build(BuildOptions(str(folder), manifest="list", platforms=(AMD64,)))

    make_session()
    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(platforms_of(make_session(), "list")) == 6
