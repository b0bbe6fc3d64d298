"""Copies and pulls: platforms, what is not sent, what runs at once, what stops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pywerf.errors import DigestMismatch, InvalidDocument, RegistryError, RegistryNotFound
from pywerf.oci import media_types
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Manifest
from pywerf.oci.platform import Platform
from pywerf.oci.reference import Reference
from pywerf.registry.access import RegistryAccess
from pywerf.registry.copy import copy_image, wanted_compression
from pywerf.registry.layout import LayoutDestination, LayoutSource
from pywerf.registry.parallel import Cancelled, guarded, run_all
from pywerf.registry.pull import fetch_layers, resolve_image, resolve_source
from pywerf.registry.registries_conf import Mirror, Registries, Registry
from pywerf.registry.transports import open_destination, parse_transport
from support.fake_registry import FakeRegistry, serving

MakeAccess = Callable[..., RegistryAccess]
ARM = Platform("linux", "arm64")
AMD = Platform("linux", "amd64")


@pytest.fixture
def two_platforms(tmp_path: Path, make_image: Callable[..., Any], index_of: Callable[..., bytes]) -> LayoutSource:
    """A layout with an index of images for amd64 and arm64."""
    images = [make_image(layers=(("a", name.encode()),), platform=name) for name in ("linux/amd64", "linux/arm64")]
    destination = LayoutDestination(str(tmp_path / "two"))
    for image in images:
        image.store(destination, top=False)
    destination.put_manifest(index_of(*images), media_types.OCI_INDEX)
    return LayoutSource(str(tmp_path / "two"))


def test_one_platform_of_an_index(two_platforms: LayoutSource, tmp_path: Path) -> None:
    digest = copy_image(two_platforms, LayoutDestination(str(tmp_path / "out")), platform=ARM)
    resolved = resolve_source(LayoutSource(str(tmp_path / "out")))
    assert resolved.config.platform == ARM
    assert resolved.digest == resolved.top_digest == digest
    assert len(list((tmp_path / "out/blobs/sha256").iterdir())) == 3


def test_all_platforms(two_platforms: LayoutSource, tmp_path: Path) -> None:
    digest = copy_image(two_platforms, LayoutDestination(str(tmp_path / "out")), all_platforms=True)
    out = LayoutSource(str(tmp_path / "out"))
    assert out.manifest() == two_platforms.manifest()
    for platform in (ARM, AMD):
        resolved = resolve_source(out, platform)
        assert resolved.config.platform == platform
        assert resolved.top_digest == digest != resolved.digest


def test_missing_platform(two_platforms: LayoutSource, tmp_path: Path) -> None:
    with pytest.raises(RegistryNotFound, match="no image for linux/s390x") as caught:
        copy_image(two_platforms, LayoutDestination(str(tmp_path / "out")), platform=Platform("linux", "s390x"))
    assert "linux/amd64, linux/arm64" in (caught.value.hint or "")


def test_an_index_in_an_index(two_platforms: LayoutSource, tmp_path: Path, make_image: Callable[..., Any]) -> None:
    data, _ = two_platforms.manifest()
    from pywerf.oci.manifest import Index

    outer = Index(media_types.OCI_INDEX, (Descriptor(media_types.OCI_INDEX, Digest.of(data), len(data)),)).to_json()
    LayoutDestination(str(tmp_path / "two"), "outer").put_manifest(outer, media_types.OCI_INDEX)
    source = LayoutSource(str(tmp_path / "two"), "outer")
    assert resolve_source(source, ARM).config.platform == ARM
    copy_image(source, LayoutDestination(str(tmp_path / "out")), all_platforms=True)
    assert resolve_source(LayoutSource(str(tmp_path / "out")), AMD).config.platform == AMD


def test_what_is_there_is_not_sent(
    fake_registry: FakeRegistry, make_access: MakeAccess, image: Any, tmp_path: Path
) -> None:
    image.store(LayoutDestination(str(tmp_path)))
    access = make_access()
    target = parse_transport(f"{fake_registry.host}/app:1")
    copy_image(LayoutSource(str(tmp_path)), open_destination(target, access))
    fake_registry.requests.clear()
    seen: list[tuple[str, int, int]] = []
    copy_image(
        LayoutSource(str(tmp_path)),
        open_destination(target, access),
        progress=lambda *event: seen.append(event),
    )
    assert [request.method for request in fake_registry.requests] == ["HEAD", "HEAD", "HEAD", "PUT"]
    assert sorted(seen) == sorted((layer.digest.short, layer.size, layer.size) for layer in image.manifest.layers)


def test_registry_to_registry_mounts(fake_registry: FakeRegistry, make_access: MakeAccess) -> None:
    fake_registry.add_image("base", "1", (b"one", b"two"))
    access = make_access()
    base = Reference.parse(f"{fake_registry.host}/base:1")
    destination = access.destination(Reference.parse(f"{fake_registry.host}/app:1"), [base])
    copy_image(access.source(base), destination)
    assert fake_registry.seen("GET", "/blobs/") == []
    assert len(fake_registry.seen("POST", "mount=")) == 3
    assert ("app", "1") in fake_registry.manifests


def test_layers_are_fetched_at_once(fake_registry: FakeRegistry, make_access: MakeAccess) -> None:
    layers = tuple(f"layer {number}".encode() * 1000 for number in range(4))
    fake_registry.add_image("app", "1", layers)
    resolved = resolve_image(f"{fake_registry.host}/app:1", make_access())
    fake_registry.gate = threading.Barrier(4)  # each waits for the other three
    got: dict[Digest, bytes] = {}

    def sink(descriptor: Descriptor, chunks: Iterator[bytes]) -> None:
        got[descriptor.digest] = b"".join(chunks)

    fetch_layers(resolved.source, resolved.manifest.layers, sink, jobs=4)
    assert [got[layer.digest] for layer in resolved.manifest.layers] == list(layers)


def test_resolving_touches_no_layer(fake_registry: FakeRegistry, make_access: MakeAccess) -> None:
    digest = fake_registry.add_image("app", "1", (b"layer",))
    resolved = resolve_image(f"{fake_registry.host}/app:1", make_access())
    assert str(resolved.digest) == digest
    assert resolved.reference == Reference.parse(f"{fake_registry.host}/app:1")
    assert resolved.config.config.cmd == ("sh",)
    assert [str(request) for request in fake_registry.requests] == [
        "GET /v2/",
        "GET /v2/app/manifests/1",
        f"GET /v2/app/blobs/{resolved.manifest.config.digest}",
    ]


def test_sink_that_stops_early_is_verified_all_the_same(fake_registry: FakeRegistry, make_access: MakeAccess) -> None:
    layer = b"x" * 600_000
    fake_registry.add_image("app", "1", (layer,))
    resolved = resolve_image(f"{fake_registry.host}/app:1", make_access())
    fake_registry.substitutes[str(Digest.of(layer))] = layer[:-1] + b"y"

    def first_chunk(_: Descriptor, chunks: Iterator[bytes]) -> None:
        next(chunks)

    with pytest.raises(DigestMismatch):
        fetch_layers(resolved.source, resolved.manifest.layers, first_chunk)


def test_first_failure_stops_the_rest(fake_registry: FakeRegistry, make_access: MakeAccess) -> None:
    fake_registry.add_image("app", "1", tuple(bytes([number]) * 900_000 for number in range(6)))
    resolved = resolve_image(f"{fake_registry.host}/app:1", make_access())
    started: list[Descriptor] = []
    ended: list[Descriptor] = []

    def sink(descriptor: Descriptor, chunks: Iterator[bytes]) -> None:
        started.append(descriptor)
        if descriptor == resolved.manifest.layers[0]:
            raise RegistryError("the disk is full")
        for _ in chunks:
            pass
        ended.append(descriptor)

    with pytest.raises(RegistryError, match="the disk is full"):
        fetch_layers(resolved.source, resolved.manifest.layers, sink, jobs=2)
    assert len(started) < 6


def test_image_whose_config_has_other_layers(fake_registry: FakeRegistry, make_access: MakeAccess) -> None:
    fake_registry.add_image("app", "1", (b"one", b"two"), diff_ids=[str(Digest.of(b"one"))])
    with pytest.raises(InvalidDocument, match="2 layers, but its config knows 1"):
        resolve_image(f"{fake_registry.host}/app:1", make_access())


def test_foreign_layers_stay_where_they_are(tmp_path: Path, image: Any) -> None:
    foreign = Descriptor(
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        Digest.of(b"foreign"),
        7,
        urls=("https://example.invalid/layer",),
    )
    manifest = Manifest(media_types.OCI_MANIFEST, image.manifest.config, (foreign, *image.manifest.layers))
    source = LayoutDestination(str(tmp_path / "in"))
    image.store(source, top=False)
    source.put_manifest(manifest.to_json(), manifest.media_type)
    copy_image(LayoutSource(str(tmp_path / "in")), LayoutDestination(str(tmp_path / "out")))
    assert not (tmp_path / "out/blobs/sha256" / foreign.digest.hex).exists()


def test_what_destinations_want(tmp_path: Path, make_access: MakeAccess) -> None:
    access = make_access()
    for name, wanted in ((f"docker-archive:{tmp_path}/x", "none"), (f"oci:{tmp_path}/y", None), ("r.io/app", None)):
        destination = open_destination(parse_transport(name), access)
        assert wanted_compression(destination) == wanted
        destination.close()


def mirrored(main: str, *mirrors: str) -> Registries:
    return Registries(registries=(Registry("real.invalid", main, mirrors=tuple(map(Mirror, mirrors))),))


def test_mirrors_come_first(fake_registry: FakeRegistry, make_access: MakeAccess) -> None:
    with serving() as mirror:
        fake_registry.add_image("app", "1", (b"main",))
        access = make_access(registries=mirrored(fake_registry.host, mirror.host))
        source = access.source(Reference.parse("real.invalid/app:1"))
        assert source.reference.host == fake_registry.host  # the mirror has no such image
        mirror.add_image("app", "1", (b"copy",))
        source = access.source(Reference.parse("real.invalid/app:1"))
        assert source.reference.host == mirror.host
        assert str(source.name) == "real.invalid/app:1"
        pushed = access.destination(Reference.parse("real.invalid/app:2"))
        assert pushed.reference.host == fake_registry.host


def test_all_places_failed(fake_registry: FakeRegistry, make_access: MakeAccess) -> None:
    with serving() as mirror:
        mirror.fail("GET", "manifests", 400, body={"errors": [{"message": "mirror is ill"}]})
        access = make_access(registries=mirrored(fake_registry.host, mirror.host))
        with pytest.raises(RegistryNotFound, match=r"manifest unknown.*mirror is ill"):
            access.source(Reference.parse("real.invalid/app:1"))


def test_short_name_in_search_registries(fake_registry: FakeRegistry, make_access: MakeAccess) -> None:
    with serving() as other:
        other.add_image("app", "latest", (b"x",))
        access = make_access(registries=Registries(search=(fake_registry.host, other.host)))
        assert access.source(Reference.parse("app")).name == Reference.parse(f"{other.host}/app:latest")
        assert access.destination(Reference.parse("app:2")).reference.host == fake_registry.host


def test_login_is_checked(fake_registry: FakeRegistry, make_access: MakeAccess) -> None:
    from pywerf.errors import RegistryUnauthorized
    from pywerf.registry.settings import RegistrySettings

    fake_registry.auth = "basic"
    make_access(RegistrySettings(creds="alice:s3cret", backoff=0.001)).check_login(fake_registry.host)
    with pytest.raises(RegistryUnauthorized):
        make_access(RegistrySettings(creds="alice:wrong", backoff=0.001)).check_login(fake_registry.host)


def test_jobs_run_at_once_and_in_order() -> None:
    barrier = threading.Barrier(3)
    order: list[int] = []

    def job(number: int) -> Callable[[threading.Event], None]:
        def run(stop: threading.Event) -> None:
            order.append(number)
            barrier.wait(20)

        return run

    run_all([job(number) for number in range(6)], 3)
    assert sorted(order[:3]) == [0, 1, 2]
    alone: list[int] = []
    run_all([lambda stop, number=number: alone.append(number) for number in range(3)], 1)  # type: ignore[misc]
    assert alone == [0, 1, 2]


def test_error_of_a_job_stops_the_others() -> None:
    stopped = threading.Event()

    def fails(stop: threading.Event) -> None:
        raise ValueError("first")

    def waits(stop: threading.Event) -> None:
        if stop.wait(20):
            stopped.set()
        raise Cancelled

    with pytest.raises(ValueError, match="first"):
        run_all([waits, fails, waits], 2)
    assert stopped.is_set()


def test_guard() -> None:
    stop = threading.Event()
    chunks = guarded(iter((b"a", b"b")), stop)
    assert next(chunks) == b"a"
    stop.set()
    with pytest.raises(Cancelled):
        next(chunks)
