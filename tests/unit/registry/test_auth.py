"""Authorization: what is asked for, what is sent where, and what never is."""

from __future__ import annotations

import base64
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import RegistryError, RegistryUnauthorized
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.registry.auth import Challenge, parse_challenges
from pywerf.registry.client import RegistryClient
from pywerf.registry.credentials import Credential
from support.fake_registry import FakeRegistry, serving
from support.registry_fixtures import FAST

ALICE = Credential("alice", "s3cret")
MakeClient = Callable[..., RegistryClient]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull,push"',
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://auth.example/token",
                        "service": "registry",
                        "scope": "repository:a/b:pull,push",
                    },
                )
            ],
        ),
        ('Basic realm="x", Bearer realm=y', [Challenge("basic", {"realm": "x"}), Challenge("bearer", {"realm": "y"})]),
        ("Negotiate, Basic realm=x", [Challenge("negotiate"), Challenge("basic", {"realm": "x"})]),
        (r'Basic realm="a \"quoted\" one"', [Challenge("basic", {"realm": 'a "quoted" one'})]),
        ("", []),
        ('"', []),
    ],
)
def test_challenges(header: str, expected: list[Challenge]) -> None:
    assert parse_challenges([header]) == expected


@given(st.text(max_size=200))
def test_any_challenge_is_read(header: str) -> None:
    assert isinstance(parse_challenges([header, "Basic realm=x"]), list)


def test_long_challenge_takes_no_time() -> None:
    assert parse_challenges([" ," * 30_000]) == []
    assert parse_challenges(["Bearer " + 'a="' * 20_000]) != []


def test_basic(make_client: MakeClient, fake_registry: FakeRegistry) -> None:
    fake_registry.auth = "basic"
    fake_registry.add_image("app", "1", (b"layer",))
    make_client(ALICE).manifest("app", "1")
    sent = [request.headers.get("authorization") for request in fake_registry.requests]
    # the scheme is probed without credentials, and its 401 tells all that is needed
    assert sent == [None, "Basic " + base64.b64encode(b"alice:s3cret").decode()]


def test_basic_without_credential(make_client: MakeClient, fake_registry: FakeRegistry) -> None:
    fake_registry.auth = "basic"
    with pytest.raises(RegistryUnauthorized, match="authentication required") as caught:
        make_client(None).manifest("app", "1")
    assert f"werf cr login {fake_registry.host}" in (caught.value.hint or "")


def test_basic_with_wrong_password(make_client: MakeClient, fake_registry: FakeRegistry) -> None:
    fake_registry.auth = "basic"
    with pytest.raises(RegistryUnauthorized) as caught:
        make_client(Credential("alice", "wr0ng-pass")).manifest("app", "1")
    assert len(fake_registry.seen("GET", "manifests")) == 1
    assert "wr0ng-pass" not in repr(caught.value) + str(caught.value.__cause__)


def test_bearer_token_is_asked_once_for_a_scope(make_client: MakeClient, fake_registry: FakeRegistry) -> None:
    fake_registry.auth = "bearer"
    fake_registry.add_image("app", "1", (b"layer",))
    client = make_client(ALICE)
    data, _, _ = client.manifest("app", "1")
    client.find_manifest("app", "1")
    layer = Descriptor("", Digest.of(b"layer"), 5)
    assert b"".join(client.blob("app", layer)) == b"layer"
    tokens = fake_registry.seen("GET", "/token")
    assert [request.query for request in tokens] == [
        {"service": "fake registry", "scope": "repository:app:pull", "account": "alice"}
    ]
    client.put_manifest("app", "2", data, "application/vnd.oci.image.manifest.v1+json")
    assert fake_registry.seen("GET", "/token")[1].query["scope"] == "repository:app:pull,push"
    assert len(fake_registry.seen("GET", "/token")) == 2


def test_anonymous_token(make_client: MakeClient, fake_registry: FakeRegistry) -> None:
    fake_registry.auth = "bearer"
    fake_registry.anonymous_pull = True
    fake_registry.add_image("app", "1", (b"layer",))
    client = make_client(None)
    assert client.manifest("app", "1")[0]
    with pytest.raises(RegistryUnauthorized):
        client.put_manifest("app", "2", b"{}", "application/vnd.oci.image.manifest.v1+json")


