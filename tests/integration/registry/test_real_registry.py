"""The client against Debian's docker-registry: plain, with TLS and passwords, with client certificates."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pywerf.errors import DigestMismatch, RegistryConfigError, RegistryError, RegistryNotFound, RegistryUnauthorized
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.reference import Reference
from pywerf.registry import login
from pywerf.registry.access import RegistryAccess
from pywerf.registry.client import RegistryClient
from pywerf.registry.copy import copy_image
from pywerf.registry.credentials import Credential
from pywerf.registry.pull import fetch_layers, resolve_image
from pywerf.registry.registries_conf import Registries, Registry
from support.registry_fixtures import FAST
from support.secured_registry import PASSWORD, USER, SecuredRegistry, secured_registry

pytestmark = pytest.mark.integration

MakeAccess = Callable[..., RegistryAccess]


@pytest.fixture(scope="module")
def secured(service_folder: Path) -> Iterator[SecuredRegistry]:
    """A registry with TLS and a password."""
    with secured_registry(service_folder / "secured") as registry:
        yield registry


@pytest.fixture(scope="module")
def mutual(service_folder: Path) -> Iterator[SecuredRegistry]:
    """A registry that wants a client certificate."""
    with secured_registry(service_folder / "mutual", client_certificates=True) as registry:
        yield registry


def push(access: RegistryAccess, name: str, image: Any) -> None:
    destination = access.destination(Reference.parse(name))
    image.store(destination)
    destination.close()


def pulled(access: RegistryAccess, name: str) -> list[bytes]:
    resolved = resolve_image(name, access)
    got: dict[Digest, bytes] = {}

    def sink(layer: Descriptor, chunks: Iterator[bytes]) -> None:
        got[layer.digest] = b"".join(chunks)

    fetch_layers(resolved.source, resolved.manifest.layers, sink)
    return [got[layer.digest] for layer in resolved.manifest.layers]


def blobs(image: Any) -> list[bytes]:
    return [image.blobs[layer.digest] for layer in image.manifest.layers]


def test_push_and_pull(registry: str, make_access: MakeAccess, image: Any) -> None:
    access = make_access()
    push(access, f"{registry}/team/app:1", image)
    assert pulled(access, f"{registry}/team/app:1") == blobs(image)
    assert pulled(access, f"{registry}/team/app@{image.digest}") == blobs(image)
    client = RegistryClient(registry, FAST)
    assert list(client.tags("team/app")) == ["1"]
    found = client.find_manifest("team/app", "1")
    assert found is not None
    assert found.digest == image.digest
    client.delete_manifest("team/app", str(image.digest))
    with pytest.raises(RegistryNotFound):
        client.manifest("team/app", "1")
    client.close()


def test_streams(registry: str) -> None:
    client = RegistryClient(registry, msgspec.structs.replace(FAST, chunk_size=1 << 20))
    data = os.urandom(5_300_000)
    digest, size = client.put_blob_stream("stream", (data[at : at + 70_000] for at in range(0, len(data), 70_000)))
    assert (digest, size) == (Digest.of(data), len(data))
    assert b"".join(client.blob("stream", Descriptor("", digest, size))) == data
    assert client.put_blob_stream("stream", iter((b"short",)))[1] == 5
    client.close()


def test_wrong_content_is_refused(registry: str) -> None:
    client = RegistryClient(registry, FAST)
    with pytest.raises(DigestMismatch):
        client.put_blob("wrong", Descriptor("", Digest.of(b"right"), 5), lambda: iter((b"wrong",)))
    assert client.find_blob("wrong", Digest.of(b"right")) is None
    client.close()


def test_broken_push_goes_on(registry: str) -> None:
    """The source fails in the middle of the first attempt, as a lost connection would have it."""
    from pywerf.registry.retry import Broken

    client = RegistryClient(registry, FAST)
    data = os.urandom(3 << 20)
    attempts = []

    def chunks() -> Iterator[bytes]:
        attempts.append(1)
        for at in range(0, len(data), 1 << 16):
            if len(attempts) == 1 and at > len(data) // 2:
                raise Broken(RegistryError("lost"), transient=True)
            yield data[at : at + (1 << 16)]

    descriptor = Descriptor("", Digest.of(data), len(data))
    client.put_blob("broken", descriptor, chunks)
    assert len(attempts) > 1
    assert b"".join(client.blob("broken", descriptor)) == data
    client.close()


def test_mount(registry: str, make_access: MakeAccess, image: Any) -> None:
    access = make_access()
    base = Reference.parse(f"{registry}/mount-base:1")
    push(access, str(base), image)
    destination = access.destination(Reference.parse(f"{registry}/mount-app:1"), [base])
    assert all(destination.has_blob(layer) for layer in image.manifest.layers)
    copy_image(access.source(base), destination)
    assert pulled(access, f"{registry}/mount-app:1") == blobs(image)


def secured_settings(secured: SecuredRegistry, **changes: Any) -> Any:
    return msgspec.structs.replace(FAST, cert_dir=str(secured.certs), **changes)


def test_password(secured: SecuredRegistry, make_access: MakeAccess, image: Any) -> None:
    access = make_access(secured_settings(secured, creds=f"{USER}:{PASSWORD}"))
    push(access, f"{secured.host}/app:1", image)
    assert pulled(access, f"{secured.host}/app:1") == blobs(image)
    for creds in ("", "alice:wrong", "bob:x"):
        with pytest.raises(RegistryUnauthorized):
            make_access(secured_settings(secured, creds=creds)).source(Reference.parse(f"{secured.host}/app:1"))


def test_login_and_logout(secured: SecuredRegistry, make_access: MakeAccess, tmp_path: Path) -> None:
    access = make_access(secured_settings(secured, creds=f"{USER}:{PASSWORD}"))
    access.check_login(secured.host)
    path = str(tmp_path / "auth.json")
    login.remember(secured.host, Credential(USER, PASSWORD), path, access.environ)
    later = make_access(secured_settings(secured, authfile=path))
    later.check_login(secured.host)
    login.forget(secured.host, path, access.environ)
    with pytest.raises(RegistryUnauthorized):
        make_access(secured_settings(secured, authfile=path)).check_login(secured.host)


def test_unknown_authority(secured: SecuredRegistry, make_access: MakeAccess) -> None:
    reference = Reference.parse(f"{secured.host}/app:1")
    with pytest.raises(RegistryError, match="is not trusted") as caught:
        make_access(msgspec.structs.replace(FAST, tls_verify=True)).source(reference)
    assert "certs.d" in (caught.value.hint or "")
    # loopback may do without TLS, not without trust
    with pytest.raises(RegistryError, match="is not trusted"):
        make_access().source(reference)


def test_no_verification(secured: SecuredRegistry, make_access: MakeAccess, image: Any) -> None:
    creds = f"{USER}:{PASSWORD}"
    access = make_access(msgspec.structs.replace(FAST, tls_verify=False, creds=creds))
    push(access, f"{secured.host}/unverified:1", image)
    told = Registries(registries=(Registry(secured.host, secured.host, insecure=True),))
    by_file = make_access(msgspec.structs.replace(FAST, creds=creds), registries=told)
    assert pulled(by_file, f"{secured.host}/unverified:1") == blobs(image)


def test_certs_d(secured: SecuredRegistry, make_access: MakeAccess, tmp_path: Path, monkeypatch: Any) -> None:
    folder = tmp_path / ".config/containers/certs.d"
    folder.mkdir(parents=True)
    (folder / secured.host).symlink_to(secured.certs)
    monkeypatch.setenv("HOME", str(tmp_path))
    make_access(msgspec.structs.replace(FAST, creds=f"{USER}:{PASSWORD}")).check_login(secured.host)


def test_client_certificate(mutual: SecuredRegistry, make_access: MakeAccess, image: Any, tmp_path: Path) -> None:
    access = make_access(secured_settings(mutual))
    push(access, f"{mutual.host}/app:1", image)
    assert pulled(access, f"{mutual.host}/app:1") == blobs(image)
    (tmp_path / "ca.crt").write_bytes((mutual.certs / "ca.crt").read_bytes())
    without = msgspec.structs.replace(FAST, cert_dir=str(tmp_path))
    with pytest.raises(RegistryError):
        make_access(without).check_login(mutual.host)
    (tmp_path / "client.cert").write_bytes((mutual.certs / "client.cert").read_bytes())
    with pytest.raises(RegistryConfigError, match=r"client\.key is missing"):
        make_access(without).check_login(mutual.host)
