from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import InvalidValue
from pywerf.source.git_url import GitUrl, is_git_url, is_http_url, parse_git_url, redact, with_wishes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://example.com/foo.git", GitUrl("https://example.com/foo.git")),
        ("https://example.com/foo.git#deadbeef", GitUrl("https://example.com/foo.git", "deadbeef")),
        ("https://example.com/foo.git#release/1.2", GitUrl("https://example.com/foo.git", "release/1.2")),
        (
            "https://example.com/foo.git#baz/qux:quux/quuz",
            GitUrl("https://example.com/foo.git", "baz/qux", "quux/quuz"),
        ),
        ("https://example.com/foo.git#:myfolder", GitUrl("https://example.com/foo.git", "", "myfolder")),
        ("https://example.com/foo.git#:../a/./b/", GitUrl("https://example.com/foo.git", "", "a/b")),
        ("https://u:p@example.com/foo.git", GitUrl("https://u:p@example.com/foo.git")),
        ("git://example.com/foo", GitUrl("git://example.com/foo")),
        ("ssh://git@example.com:22/foo#v1", GitUrl("ssh://git@example.com:22/foo", "v1")),
        ("git@github.com:moby/buildkit.git#v1:d", GitUrl("git@github.com:moby/buildkit.git", "v1", "d")),
        ("github.com/moby/buildkit#master", GitUrl("https://github.com/moby/buildkit", "master")),
        (
            "https://example.com/foo.git?ref=v1.0.0&subdir=/sub",
            GitUrl("https://example.com/foo.git", "v1.0.0", "sub"),
        ),
        ("https://example.com/foo.git?tag=v1", GitUrl("https://example.com/foo.git", "refs/tags/v1")),
        ("https://example.com/foo.git?branch=a%2Fb", GitUrl("https://example.com/foo.git", "refs/heads/a/b")),
        (
            "https://example.com/foo.git?branch=refs/heads/a#refs/heads/a",
            GitUrl("https://example.com/foo.git", "refs/heads/a"),
        ),
        (
            "https://example.com/foo.git?commit=0123abc",
            GitUrl("https://example.com/foo.git", "0123abc", checksum="0123abc"),
        ),
        (
            "https://example.com/foo.git?checksum=0123abc&keep-git-dir&submodules=false#v1",
            GitUrl("https://example.com/foo.git", "v1", "", "0123abc", True, False),
        ),
    ],
)
def test_git_urls(text: str, expected: GitUrl) -> None:
    assert is_git_url(text)
    assert not is_http_url(text)
    assert parse_git_url(text) == expected


@pytest.mark.parametrize(
    ("text", "http"),
    [
        ("https://example.com/", True),
        ("https://example.com/foo", True),
        ("https://example.com/foo.git/", True),
        ("https://example.com/foo.git.bar", True),
        ("http://example.com/foo.git:#branch", True),
        ("https://example.git", True),
        ("HTTPS://example.com/x.tar.gz?y=.git", True),
        ("custom.xyz/moby/buildkit.git", False),
        (".git", False),
        ("./github.com/x", False),
        ("../x.git", False),
        ("ftp://example.com/foo.git", False),
        ("a b@host:path", False),
        ("user@host", False),
        ("file:///srv/x.git", False),
        ("", False),
        ("-", False),
    ],
)
def test_what_is_no_git_url(text: str, http: bool) -> None:
    assert not is_git_url(text)
    assert is_http_url(text) is http
    with pytest.raises(InvalidValue):
        parse_git_url(text)


def test_file_urls_are_for_users_alone() -> None:
    assert is_git_url("file:///srv/x.git", local=True)
    assert parse_git_url("file:///srv/x.git#v1:d", local=True) == GitUrl("file:///srv/x.git", "v1", "d")
    with pytest.raises(InvalidValue, match="absolute"):
        parse_git_url("file://srv/x.git", local=True)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("ref=a&ref=b", "more than once"),
        ("ref=", "no value"),
        ("tag=a&branch=b", "exclude each other"),
        ("ref=a#b", "two refs"),
        ("tag=a#a", "two refs"),
        ("subdir=a#:b", "two folders"),
        ("commit=abcd&checksum=abce", "two commits"),
        ("commit=xyz", "hexadecimal"),
        ("submodules=perhaps", "true or false"),
        ("depth=1", "unknown key 'depth'"),
    ],
)
def test_bad_queries(query: str, message: str) -> None:
    with pytest.raises(InvalidValue, match=message) as caught:
        parse_git_url(f"https://user:secret@example.com/foo.git?{query}")
    assert "secret" not in caught.value.message


def test_names() -> None:
    assert parse_git_url("https://example.com/a/foo.git").name == "foo"
    assert parse_git_url("git@example.com:foo.git").name == "foo"


def test_redact() -> None:
    assert redact("https://user:pass@host/x") == "https://user:xxxxx@host/x"
    assert redact("https://token@host/x") == "https://xxxxx@host/x"
    assert redact("https://:pass@host/x") == "https://xxxxx@host/x"
    assert redact("ssh://git@host/x") == "ssh://git@host/x"
    assert redact("ssh://git:pass@host/x") == "ssh://git:xxxxx@host/x"
    assert redact("https://host/a@b") == "https://host/a@b"
    assert redact("git@host:path") == "git@host:path"


@given(st.text(alphabet="abc.git:/#?@&=%-~", max_size=40))
def test_any_text_is_sorted_out(text: str) -> None:
    for candidate in (text, f"https://host/{text}", f"git@host:{text}"):
        assert not (is_git_url(candidate) and is_http_url(candidate))
        try:
            url = parse_git_url(candidate)
        except InvalidValue:
            continue
        assert is_git_url(candidate)
        assert not set(url.subdir.split("/")) & {".", ".."}
        assert "#" not in url.remote


def test_wishes_go_into_the_query() -> None:
    url = "https://example.org/r.git#v1:sub"
    assert with_wishes(url) == url
    wished = parse_git_url(with_wishes(url, keep_git_dir=True, checksum="abcdef"))
    assert (wished.keep_git_dir, wished.checksum, wished.ref, wished.subdir) == (True, "abcdef", "v1", "sub")
    assert with_wishes("git@example.org:r.git?branch=b", keep_git_dir=False).endswith("?branch=b&keep-git-dir=false")
    assert with_wishes("git@example.org:r.git?keep-git-dir=true", keep_git_dir=True).count("keep-git-dir") == 1


@pytest.mark.parametrize("wish", [{"keep_git_dir": False}, {"checksum": "bbbbbb"}])
def test_wishes_that_contradict_the_url(wish: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        with_wishes("https://example.org/r.git?keep-git-dir=true&checksum=aaaaaa", **wish)
