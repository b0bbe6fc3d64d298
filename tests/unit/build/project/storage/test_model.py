"""Stages and records as values: what a tag tells, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.build.project.storage.model import StageDescription, StageId
from pywerf.build.project.storage.records import (
    CustomTag,
    ImageMetadata,
    ManagedImage,
    custom_tag_record,
    image_hash,
    is_record,
)
from pywerf.oci.digest import Digest
from pywerf.util.slug import is_docker_tag

DIGEST = "0f" * 28
STAGE = StageId(DIGEST, 1700000000000)


@pytest.mark.parametrize("tag", [f"{DIGEST}-1700000000000", DIGEST])
def test_tags_of_stages(tag: str) -> None:
    stage = StageId.parse(tag)
    assert str(stage) == tag


@pytest.mark.parametrize(
    "tag",
    ["", "latest", DIGEST[:-1], f"{DIGEST}-", f"{DIGEST}-17", f"{DIGEST.upper()}-1700000000000", f"{STAGE}-rejected"],
)
def test_other_tags(tag: str) -> None:
    assert StageId.parse(tag) is None


def test_labels_tell_of_other_stages() -> None:
    other = StageId("ab" * 28, 1700000000001)
    labels = {"werf.io/parent-stage-id": str(STAGE), "werf-dependency-stage-id-1f": str(other)}
    described = StageDescription(other, "r/shop", Digest.of(b""), labels=labels)
    assert described.parent == STAGE
    assert described.dependencies == (other,)
    assert StageDescription(STAGE, "r/shop", Digest.of(b"")).parent is None


@given(st.text(st.sampled_from("abcXYZ019-_./ +é"), max_size=160))
def test_managed_images_have_tags(name: str) -> None:
    record = ManagedImage(name)
    assert is_docker_tag(record.tag)
    assert is_record(record.tag)
    found = ManagedImage.of(record.tag)
    assert found in (record, None)
    if all(letter not in name for letter in "é_") and len(name) < 20:
        assert found == record


@given(st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}", fullmatch=True))
def test_custom_tags_have_records(name: str) -> None:
    record = CustomTag(name, STAGE)
    assert is_docker_tag(record.tag)
    assert record.tag == custom_tag_record(name)
    assert is_record(record.tag)
    assert CustomTag.read(record.labels) == record


def test_records_of_long_custom_tags_differ() -> None:
    assert custom_tag_record("a" * 128) != custom_tag_record("a" * 127 + "b")


def test_metadata() -> None:
    record = ImageMetadata(image_hash("team/web"), "c" * 40, STAGE)
    assert len(record.tag) <= 128
    assert ImageMetadata.of(record.tag) == record
    assert ImageMetadata.of("meta-x") is None
    assert ManagedImage.of(record.tag) is None


@pytest.mark.parametrize(("tag", "known"), [("cleanup", True), (f"{STAGE}-rejected", True), (str(STAGE), False),
                                            ("v1.0", False), ("client-id-x-1", True), ("meta-x", True)])  # fmt: skip
def test_what_is_a_record(tag: str, known: bool) -> None:
    assert is_record(tag) is known
