from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import InvalidDigest
from pywerf.oci.digest import EMPTY_SHA256, Digest

LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


@given(st.sampled_from(sorted(LENGTHS)), st.data())
def test_what_is_written_is_read_again(algorithm: str, data: st.DataObject) -> None:
    text = f"{algorithm}:" + data.draw(
        st.text("0123456789abcdef", min_size=LENGTHS[algorithm], max_size=LENGTHS[algorithm])
    )
    digest = Digest.parse(text)
    assert str(digest) == text
    assert (digest.algorithm, digest.hex) == (algorithm, text.partition(":")[2])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha256:" + "A" * 64,
        "sha256:" + "g" * 64,
        "sha256:" + "a" * 63 + "\n",
        "sha256:" + "a" * 32 + "/../" + "a" * 28,
        "SHA256:" + "a" * 64,
        "sha512:" + "a" * 64,
        "md5:" + "a" * 32,
        "sha256-" + "a" * 64,
        ":" + "a" * 64,
        "sha256:" + "٣" * 64,
    ],
)
def test_other_text_is_refused_and_shown(text: str) -> None:
    with pytest.raises(InvalidDigest, match="invalid digest") as caught:
        Digest.parse(text)
    assert repr(text) in str(caught.value)


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_chunks_are_digested_as_one(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    assert Digest.of_chunks(chunks) == Digest.of(whole) == Digest.sha256(hashlib.sha256(whole).hexdigest())


def test_short_form_and_empty() -> None:
    assert Digest.of(b"") == EMPTY_SHA256
    assert EMPTY_SHA256.short == "e3b0c44298fc"


def test_digests_are_values() -> None:
    one, two = Digest.of(b"1"), Digest.of(b"2")
    assert {one: 1}[Digest.of(b"1")] == 1
    assert sorted([one, two]) == sorted([two, one], key=str)
