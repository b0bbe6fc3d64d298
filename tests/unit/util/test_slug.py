"""Slugs against werf's own known answers, and what holds for any text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.util.murmur3 import murmur3_32, murmur3_hex
from pywerf.util.slug import SLUG_KINDS, SlugKind, is_docker_tag, slug, slugify


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", 0), (b"test", 0xBA6BD213), (b"Hello, world!", 0xC0363E43)],
)
def test_murmur3(data: bytes, expected: int) -> None:
    assert murmur3_32(data) == expected


def test_hash_of_several_texts_and_without_leading_zeros() -> None:
    assert murmur3_hex("a", "b") == murmur3_hex("a:::b")
    assert murmur3_hex("da/ta") == "afa96f8"


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("docker-tag", "", ""),
        ("docker-tag", "Data_1.2-x", "Data_1.2-x"),
        ("docker-tag", "-data", "data-a871d86e"),
        ("docker-tag", "da/ta", "da-ta-afa96f8"),
        ("docker-tag", "x" * 128, "x" * 128),
        ("docker-tag", "x" * 129, "x" * 119 + "-8cca70eb"),
        ("docker-tag", "漢字", murmur3_hex("漢字")),
        ("helm-release", "data", "data"),
        ("helm-release", "x" * 54, "x" * 44 + "-18c5dfb9"),
        ("kubernetes-namespace", "da_ta", "da-ta-3b339d14"),
        ("kubernetes-namespace", "x" * 64, "x" * 54 + "-afd4efcd"),
        ("project", "my-project", "my-project"),
        ("project", "My Project", f"my-project-{murmur3_hex('My Project')}"),
    ],
)
def test_slugs(kind: SlugKind, text: str, expected: str) -> None:
    assert slug(text, kind) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Àß c/Æ_d.e:F", "ab-c-ae-d-e-f"),
        ("--a--b--", "a-b"),
        ("Ёж и Щука", "yozh-i-shchuka"),
        ("×²™", "x2tm"),
        ("漢字", ""),
    ],
)
def test_slugify(text: str, expected: str) -> None:
    assert slugify(text) == expected


@given(st.text(max_size=300), st.sampled_from(SLUG_KINDS))
def test_any_text_becomes_a_valid_name_that_stays(text: str, kind: SlugKind) -> None:
    name = slug(text, kind)
    assert slug(name, kind) == name
    assert bool(name) == bool(text)
    assert not name or is_docker_tag(name)


@given(st.text(max_size=100))
def test_slugified_text_has_nothing_else(text: str) -> None:
    assert re.fullmatch("([a-z0-9]+(-[a-z0-9]+)*)?", slugify(text))
