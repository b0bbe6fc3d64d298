"""Requests as a whole: another try, waiting, redirects, schemes, and what messages say."""

from __future__ import annotations

import email.utils
import socket
import ssl
from collections.abc import Callable

import msgspec
import pytest

from pywerf.errors import RegistryError, RegistryNotFound
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.registry.client import RegistryClient
from pywerf.registry.retry import Broken, Patience, is_transient, retry_after
from pywerf.registry.settings import has_port, is_loopback
from support.fake_registry import FakeRegistry, serving
from support.registry_fixtures import FAST

MakeClient = Callable[..., RegistryClient]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408, 0])
def test_what_passes_is_tried_again(client: RegistryClient, fake_registry: FakeRegistry, status: int) -> None:
    fake_registry.add_image("app", "1", (b"layer",))
    fake_registry.fail("GET", "manifests", status, times=3)
    assert client.manifest("app", "1")[0]
    assert len(fake_registry.seen("GET", "manifests")) == 4


@pytest.mark.parametrize(("status", "count"), [(503, 4), (400, 1), (501, 1), (404, 1), (451, 1)])
def test_what_stays_is_an_error(client: RegistryClient, fake_registry: FakeRegistry, status: int, count: int) -> None:
    fake_registry.fail("GET", "manifests", status, times=9)
    with pytest.raises(RegistryError) as caught:
        client.manifest("app", "1")
    assert caught.value.status == status
    assert f"{fake_registry.host}/app:1" in str(caught.value)
    assert len(fake_registry.seen("GET", "manifests")) == count


