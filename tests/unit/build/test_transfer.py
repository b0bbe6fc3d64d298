"""Push and pull between the store and a registry that counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.build.options import BuildOptions
from pywerf.build.session import Session
from pywerf.errors import ImageNotFound, RegistryError, UsageError
from pywerf.oci.config import ImageConfig
from pywerf.oci.media_types import Compression
from pywerf.store.images import ImageRecord
from support.fake_registry import FakeRegistry
from support.image_values import Image

Put = Callable[[str, Image], str]


@pytest.fixture
def pulled(session: Session, put_image: Put, image: Image) -> ImageRecord:
    """The image, pulled from `near:1`."""
    return session.pull(put_image("near:1", image))


@pytest.fixture
def plain(session: Session, make_image: Callable[..., Image]) -> ImageRecord:
    """An image whose layers are plain tars in the store, as builds make them."""
    image = make_image(compression="none")
    for layer in image.manifest.layers:
        session.store.blobs.put(image.blobs[layer.digest])
    return session.store.images.put(
        image.data, image.manifest.media_type, image.config.to_json(), ["localhost/plain:latest"]
    )


def sent(registry: FakeRegistry) -> list[str]:
    """The repositories that uploads brought bytes to."""
    return [request.path.split("/blobs/")[0][4:] for request in registry.seen("PUT", "/uploads/")]


def manifest(registry: FakeRegistry, repository: str, tag: str) -> dict[str, object]:
    document: dict[str, object] = json.loads(registry.manifests[repository, tag][0])
    return document


def test_a_pulled_image_is_whole(
    session: Session, pulled: ImageRecord, image: Image, fake_registry: FakeRegistry
) -> None:
    assert pulled.names == (f"{fake_registry.host}/near:1",)
    assert session.image_config(pulled) == image.config
    for layer in image.manifest.layers:
        assert session.store.blobs.has(layer.digest) == layer.size


def test_push_keeps_what_was_pulled_to_the_byte(
    session: Session, pulled: ImageRecord, image: Image, fake_registry: FakeRegistry
) -> None:
    digest = session.push(pulled.id.hex, f"docker://{fake_registry.host}/far:1")
    assert digest == image.digest
    assert fake_registry.manifests["far", "1"][0] == image.data
    layers = {str(layer.digest) for layer in image.manifest.layers}
    assert {request.query.get("mount") for request in fake_registry.seen("POST")} >= layers


@pytest.mark.parametrize(("compression", "suffix"), [("gzip", "+gzip"), ("zstd", "+zstd"), ("none", "tar")])
def test_plain_layers_are_compressed_on_their_way(
    session: Session, plain: ImageRecord, fake_registry: FakeRegistry, compression: Compression, suffix: str
) -> None:
    session.push("plain", f"docker://{fake_registry.host}/app:1", compression=compression)
    layers = manifest(fake_registry, "app", "1")["layers"]
    assert isinstance(layers, list)
    assert all(layer["mediaType"].endswith(suffix) for layer in layers)
    assert len(sent(fake_registry)) == 3

    fake_registry.requests.clear()
    session.push("plain", f"docker://{fake_registry.host}/app:1", compression=compression)
    assert sent(fake_registry) == [], "nothing is sent, nor compressed, twice"


def test_docker_format(session: Session, plain: ImageRecord, fake_registry: FakeRegistry) -> None:
    session.push("plain", f"docker://{fake_registry.host}/app:1", image_format="docker")
    document = manifest(fake_registry, "app", "1")
    assert "docker.distribution" in str(document["mediaType"])
    assert "docker.image.rootfs.diff.tar.gzip" in json.dumps(document["layers"])
    session.push("plain", f"docker://{fake_registry.host}/app:2", image_format="docker", compression="zstd")
    assert "oci.image.manifest" in str(manifest(fake_registry, "app", "2")["mediaType"]), "Docker's types know no zstd"


def test_the_digest_is_written_to_a_file(
    session: Session, plain: ImageRecord, fake_registry: FakeRegistry, tmp_path: Path
) -> None:
    digest = session.push("plain", f"docker://{fake_registry.host}/app:1", digestfile=str(tmp_path / "digest"))
    assert (tmp_path / "digest").read_text() == str(digest)
    assert ("app", str(digest)) in fake_registry.manifests


def test_without_a_destination_the_name_says_where(
    session: Session, pulled: ImageRecord, plain: ImageRecord, fake_registry: FakeRegistry
) -> None:
    session.push(f"{fake_registry.host}/near:1")
    with pytest.raises(UsageError, match="where to") as caught:
        session.push("plain")
    assert caught.value.hint is not None
    assert "docker://" in caught.value.hint
    with pytest.raises(ImageNotFound):
        session.push("gone")


def test_a_layer_that_fails_stops_the_push_and_no_manifest_is_written(
    session: Session, plain: ImageRecord, fake_registry: FakeRegistry
) -> None:
    fake_registry.fail("PUT", "/uploads/", 500, times=20)
    with pytest.raises(RegistryError):
        session.push("plain", f"docker://{fake_registry.host}/app:1")
    assert ("app", "1") not in fake_registry.manifests


def test_an_index_with_all_its_images(
    make_session: Callable[..., Session],
    session: Session,
    make_image: Callable[..., Image],
    index_of: Callable[..., bytes],
    fake_registry: FakeRegistry,
) -> None:
    from pywerf.oci import media_types

    images = [make_image((("f", arch.encode()),), platform=f"linux/{arch}") for arch in ("amd64", "arm64")]
    for item in images:
        for layer in item.manifest.layers:
            session.store.blobs.put(item.blobs[layer.digest])
        session.store.images.put(item.data, item.manifest.media_type, item.config.to_json())
    session.store.images.put_index(index_of(*images), media_types.OCI_INDEX, ["localhost/multi:1"])
    session.push("multi:1", f"docker://{fake_registry.host}/multi:all", all=True)
    document = manifest(fake_registry, "multi", "all")
    assert document["manifests"]
    session.push("multi:1", f"docker://{fake_registry.host}/multi:one")
    assert "layers" in manifest(fake_registry, "multi", "one")
    other = make_session("other")
    for item in images:
        record = other.pull(f"{fake_registry.host}/multi:all", platform=item.config.platform)
        assert other.image_config(record) == item.config


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive", "dir"])
def test_there_and_back_again(
    make_session: Callable[..., Session], session: Session, plain: ImageRecord, tmp_path: Path, transport: str
) -> None:
    session.push("plain", f"{transport}:{tmp_path}/there")
    other = make_session("other")
    record = other.pull(f"{transport}:{tmp_path}/there")
    assert other.image_config(record) == session.image_config(plain)
    assert record.id == plain.id


def test_all_tags(
    session: Session, put_image: Put, make_image: Callable[..., Image], fake_registry: FakeRegistry
) -> None:
    for tag in ("1", "2"):
        put_image(f"app:{tag}", make_image((("f", tag.encode()),)))
    session.pull(f"{fake_registry.host}/app", all_tags=True)
    names = sorted(name for record in session.store.images.list() for name in record.names)
    assert names == [f"{fake_registry.host}/app:1", f"{fake_registry.host}/app:2"]
    with pytest.raises(UsageError, match="without a tag"):
        session.pull(f"{fake_registry.host}/app:1", all_tags=True)


def test_configs_stay_as_they_are(session: Session, pulled: ImageRecord, fake_registry: FakeRegistry) -> None:
    """Also those with fields that we do not know: their bytes are passed on."""
    data = session.store.blobs.read(pulled.id)
    session.push(pulled.id.hex, f"docker://{fake_registry.host}/copy:1")
    assert fake_registry.blobs["copy", str(pulled.id)] == data
    assert ImageConfig.from_json(data)


@pytest.mark.parametrize(
    ("destination", "source", "names"),
    [
        ("docker-archive:{}:r.example.com/app:7", "docker-archive:{}", ["r.example.com/app:7"]),
        ("docker-archive:{}", "docker-archive:{}", []),
        ("oci-archive:{}:v5", "oci-archive:{}", ["localhost/v5:latest"]),
        ("oci-archive:{}", "oci-archive:{}", []),
        ("oci:{}:v1", "oci:{}:v1", ["localhost{}:latest"]),
        ("oci:{}/No:v1", "oci:{}/No:v1", ["localhost/v1:latest"]),
        ("oci:{}/No", "oci:{}/No", []),
        ("dir:{}", "dir:{}", []),
    ],
)
def test_names_of_images_from_archives_and_folders(
    make_session: Callable[..., Session],
    session: Session,
    plain: ImageRecord,
    tmp_path_factory: pytest.TempPathFactory,
    destination: str,
    source: str,
    names: list[str],
) -> None:
    """As `buildah pull` calls them."""
    place = tmp_path_factory.mktemp("names") / "image"
    session.push("plain", destination.format(place))
    record = make_session("other").pull(source.format(place))
    assert list(record.names) == [name.format(place) for name in names]


def test_an_index_has_its_images_whatever_they_were_built_as_since(
    session: Session, tmp_path: Path, fake_registry: FakeRegistry
) -> None:
    """The manifest that a list names is pushed, although the image has another one by now."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    session.build(BuildOptions(str(tmp_path), manifest="list", annotations=(("n", "1"),)))
    session.build(BuildOptions(str(tmp_path), annotations=(("n", "2"),)))
    session.push("list", f"docker://{fake_registry.host}/list:1", all=True)
    (one,) = manifest(fake_registry, "list", "1")["manifests"]  # type: ignore[misc]  # a list, as parsed
    assert manifest(fake_registry, "list", one["digest"])["annotations"] == {"n": "1"}
