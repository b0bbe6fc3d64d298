from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import InvalidPlatform
from pywerf.oci.platform import Platform, host_platform


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("linux/amd64", "linux/amd64"),
        ("Linux/AMD64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/i386", "linux/386"),
        ("windows/amd64", "windows/amd64"),
        ("arm64", "linux/arm64"),
        ("s390x", "linux/s390x"),
    ],
)
def test_platforms_are_normalised_as_containerd_does(text: str, normal: str) -> None:
    assert str(Platform.parse(text)) == normal


def test_a_system_alone_is_of_this_machine() -> None:
    assert Platform.parse("linux") == host_platform()
    assert Platform.parse("windows") == Platform("windows", host_platform().architecture)
    assert host_platform() == Platform.of("linux", os.uname().machine)


@pytest.mark.parametrize("text", ["", "/", "linux/", "/amd64", "linux//v7", "a/b/c/d", "foo", "lunix"])
def test_other_text_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(InvalidPlatform, match="invalid platform") as caught:
        Platform.parse(text)
    assert caught.value.hint is not None
    assert "linux/arm64" in caught.value.hint


WORD = st.from_regex(r"[a-z0-9_]{1,8}", fullmatch=True)


@given(WORD, WORD, st.just("") | WORD)
def test_what_is_written_is_read_again(system: str, architecture: str, variant: str) -> None:
    platform = Platform.of(system, architecture, variant)
    assert Platform.parse(str(platform)) == platform


@pytest.mark.parametrize(
    ("there", "wanted", "fits"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "linux/arm64", False),
        ("windows/amd64", "linux/amd64", False),
        ("linux/arm/v6", "linux/arm/v7", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/amd64", "linux/amd64/v2", True),
        ("linux/amd64/v3", "linux/amd64/v2", False),
        ("linux/amd64/v3", "linux/amd64", True),
    ],
)
def test_which_images_can_be_taken(there: str, wanted: str, fits: bool) -> None:
    assert Platform.parse(there).satisfies(Platform.parse(wanted)) is fits