def test_error_documents_are_told(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.fail(
        "GET", "manifests", 429, times=9, body={"errors": [{"code": "TOOMANYREQUESTS", "message": "slow"}]}
    )
    with pytest.raises(RegistryError, match="slow") as caught:
        client.manifest("app", "1")
    assert caught.value.code == "TOOMANYREQUESTS"
    assert "limits its rate" in (caught.value.hint or "")
    fake_registry.failures.clear()
    fake_registry.fail("GET", "manifests", 418, body=b"<html><h1>proxy</h1></html>")
    with pytest.raises(RegistryError, match="status 418"):
        client.manifest("app", "1")


def test_waits_grow_and_honour_retry_after() -> None:
    waits: list[float] = []
    patience = Patience(5, 1.0, waits.append)
    for asked in (None, None, None, 20.0, 59.0):
        patience.wait_after(Broken(RegistryError("x"), transient=True, wait=asked))
    assert 0.75 <= waits[0] <= 1.25 < waits[1] <= 2.5 < waits[2] <= 5
    assert waits[3:] == [20.0, 59.0]


def test_a_delay_that_is_asked_for_is_the_same_each_time() -> None:
    waits: list[float] = []
    patience = Patience(4, 1.0, waits.append, delay=2.0)
    for wait in (None, None, 5.0, None):
        patience.wait_after(Broken(RegistryError("busy"), transient=True, wait=wait))
    assert waits == [2.0, 2.0, 5.0, 2.0]
    with pytest.raises(RegistryError, match="busy"):
        patience.wait_after(Broken(RegistryError("busy"), transient=True))


def test_short_retry_after_is_waited_for(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.add_image("app", "1", (b"layer",))
    fake_registry.fail("GET", "manifests", 429, Retry_After="0")
    assert client.manifest("app", "1")[0]


def test_retry_after_of_hours_is_not_waited_for(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.fail("GET", "manifests", 429, Retry_After="7200")
    with pytest.raises(RegistryError):
        client.manifest("app", "1")


def test_retry_after_forms() -> None:
    assert retry_after(None, 0) is None
    assert retry_after("12", 0) == 12
    assert retry_after("soon", 0) is None
    assert retry_after(email.utils.formatdate(1000, usegmt=True), 990) == 10
    assert retry_after(email.utils.formatdate(1000, usegmt=True), 2000) == 0


def test_transient_statuses() -> None:
    assert [status for status in range(200, 600) if is_transient(status)] == [
        408,
        429,
        *(status for status in range(500, 600) if status not in (501, 505)),
    ]


def test_patience_ends_and_is_renewed() -> None:
    broken = Broken(RegistryError("x"), transient=True)
    patience = Patience(2, 0.0001)
    patience.wait_after(broken)
    patience.progressed()
    patience.wait_after(broken)
    patience.wait_after(broken)
    with pytest.raises(RegistryError):
        patience.wait_after(broken)


def test_redirects_end(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    digest = Digest.parse(fake_registry.add_blob("app", b"x"))
    fake_registry.redirect_blobs = f"http://{fake_registry.host}"
    with pytest.raises(RegistryError, match="redirects without end"):
        next(client.blob("app", Descriptor("", digest, 1)))


@pytest.mark.parametrize("target", ["file:///etc/passwd", "gopher://x/"])
def test_redirects_elsewhere_are_not_followed(client: RegistryClient, fake_registry: FakeRegistry, target: str) -> None:
    fake_registry.fail("GET", "manifests", 302, Location=target)
    with pytest.raises(RegistryError, match="redirected to"):
        client.manifest("app", "1")


@pytest.mark.parametrize("target", ["http://host:99999/v2/", "http://u:secret@[::1/?token=secret", "http://x:port/"])
def test_redirects_to_no_address(client: RegistryClient, fake_registry: FakeRegistry, target: str) -> None:
    fake_registry.fail("GET", "manifests", 302, Location=target)
    with pytest.raises(RegistryError, match="sends us to what is no address") as caught:
        client.manifest("app", "1")
    assert "secret" not in str(caught.value)
    fake_registry.fail("POST", "uploads", 202, Location=target)
    with pytest.raises(RegistryError, match="sends us to what is no address"):
        client.put_blob("app", Descriptor("", Digest.of(b"x"), 1), lambda: [b"x"])


def test_refused_connection() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RegistryError, match="connection refused"):
            RegistryClient(host, FAST).manifest("app", "1")


def test_silent_server() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = msgspec.structs.replace(FAST, read_timeout=0.1, connect_timeout=0.1, retries=1)
        with pytest.raises(RegistryError, match="did not answer in time"):
            RegistryClient(f"127.0.0.1:{silent.getsockname()[1]}", settings).manifest("app", "1")


def test_unknown_host() -> None:
    with pytest.raises(RegistryError, match="cannot be resolved"):
        RegistryClient("no-such-host.invalid", FAST).manifest("app", "1")


def test_plain_http_needs_permission(make_client: MakeClient, fake_registry: FakeRegistry) -> None:
    fake_registry.add_image("app", "1", (b"layer",))
    with pytest.raises(RegistryError):
        make_client(settings=msgspec.structs.replace(FAST, tls_verify=True, retries=0)).manifest("app", "1")
    assert make_client(settings=msgspec.structs.replace(FAST, tls_verify=False)).manifest("app", "1")[0]


def test_scheme_is_probed_once(make_client: MakeClient, fake_registry: FakeRegistry) -> None:
    fake_registry.add_image("app", "1", (b"layer",))
    for _ in range(3):
        make_client().manifest("app", "1")
    assert len([request for request in fake_registry.requests if request.path == "/v2/"]) == 1


def test_plain_registry_of_this_machine_loads_no_certificates(
    make_client: MakeClient, fake_registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_registry.add_image("app", "1", (b"layer",))
    monkeypatch.setattr(ssl, "SSLContext", None)  # whoever makes one fails
    assert make_client().manifest("app", "1")[0]


def test_server_of_this_machine_that_is_not_well_still_is_asked_in_plain_http(
    make_client: MakeClient, fake_registry: FakeRegistry
) -> None:
    fake_registry.add_image("app", "1", (b"layer",))
    fake_registry.fail("GET", "/v2/", 503)
    assert make_client().manifest("app", "1")[0]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.9.8.7", True),
        ("[::1]:5000", True),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("128.0.0.1", False),
        ("127.0.0", False),
        ("[fe80::1]:5000", False),
        ("example.com:5000", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", False), ("localhost:5000", True), ("::1", False), ("[::1]", False), ("[::1]:5000", True)],
)
def test_port(host: str, expected: bool) -> None:
    assert has_port(host) is expected


def test_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:pa55@{proxy.host}")
        monkeypatch.setenv("https_proxy", "")
        monkeypatch.setenv("no_proxy", "other.invalid")
        settings = msgspec.structs.replace(FAST, tls_verify=False, retries=0)
        with pytest.raises(RegistryNotFound):
            RegistryClient("registry.invalid", settings).manifest("app", "1")
        assert {request.path.partition("/v2/")[0] for request in proxy.requests} == {"http://registry.invalid"}
        assert "proxy-authorization" in proxy.requests[0].headers
        with pytest.raises(RegistryError, match="cannot be resolved"):
            RegistryClient("other.invalid", settings).manifest("app", "1")
