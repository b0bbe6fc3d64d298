from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pywerf.errors import InvalidDigest, InvalidReference
from pywerf.oci.digest import Digest
from pywerf.oci.reference import Reference

SHA = "sha256:" + "f" * 64

COMPONENT = st.from_regex(r"[a-z0-9]{1,6}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}", fullmatch=True)
# without a host the first of several components must not look like one: no dot, no "localhost"
FIRST = st.from_regex(r"[a-z0-9]{1,6}(?:(?:_|__|-{1,3})[a-z0-9]{1,4})?", fullmatch=True).filter(
    lambda x: x != "localhost"
)
PATH = st.builds(lambda first, rest: "/".join([first, *rest]), FIRST, st.lists(COMPONENT, max_size=3))
HOST = st.one_of(
    st.just("localhost"),
    st.from_regex(r"[a-zA-Z0-9]{1,5}\.[a-z0-9]{1,5}(?::[0-9]{1,5})?", fullmatch=True),
    st.from_regex(r"[a-z]{1,8}:[0-9]{1,5}", fullmatch=True),
    st.from_regex(r"\[[0-9a-f]{1,4}::[0-9a-f]{0,4}\](?::[0-9]{1,5})?", fullmatch=True),
)
TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
TEXT = st.builds(
    lambda host, path, tag, digest: (
        (f"{host}/" if host else "") + path + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    ),
    st.none() | HOST,
    PATH,
    st.none() | TAG,
    st.none() | st.just(SHA),
)


@given(TEXT)
def test_what_is_written_is_read_again(text: str) -> None:
    reference = Reference.parse(text)
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(str(reference.tagged())) == reference.tagged()


@given(st.text(alphabet="aB0./:@_-[] ", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except (InvalidReference, InvalidDigest):
        return
    assert Reference.parse(str(reference)) == reference


@given(TEXT)
def test_the_familiar_form_means_the_same(text: str) -> None:
    reference = Reference.parse(text)
    assume(reference.host)
    short = Reference.parse(reference.familiar)
    assert (short if short.host else short.with_host("docker.io")) == reference


# The examples of distribution/reference, reference_test.go: (text, host, repository, tag, digest?)
EXAMPLES = [
    ("test_com", "", "test_com", "", False),
    ("test.com:tag", "", "test.com", "tag", False),
    ("test.com:5000", "", "test.com", "5000", False),
    ("test.com/repo:tag", "test.com", "repo", "tag", False),
    ("test:5000/repo", "test:5000", "repo", "", False),
    ("test:5000/repo:tag", "test:5000", "repo", "tag", False),
    (f"test:5000/repo@{SHA}", "test:5000", "repo", "", True),
    (f"test:5000/repo:tag@{SHA}", "test:5000", "repo", "tag", True),
    ("lowercase:Uppercase", "", "lowercase", "Uppercase", False),
    ("sub-dom1.foo.com/bar/baz/quux", "sub-dom1.foo.com", "bar/baz/quux", "", False),
    ("sub-dom1.foo.com/bar/baz/quux:some-long-tag", "sub-dom1.foo.com", "bar/baz/quux", "some-long-tag", False),
    ("b.gcr.io/test.example.com/my-app:test.example.com", "b.gcr.io", "test.example.com/my-app", "test.example.com", 0),
    ("xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com", "myimage", "xn--n3h.com", False),
    ("foo_bar.com:8080", "", "foo_bar.com", "8080", False),
    ("foo/foo_bar.com:8080", "", "foo/foo_bar.com", "8080", False),
    ("192.168.1.1", "", "192.168.1.1", "", False),
    ("192.168.1.1:tag", "", "192.168.1.1", "tag", False),
    ("192.168.1.1/repo", "192.168.1.1", "repo", "", False),
    ("192.168.1.1:5000/repo:5050", "192.168.1.1:5000", "repo", "5050", False),
    ("[2001:db8::1]/repo", "[2001:db8::1]", "repo", "", False),
    ("[2001:db8::1]:5000/repo:tag", "[2001:db8::1]:5000", "repo", "tag", False),
    ("[2001:db8:1:2:3:4:5:6]:5000/repo", "[2001:db8:1:2:3:4:5:6]:5000", "repo", "", False),
    (f"[2001:db8::1]:5000/repo@{SHA}", "[2001:db8::1]:5000", "repo", "", True),
    ("localhost/app", "localhost", "app", "", False),
    ("Uppercase/lowercase", "Uppercase", "lowercase", "", False),
    ("a__b/c--d/e.f", "", "a__b/c--d/e.f", "", False),
]


@pytest.mark.parametrize(("text", "host", "repository", "tag", "has_digest"), EXAMPLES)
def test_examples_of_the_grammar(text: str, host: str, repository: str, tag: str, has_digest: bool) -> None:
    reference = Reference.parse(text)
    assert (reference.host, reference.repository, reference.tag) == (host, repository, tag)
    assert reference.digest == (Digest.parse(SHA) if has_digest else None)
    assert str(reference) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (":justtag", "empty"),
        (f"@{SHA}", "empty"),
        ("repo:", "tag '' is not allowed"),
        ("repo:-tag", "tag"),
        ("repo:" + "a" * 129, "tag"),
        ("Uppercase:tag", "lower case"),
        ("test:5000/Uppercase/lowercase:tag", "lower case"),
        ("a/" * 128 + "a:tag", "255"),
        ("aa/asdf$$^/aa", "not allowed"),
        ("a//b", "not allowed"),
        ("/a", "not allowed"),
        ("a/", "not allowed"),
        ("a___b", "not allowed"),
        ("a..b", "not allowed"),
        (".a", "not allowed"),
        ("repo name", "not allowed"),
        ("repo\n", "not allowed"),
        ("http://x.com/repo", "registry"),
        ("-x.com/repo", "registry"),
        ("[fe80::1%eth0]:5000/repo", "registry"),
        ("[fe80::1%25eth0]/repo", "registry"),
    ],
)
def test_errors_say_why(text: str, why: str) -> None:
    with pytest.raises(InvalidReference, match=why) as caught:
        Reference.parse(text)
    assert repr(text) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("digest", ["sha256:ffff", "invaliddigest:" + "f" * 64, "", SHA + "0"])
def test_digests_are_whole(digest: str) -> None:
    with pytest.raises(InvalidDigest):
        Reference.parse(f"repo@{digest}")


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("docker.io/alpine", "docker.io/library/alpine"),
        ("index.docker.io/alpine:3", "docker.io/library/alpine:3"),
        ("docker.io/me/app", "docker.io/me/app"),
    ],
)
def test_names_of_docker_hub(text: str, full: str) -> None:
    assert str(Reference.parse(text)) == full


def test_with_host_and_selector() -> None:
    short = Reference.parse("app:1")
    assert str(short.with_host("docker.io")) == "docker.io/library/app:1"
    assert str(short.with_host("localhost")) == "localhost/app:1"
    assert short.with_host("localhost").name == "localhost/app"
    assert (short.selector, Reference.parse("app").selector) == ("1", "latest")
    assert Reference.parse(f"app:1@{SHA}").selector == SHA
    assert str(Reference.parse(f"app@{SHA}").tagged()) == f"app@{SHA}"
