"""Archives of images: docker's old and new forms, layouts in tars, compressed and hostile ones."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import ArchiveError, DigestMismatch, InvalidDocument, RegistryNotFound, StoreError, WerfError
from pywerf.oci import media_types
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import ImageSource
from pywerf.oci.manifest import Manifest, parse_manifest
from pywerf.oci.reference import Reference
from pywerf.registry.access import RegistryAccess
from pywerf.registry.decompress import PIECE, decompressed
from pywerf.registry.docker_archive import DockerTarDestination
from pywerf.registry.oci_archive import ArchiveLayout, LayoutArchive, OciArchiveDestination
from pywerf.registry.tar_index import TarIndex, spool
from pywerf.registry.tar_writer import FileTarWriter, StreamTarWriter, gzip_tar_writer
from pywerf.registry.transports import open_source, parse_transport
from support.examples import examples

Member = tuple[str, bytes | str]


def tar(members: list[Member], format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of files (bytes) and symlinks (text)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def saved(image: Any, names: list[str] | None = None, tags: tuple[str, ...] = ("app:1",)) -> list[Member]:
    """What `docker save` of old writes."""
    names = names or [f"layer{number}/layer.tar" for number in range(len(image.tars))]
    config = image.config.to_json()
    manifest = [{"Config": f"{Digest.of(config).hex}.json", "RepoTags": list(tags), "Layers": names}]
    return [
        *((name, content) for name, content in zip(names, image.tars, strict=True)),
        (f"{Digest.of(config).hex}.json", config),
        ("manifest.json", json.dumps(manifest).encode()),
    ]


def opened(tmp_path: Path, data: bytes, reference: str = "", kind: str = "docker-archive") -> ImageSource:
    (tmp_path / "archive.tar").write_bytes(data)
    name = f"{kind}:{tmp_path}/archive.tar" + (f":{reference}" if reference else "")
    return open_source(parse_transport(name), RegistryAccess(environ={}))


def layers_of(source: ImageSource) -> list[bytes]:
    manifest = parse_manifest(*source.manifest())
    assert isinstance(manifest, Manifest)
    return [b"".join(source.blob(layer)) for layer in manifest.layers]


@pytest.mark.parametrize("reference", ["", "app:1", "docker.io/library/app:1", "@0"])
def test_docker_save_of_old(tmp_path: Path, image: Any, reference: str) -> None:
    assert layers_of(opened(tmp_path, tar(saved(image)), reference)) == list(image.tars)


def test_links_to_layers(tmp_path: Path, make_image: Callable[..., Any]) -> None:
    image = make_image(layers=(("a", b"same"), ("a", b"same")), compression="none")
    members = saved(image)
    members[1] = ("layer1/layer.tar", "../layer0/layer.tar")
    assert layers_of(opened(tmp_path, tar(members))) == list(image.tars)


def test_several_images(tmp_path: Path, make_image: Callable[..., Any]) -> None:
    images = [make_image(layers=((name, b"x"),)) for name in "ab"]
    members: list[Member] = []
    manifest = []
    for name, image in zip("ab", images, strict=True):
        *files, (_, document) = saved(image, [f"{name}.tar"], (f"{name}:1", f"r.io/{name}:2"))
        members += files
        assert isinstance(document, bytes)
        manifest += json.loads(document)
    data = tar([*members, ("manifest.json", json.dumps(manifest).encode())])
    for reference, image in (("a:1", images[0]), ("r.io/b:2", images[1]), ("@1", images[1])):
        assert layers_of(opened(tmp_path, data, reference)) == list(image.tars)
    for reference in ("", "c:1", "a:2", "@2"):
        with pytest.raises(RegistryNotFound) as caught:
            opened(tmp_path, data, reference)
        assert "r.io/b:2" in (caught.value.hint or "")


@pytest.mark.parametrize("with_manifest", [True, False])
def test_docker_save_of_today(tmp_path: Path, image: Any, with_manifest: bool) -> None:
    members: list[Member] = [(f"blobs/sha256/{digest.hex}", blob) for digest, blob in image.blobs.items()]
    members.append((f"blobs/sha256/{image.digest.hex}", image.data))
    entry = {"mediaType": image.manifest.media_type, "digest": str(image.digest), "size": len(image.data)}
    members.append(("index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()))
    members.append(("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'))
    if with_manifest:
        document = {
            "Config": f"blobs/sha256/{image.manifest.config.digest.hex}",
            "RepoTags": None,
            "Layers": [f"blobs/sha256/{layer.digest.hex}" for layer in image.manifest.layers],
        }
        members.append(("manifest.json", json.dumps([document]).encode()))
    source = opened(tmp_path, tar(members))
    manifest = parse_manifest(*source.manifest())
    assert isinstance(manifest, Manifest)
    assert [layer.digest for layer in manifest.layers] == [layer.digest for layer in image.manifest.layers]
    assert [gzip.decompress(layer) for layer in layers_of(source)] == list(image.tars)
    assert (source.manifest()[0] == image.data) is not with_manifest


def test_compressed_layers_with_any_name(tmp_path: Path, image: Any) -> None:
    members = saved(image)
    members[0] = (members[0][0], gzip.compress(image.tars[0]))
    source = opened(tmp_path, tar(members))
    manifest = parse_manifest(*source.manifest())
    assert isinstance(manifest, Manifest)
    assert [layer.media_type for layer in manifest.layers] == [media_types.DOCKER_LAYER_GZIP, media_types.DOCKER_LAYER]
    assert gzip.decompress(layers_of(source)[0]) == image.tars[0]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
def test_compressed_archives(tmp_path: Path, image: Any, pack: Callable[[bytes], bytes]) -> None:
    assert layers_of(opened(tmp_path, pack(tar(saved(image))))) == list(image.tars)


def test_pipe(tmp_path: Path, image: Any) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(tar(saved(image)),))
    writer.start()
    source = open_source(parse_transport(f"docker-archive:{tmp_path}/pipe"), RegistryAccess(environ={}))
    writer.join()
    assert layers_of(source) == list(image.tars)


def test_layer_that_is_another(tmp_path: Path, image: Any) -> None:
    members = saved(image)
    members[0] = (members[0][0], image.tars[0][:-1] + b"!")
    source = opened(tmp_path, tar(members))
    with pytest.raises(DigestMismatch):
        layers_of(source)


def change(image: Any, **fields: object) -> list[Member]:
    members = saved(image)
    document = json.loads(members[-1][1])
    document[0].update(fields)
    members[-1] = ("manifest.json", json.dumps(document).encode())
    return members


def test_hostile_manifests(tmp_path: Path, image: Any) -> None:
    for fields, error in (
        ({"Config": "../../etc/passwd"}, ArchiveError),
        ({"Config": "/etc/passwd"}, ArchiveError),
        ({"Config": 5}, InvalidDocument),
        ({"Layers": ["/etc/passwd", "/etc/shadow"]}, ArchiveError),
        ({"Layers": []}, InvalidDocument),
        ({"Layers": 5}, InvalidDocument),
        ({"Config": "layer0/layer.tar"}, InvalidDocument),
    ):
        with pytest.raises(error):
            opened(tmp_path, tar(change(image, **fields)))
    for data in (b"{}", b"[5]", b"nonsense", b"[]"):
        with pytest.raises((InvalidDocument, RegistryNotFound)):
            opened(tmp_path, tar([("manifest.json", data)]))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("../manifest.json", b"[]")], "points out of the archive"),
        ([("/manifest.json", b"[]")], "points out of the archive"),
        ([("manifest.json", "manifest.json")], "loop of links"),
        ([("manifest.json", "x"), ("x", "manifest.json")], "loop of links"),
        ([("manifest.json", "../../etc/passwd")], "no manifest.json"),
        ([("other", b"")], "no manifest.json"),
        ([("manifest.json", b" " * (9 << 20))], "too long"),
    ],
)
def test_hostile_archives(tmp_path: Path, members: list[Member], message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        opened(tmp_path, tar(members))


def test_archives_that_are_none(tmp_path: Path, image: Any) -> None:
    whole = tar(saved(image))
    for data in (
        b"",
        b"x" * 2000,
        whole[:700],
        whole[: len(image.tars[0])],
        gzip.compress(whole)[:-20],
        b"\x1f\x8bXXXXX",
    ):
        with pytest.raises(WerfError):
            layers_of(opened(tmp_path, data))
    with pytest.raises(StoreError):
        open_source(parse_transport(f"docker-archive:{tmp_path}"), RegistryAccess(environ={}))


def test_header_as_large_as_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type = tarfile.XHDTYPE
    info.size = 1 << 35
    path = tmp_path / "bomb.tar"
    with open(path, "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.truncate(1 << 36)
    with pytest.raises(ArchiveError, match="a header of"):
        TarIndex.open(str(path), "bomb")


def test_size_below_zero(tmp_path: Path) -> None:
    header = bytearray(tarfile.TarInfo("x").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x00"  # base-256, negative
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    (tmp_path / "x.tar").write_bytes(bytes(header) * 3)
    with pytest.raises(ArchiveError, match=r"below zero|invalid offset"):
        TarIndex.open(str(tmp_path / "x.tar"), "x")


@examples(60)
@given(st.data())
def test_any_damage_is_an_error_or_none(data: st.DataObject) -> None:
    original = tar([("manifest.json", b"[]"), ("a" * 150, b"x" * 100), ("l", "manifest.json")])
    position = data.draw(st.integers(0, len(original) - 1))
    damaged = bytearray(original)
    damaged[position] = data.draw(st.integers(0, 255))
    try:
        index = TarIndex(spool([bytes(damaged)]), "x")
        if "manifest.json" in index:
            index.small("manifest.json")
    except WerfError:
        return


def test_what_is_written_is_the_same_every_time(tmp_path: Path, image: Any) -> None:
    for number in range(2):
        docker = DockerTarDestination(
            FileTarWriter(str(tmp_path / f"d{number}"), "d"), [Reference.parse("docker.io/me/app:1")], "d"
        )
        oci = OciArchiveDestination(str(tmp_path / f"o{number}"), "app")
        for destination in (docker, oci):
            image.store(destination)
            destination.close()
    assert (tmp_path / "d0").read_bytes() == (tmp_path / "d1").read_bytes()
    assert (tmp_path / "o0").read_bytes() == (tmp_path / "o1").read_bytes()
    with tarfile.open(tmp_path / "d0") as archive:
        names = archive.getnames()
        document = archive.extractfile("manifest.json")
        assert document is not None
        assert json.load(document) == [
            {
                "Config": f"{image.manifest.config.digest.hex}.json",
                "RepoTags": ["docker.io/me/app:1"],
                "Layers": [f"{diff_id.hex}.tar" for diff_id in image.config.diff_ids],
            }
        ]
    assert names == [*(f"{item.hex}.tar" for item in image.config.diff_ids), names[-2], "manifest.json"]


def test_equal_layers_are_written_once(tmp_path: Path, make_image: Callable[..., Any]) -> None:
    gzipped, zstd = (make_image(layers=(("a", b"same"),), compression=kind) for kind in ("gzip", "zstd"))
    destination = DockerTarDestination(FileTarWriter(str(tmp_path / "d"), "d"), [], "d")
    layer = zstd.manifest.layers[0]
    destination.put_blob(layer, lambda: iter((zstd.blobs[layer.digest],)))
    gzipped.store(destination)
    destination.close()
    with tarfile.open(tmp_path / "d") as archive:
        assert len(archive.getnames()) == 3


def test_layers_of_another_config(tmp_path: Path, image: Any, make_image: Callable[..., Any]) -> None:
    other = make_image(layers=(("a", b"other"), ("b", b"other")))
    destination = DockerTarDestination(FileTarWriter(str(tmp_path / "d"), "d"), [], "d")
    for layer in (*image.manifest.layers, other.manifest.config):
        blob = {**image.blobs, **other.blobs}[layer.digest]
        destination.put_blob(layer, lambda blob=blob: iter((blob,)))  # type: ignore[misc]
    manifest = Manifest(media_types.OCI_MANIFEST, other.manifest.config, image.manifest.layers)
    with pytest.raises(DigestMismatch, match="layer 1"):
        destination.put_manifest(manifest.to_json(), manifest.media_type)
    destination.close()
    assert not (tmp_path / "d").exists()


def test_docker_holds_no_index(tmp_path: Path, image: Any, index_of: Callable[..., bytes]) -> None:
    destination = DockerTarDestination(FileTarWriter(str(tmp_path / "d"), "d"), [], "d")
    with pytest.raises(StoreError, match="one image"):
        destination.put_manifest(index_of(image), media_types.OCI_INDEX)
    destination.close()


def test_stream_of_an_archive(image: Any) -> None:
    out: list[bytes] = []
    ended: list[str] = []
    writer = StreamTarWriter(out.append, lambda: ended.append("end"), lambda: ended.append("abort"))
    destination = DockerTarDestination(writer, [], "stream")
    image.store(destination)
    destination.close()
    assert ended == ["end"]
    with tarfile.open(fileobj=io.BytesIO(b"".join(out))) as archive:
        assert len(archive.getnames()) == 4
    broken = DockerTarDestination(
        StreamTarWriter(out.append, lambda: None, lambda: ended.append("abort")), [], "stream"
    )
    broken.close()
    assert ended == ["end", "abort"]


def test_unwritable_places(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        FileTarWriter(str(tmp_path / "no/such/folder/x"), "x")
    with pytest.raises(StoreError, match="is a folder"):
        FileTarWriter(str(tmp_path), "x")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress, bytes])
def test_decompression_is_bounded_and_complete(pack: Callable[[bytes], bytes]) -> None:
    content = bytes(5 << 20) + os.urandom(1000)
    packed = pack(content)
    pieces = list(decompressed((packed[start : start + 1000] for start in range(0, len(packed), 1000)), "x"))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= PIECE
    twice = packed + pack(b"more") + (bytes(600) if pack in (gzip.compress, lzma.compress) else b"")
    assert b"".join(decompressed([twice], "x")) == content + b"more"


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_truncated_compression(pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ArchiveError, match="too early"):
        list(decompressed([pack(os.urandom(1000))[:-12]], "x"))
    with pytest.raises(ArchiveError, match="damaged"):
        list(decompressed([pack(b"x")[:8] + os.urandom(100)], "x"))


@pytest.mark.parametrize("packed", [False, True])
def test_several_images_in_one_archive(packed: bool, tmp_path: Path, make_image: Callable[..., Any]) -> None:
    path = str(tmp_path / "images")
    images = {name: make_image(layers=(("a", b"same"), ("b", name.encode()))) for name in ("one", "two")}
    archive = LayoutArchive(gzip_tar_writer(path) if packed else FileTarWriter(path, "x"), "x")
    for name, image in images.items():
        destination = archive.destination(name)
        image.store(destination)
        destination.close()
    archive.put_file("beside.json", b"{}")
    assert not os.path.exists(path)
    archive.finish()
    archive.abandon()
    assert os.listdir(tmp_path) == ["images"]
    with tarfile.open(path) as written:
        names = written.getnames()
    assert len(names) == len(set(names)) == 3 + 2 + 2 + 3  # layers, configs, manifests, and what is beside blobs
    layout = ArchiveLayout(TarIndex.open(path, "x"), "x")
    assert list(layout.names()) == ["one", "two"]
    for name, image in images.items():
        source = layout.source(layout.names()[name])
        assert Digest.of(source.manifest()[0]) == image.digest
        for layer in image.manifest.layers:
            assert b"".join(source.blob(layer)) == image.blobs[layer.digest]
    layout.close()


@pytest.mark.parametrize("packed", [False, True])
def test_nothing_is_left_of_an_archive_that_is_given_up(packed: bool, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("older")
    writer = gzip_tar_writer(str(path)) if packed else FileTarWriter(str(path), "x")
    writer.add("a", 3, (b"abc",))
    writer.abandon()
    writer.abandon()
    assert (os.listdir(tmp_path), path.read_text()) == (["x"], "older")


def test_a_full_disk(tmp_path: Path) -> None:
    for writer in (gzip_tar_writer("/dev/full"), FileTarWriter("/dev/full", "x")):
        writer.add("a", 3, (b"abc",))
        with pytest.raises(StoreError, match="/dev/full: no space left on device"):
            writer.finish()


def test_archives_that_nobody_could_read_are_not_written(tmp_path: Path) -> None:
    archive = LayoutArchive(FileTarWriter(str(tmp_path / "x"), "x"), "x", max_members=4)
    for number in range(3):
        archive.put_document(str(number).encode())
    with pytest.raises(ArchiveError, match="too many for one archive"):
        archive.finish()
    assert os.listdir(tmp_path) == []
