"""Base images: what is asked of a registry under which policy, and what refs they become."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pywerf.build.bases import origins_of, remember_origin
from pywerf.build.options import PullPolicy
from pywerf.build.session import Session
from pywerf.errors import BuildError, InvalidDocument, RegistryError, RegistryNotFound
from pywerf.oci import media_types
from pywerf.oci.chain import chain_ids
from pywerf.oci.config import ImageConfig
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform, host_platform
from pywerf.oci.reference import Reference
from support.fake_registry import FakeRegistry
from support.image_values import Image

Put = Callable[[str, Image], str]
POLICIES: list[PullPolicy] = ["always", "missing", "newer", "never"]


def blobs_read(registry: FakeRegistry, image: Image) -> int:
    """How many times a layer was downloaded."""
    return sum(len(registry.seen("GET", f"/blobs/{layer.digest}")) for layer in image.manifest.layers)


def test_finding_reads_no_layer(session: Session, put_image: Put, image: Image, fake_registry: FakeRegistry) -> None:
    bases = session.bases("missing")
    name = put_image("base:1", image)
    found = bases.find(name, host_platform())
    assert found.config == image.config
    assert found.op.diff_ids == image.config.diff_ids
    ref = bases.ref(found.op)
    assert ref is not None
    assert ref.chain_id == chain_ids(image.config.diff_ids)[-1]
    assert blobs_read(fake_registry, image) == 0
    assert session.store.images.resolve(name).id == Digest.of(image.config.to_json())


def test_an_image_is_asked_for_once_a_command(
    session: Session, put_image: Put, image: Image, fake_registry: FakeRegistry
) -> None:
    bases = session.bases("always")
    name = put_image("base:1", image)
    first = bases.find(name, host_platform())
    asked = len(fake_registry.requests)
    assert bases.find(name, host_platform()) is first
    assert bases.ref(first.op) is bases.ref(first.op)
    assert len(fake_registry.requests) == asked


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_nowhere(session: Session, fake_registry: FakeRegistry, policy: PullPolicy) -> None:
    with pytest.raises(BuildError if policy == "never" else RegistryNotFound):
        session.bases(policy).find(f"{fake_registry.host}/gone:1", host_platform())
    assert bool(fake_registry.requests) is (policy != "never")


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_when_there_is_another_one(
    session: Session, put_image: Put, make_image: Callable[..., Image], fake_registry: FakeRegistry, policy: PullPolicy
) -> None:
    old, new = make_image((("f", b"old"),)), make_image((("f", b"new"),))
    name = put_image("moving:1", old)
    session.bases("missing").find(name, host_platform())
    put_image("moving:1", new)
    fake_registry.requests.clear()
    found = session.bases(policy).find(name, host_platform())
    if policy in ("missing", "never"):
        assert found.config == old.config
        assert fake_registry.requests == []
    else:
        assert found.config == new.config
        assert session.store.images.resolve(name).manifest_digest == new.digest


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_when_no_registry_answers(
    session: Session, put_image: Put, image: Image, fake_registry: FakeRegistry, policy: PullPolicy
) -> None:
    name = put_image("base:1", image)
    session.bases("missing").find(name, host_platform())
    fake_registry.fail("GET", "/manifests/", 503, times=50)
    fake_registry.fail("HEAD", "/manifests/", 503, times=50)
    if policy == "always":
        with pytest.raises(RegistryError):
            session.bases(policy).find(name, host_platform())
    else:
        assert session.bases(policy).find(name, host_platform()).config == image.config


def test_what_was_built_here_is_not_looked_for_elsewhere(
    session: Session, image: Image, fake_registry: FakeRegistry
) -> None:
    session.store.images.put(image.data, image.manifest.media_type, image.config.to_json(), ["localhost/base:latest"])
    for policy in POLICIES:
        assert session.bases(policy).find("base", host_platform()).config == image.config


def test_the_image_of_a_platform(
    session: Session,
    put_index: Callable[..., str],
    make_image: Callable[..., Image],
    index_of: Callable[..., bytes],
) -> None:
    images = [make_image((("f", arch.encode()),), platform=f"linux/{arch}") for arch in ("amd64", "arm64")]
    name = put_index("multi:1", index_of(*images), *images)
    bases = session.bases("missing")
    for image in images:
        assert bases.find(name, image.config.platform).config == image.config
    with pytest.raises(RegistryNotFound, match="no image for linux/s390x"):
        bases.find(name, Platform("linux", "s390x"))


def test_an_image_for_another_machine_is_not_the_one_that_is_here(
    session: Session, put_index: Callable[..., str], make_image: Callable[..., Image], index_of: Callable[..., bytes]
) -> None:
    images = [make_image((("f", arch.encode()),), platform=f"linux/{arch}") for arch in ("amd64", "arm64")]
    name = put_index("multi:1", index_of(*images), *images)
    session.bases("missing").find(name, Platform("linux", "arm64"))
    assert session.bases("missing").find(name, Platform("linux", "amd64")).config == images[0].config
    with pytest.raises(BuildError, match="--pull=never"):
        session.bases("never").find(name, Platform("linux", "arm64"))


def test_a_config_that_knows_other_layers(session: Session, make_image: Callable[..., Image]) -> None:
    """Such an image may be in a store that others have written to."""
    image = make_image()
    config = ImageConfig(host_platform(), diff_ids=image.config.diff_ids[:1])
    data = config.to_json()
    manifest = image.manifest.to_json().replace(
        str(image.manifest.config.digest).encode(), str(Digest.of(data)).encode()
    )
    record = session.store.images.put(manifest, media_types.OCI_MANIFEST, data, ["localhost/odd:1"])
    with pytest.raises(InvalidDocument, match="2 layers, but the config knows 1"):
        session.bases("never").of_record(record, None)


def test_layers_that_are_no_layers_are_left_out(session: Session, make_image: Callable[..., Image]) -> None:
    image = make_image(())
    record = session.store.images.put(
        image.data, image.manifest.media_type, image.config.to_json(), ["localhost/none:1"]
    )
    bases = session.bases("never")
    found = bases.of_record(record, None)
    assert found is not None
    bases.add(found)
    assert bases.ref(found.op) is None


def test_origins_are_remembered_the_latest_first(session: Session) -> None:
    blob = Digest.of(b"layer")
    assert origins_of(session.store, blob) == []
    for number in range(12):
        remember_origin(session.store, blob, Reference.parse(f"r{number}.example.com/app:{number}"))
    origins = origins_of(session.store, blob)
    assert str(origins[0]) == "r11.example.com/app"
    assert len(origins) == 8, "those of long ago are forgotten"
    remember_origin(session.store, blob, Reference.parse("r11.example.com/app:other"))
    assert origins_of(session.store, blob) == origins


def test_layers_come_from_where_they_were_seen(
    session: Session, put_image: Put, image: Image, fake_registry: FakeRegistry
) -> None:
    """A later command has the name in its store only; the registry is asked for the layers, not for the name."""
    name = put_image("base:1", image)
    session.bases("missing").find(name, host_platform())
    for key in list(fake_registry.manifests):
        del fake_registry.manifests[key]
    bases = session.bases("never")
    found = bases.find(name, host_platform())
    assert found.source is not None
    layer = image.manifest.layers[0]
    assert b"".join(found.source.blob(layer)) == image.blobs[layer.digest]
    del fake_registry.blobs["base", str(layer.digest)]
    with pytest.raises(RegistryNotFound, match="no registry that is known"):
        list(found.source.blob(layer))