def test_identity_token_is_traded_by_post(make_client: MakeClient, fake_registry: FakeRegistry) -> None:
    fake_registry.auth = "bearer"
    fake_registry.add_image("app", "1", (b"layer",))
    make_client(Credential("", "", "identity-of-alice")).manifest("app", "1")
    (request,) = fake_registry.seen("POST", "/token")
    assert request.query == {}
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


def test_refused_user(make_client: MakeClient, fake_registry: FakeRegistry) -> None:
    fake_registry.auth = "bearer"
    with pytest.raises(RegistryUnauthorized, match="gives no access to mallory") as caught:
        make_client(Credential("mallory", "hunter2")).manifest("app", "1")
    assert "hunter2" not in str(caught.value)


def test_expired_token_is_renewed(make_client: MakeClient, fake_registry: FakeRegistry) -> None:
    fake_registry.auth = "bearer"
    fake_registry.token_life = 0  # the client takes that for the default of a minute
    fake_registry.add_image("app", "1", (b"layer",))
    client = make_client(ALICE)
    client.manifest("app", "1")
    fake_registry.tokens.clear()
    # the token is only seconds old: that it is refused is final …
    with pytest.raises(RegistryUnauthorized):
        client.manifest("app", "1")
    # … but it is not used again
    client.manifest("app", "1")


def test_mount_asks_for_both_scopes(make_client: MakeClient, fake_registry: FakeRegistry) -> None:
    fake_registry.auth = "bearer"
    digest = Digest.parse(fake_registry.add_blob("base", b"layer"))
    assert make_client(ALICE).mount_blob("app", digest, "base")
    # parse_qs keeps the last of both
    assert "scope=repository%3Aapp%3Apull%2Cpush&scope=repository%3Abase%3Apull" in (
        fake_registry.seen("GET", "/token")[-1].path
    )


def test_token_server_fails_for_a_moment(make_client: MakeClient, fake_registry: FakeRegistry) -> None:
    fake_registry.auth = "bearer"
    fake_registry.add_image("app", "1", (b"layer",))
    fake_registry.fail("GET", "/token", 503)
    assert make_client(ALICE).manifest("app", "1")[0]


@pytest.mark.parametrize("body", [b"no json", b"{}", b'{"token": 5}', b'{"token": "a\\nb"}', b"[]"])
def test_token_server_talks_nonsense(make_client: MakeClient, fake_registry: FakeRegistry, body: bytes) -> None:
    fake_registry.auth = "bearer"
    fake_registry.fail("GET", "/token", 200, body=body, times=5)
    with pytest.raises(RegistryError, match="token"):
        make_client(ALICE).manifest("app", "1")


@pytest.mark.parametrize("realm", ["ftp://x/", "//", "http://auth.example/token"])
def test_token_server_that_cannot_be_trusted(make_client: MakeClient, fake_registry: FakeRegistry, realm: str) -> None:
    fake_registry.auth = "bearer"
    fake_registry.token_realm = realm
    with pytest.raises(RegistryError, match=r"no usable token server|not encrypted"):
        make_client(ALICE).manifest("app", "1")


def test_no_credential_follows_a_redirect(make_client: MakeClient, fake_registry: FakeRegistry) -> None:
    digest = fake_registry.add_blob("app", b"content")
    for auth in ("basic", "bearer"):
        fake_registry.auth = auth
        with serving("localhost") as other:
            other.add_blob("app", b"content")
            fake_registry.redirect_blobs = f"http://{other.host}"
            client = make_client(ALICE)
            assert b"".join(client.blob("app", Descriptor("", Digest.parse(digest), 7))) == b"content"
            assert [request.method for request in other.requests] == ["GET"]
            assert "authorization" not in other.requests[0].headers
        assert fake_registry.seen("GET", "/blobs/")[-1].headers["authorization"]


def test_nothing_secret_is_shown(make_client: MakeClient, fake_registry: FakeRegistry) -> None:
    settings = msgspec.structs.replace(FAST, creds="alice:s3cret")
    assert "s3cret" not in repr(settings) + repr(ALICE)
    fake_registry.auth = "basic"
    said = {"errors": [{"code": "X", "message": "who is alice:s3cret (" + ALICE.basic() + ")?\x1b[31m"}]}
    fake_registry.fail("GET", "manifests", 400, body=said)
    with pytest.raises(RegistryError) as caught:
        make_client(ALICE).manifest("app", "1")
    assert "s3cret" not in str(caught.value)
    assert ALICE.basic()[6:] not in str(caught.value)
    assert "\x1b" not in str(caught.value)
