"""What moves between a registry and a store, and what does not: counted by a registry in this process."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from support import machine, services
from support.builds import build, fails, write
from support.fake_registry import MANIFEST_TYPE, FakeRegistry, digest_of
from support.image_compare import read_image
from support.werf import Werf

pytestmark = pytest.mark.integration

Entry = tuple[str, str, int, int, bytes]  # name (a slash at the end: a directory), link target, mode, owner, content


def tar_of(*entries: Entry) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, target, mode, owner, content in entries:
            info = tarfile.TarInfo(name.rstrip("/"))
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.SYMTYPE if target else tarfile.REGTYPE
            info.linkname, info.mode, info.uid, info.gid, info.size = target, mode, owner, owner, len(content)
            info.mtime = 1_000_000_000
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def put_image(registry: FakeRegistry, name: str, tars: list[bytes], **change: object) -> list[str]:
    """Put an image with gzip layers there; the layers' digests. `diff_ids` may say something else than the truth."""
    repository, _, tag = name.partition(":")
    packed = [gzip.compress(tar, mtime=0) for tar in tars]
    config = json.dumps(
        {
            "architecture": "amd64" if machine.run("uname", "-m").stdout.strip() == "x86_64" else "arm64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]} | change,
        }
    ).encode()
    layers = [
        {
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": registry.add_blob(repository, blob),
            "size": len(blob),
        }
        for blob in packed
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": registry.add_blob(repository, config),
            "size": len(config),
        },
        "layers": layers,
    }
    registry.add_manifest(repository, tag, json.dumps(manifest).encode())
    return [str(layer["digest"]) for layer in layers]


@pytest.fixture(scope="module")
def busybox_tar(busybox_layout: Path) -> bytes:
    """The one layer of the busybox base."""
    index = json.loads((busybox_layout / "index.json").read_text())
    manifest = json.loads((busybox_layout / "blobs" / index["manifests"][0]["digest"].replace(":", "/")).read_text())
    return gzip.decompress((busybox_layout / "blobs" / manifest["layers"][0]["digest"].replace(":", "/")).read_bytes())


FILES = tar_of(("data/", "", 0o755, 0, b""), ("data/file", "", 0o640, 7, b"content"))


def downloads(registry: FakeRegistry, digests: list[str]) -> list[str]:
    """Which of the blobs were downloaded, each as often as it was."""
    return [digest for digest in digests for request in registry.seen("GET", f"/blobs/{digest}")]


def uploads(registry: FakeRegistry) -> list[str]:
    """The uploads that brought bytes."""
    return [
        str(request)
        for request in registry.requests
        if request.method in ("PATCH", "PUT") and "/uploads/" in request.path
    ]


def mounts(registry: FakeRegistry) -> list[str]:
    """The blobs that were mounted from another repository."""
    return [request.query["mount"] for request in registry.seen("POST") if "mount" in request.query]


def leftovers(werf: Werf) -> set[str]:
    """Snapshots on disk."""
    folder = werf.root / "snapshots/overlay"
    return {path.name for path in folder.iterdir()} - {"l", "empty"} if folder.exists() else set()


# lazy bases


def test_a_base_moves_no_byte_when_only_the_config_changes(
    werf: Werf, tmp_path: Path, fake_registry: FakeRegistry
) -> None:
    layers = put_image(fake_registry, "base:1", [FILES])
    context = write(tmp_path / "context", {"Dockerfile": f'FROM {fake_registry.host}/base:1\nENV A=b\nCMD ["/x"]\n'})
    image = build(werf, context, "-t", f"{fake_registry.host}/app:1")
    assert {"A=b"} <= set(image.config["Env"])
    werf.run("buildah", "push", f"{fake_registry.host}/app:1")
    assert downloads(fake_registry, layers) == []
    assert layers[0] in mounts(fake_registry)
    assert fake_registry.blobs["app", layers[0]] == fake_registry.blobs["base", layers[0]]
    assert leftovers(werf) == set()
    # what was only named is complete for others
    skopeo = machine.require("skopeo")
    machine.run(
        skopeo, "copy", "--src-tls-verify=false", f"docker://{fake_registry.host}/app:1", f"oci:{tmp_path}/copy:1"
    )
    assert read_image(tmp_path / "copy").files["data/file"]["uid"] == 7


def test_a_base_is_pulled_when_a_copy_into_it_needs_to_look(
    werf: Werf, tmp_path: Path, fake_registry: FakeRegistry
) -> None:
    layers = put_image(fake_registry, "base:1", [FILES])
    context = write(
        tmp_path / "context", {"Dockerfile": f"FROM {fake_registry.host}/base:1\nCOPY f /data/\n", "f": "x"}
    )
    image = build(werf, context)
    assert downloads(fake_registry, layers) == layers
    assert image.files["data"]["mode"] == "0755"


def test_a_base_is_pulled_when_a_run_needs_it(
    werf: Werf, tmp_path: Path, fake_registry: FakeRegistry, busybox_tar: bytes
) -> None:
    layers = put_image(fake_registry, "base:1", [busybox_tar, FILES])
    plain = write(tmp_path / "plain", {"Dockerfile": f"FROM {fake_registry.host}/base:1\nENV A=b\n"})
    build(werf, plain)
    assert downloads(fake_registry, layers) == []
    (plain / "Dockerfile").write_text(f"FROM {fake_registry.host}/base:1\nENV A=b\nRUN cat /data/file > /copied\n")
    image = build(werf, plain, "--pull=never")
    assert sorted(downloads(fake_registry, layers)) == sorted(layers)
    assert image.files["copied"]["size"] == len("content")
    build(werf, plain, "--no-cache")
    assert sorted(downloads(fake_registry, layers)) == sorted(layers), "each layer came once"


def test_only_the_stage_that_is_read_is_pulled(werf: Werf, tmp_path: Path, fake_registry: FakeRegistry) -> None:
    big = put_image(fake_registry, "big:1", [FILES])
    small = put_image(fake_registry, "small:1", [tar_of(("tool", "", 0o755, 0, b"x"))])
    host = fake_registry.host
    text = (
        f"FROM {host}/big:1 AS unused\nRUN false\nFROM {host}/small:1 AS tools\n"
        "FROM scratch\nCOPY --from=tools /tool /\n"
    )
    build(werf, write(tmp_path / "context", {"Dockerfile": text}))
    assert downloads(fake_registry, big) == []
    assert downloads(fake_registry, small) == small


# pull


def test_pull_unpacks_while_it_downloads(werf: Werf, fake_registry: FakeRegistry) -> None:
    """The layers come at once: the registry sends none before all four are asked for."""
    tars = [tar_of((f"file{number}", "", 0o644, 0, bytes([number]) * 50_000)) for number in range(4)]
    layers = put_image(fake_registry, "many:1", tars)
    config = json.loads(fake_registry.manifests["many", "1"][0])["config"]["digest"]
    gate = threading.Barrier(4)
    # the config is fetched before, alone
    real = fake_registry.blobs["many", config]
    fake_registry.gate = _Except(gate, 1)  # type: ignore[assignment]
    werf.run("buildah", "pull", f"{fake_registry.host}/many:1")
    assert real
    assert sorted(downloads(fake_registry, layers)) == sorted(layers)
    assert len(leftovers(werf)) == 4
    werf.run("buildah", "pull", f"{fake_registry.host}/many:1")
    assert sorted(downloads(fake_registry, layers)) == sorted(layers), "nothing came again"


class _Except:
    """A barrier that lets the first `free` through."""

    def __init__(self, barrier: threading.Barrier, free: int) -> None:
        self.barrier = barrier
        self.free = free
        self.lock = threading.Lock()

    def wait(self, seconds: float) -> None:
        with self.lock:
            self.free -= 1
            if self.free >= 0:
                return
        self.barrier.wait(seconds)


@pytest.mark.parametrize("broken", [0, 1])
def test_a_damaged_layer(werf: Werf, fake_registry: FakeRegistry, broken: int) -> None:
    layers = put_image(fake_registry, "damaged:1", [FILES, tar_of(("b", "", 0o644, 0, b"x" * 100_000))])
    good = fake_registry.blobs["damaged", layers[broken]]
    fake_registry.substitutes[layers[broken]] = good[:-20] + bytes(20)
    done = werf.run("buildah", "pull", f"{fake_registry.host}/damaged:1", check=False)
    assert done.returncode == 125
    assert f"expected {layers[broken]}, got sha256:" in done.stderr
    assert "internal error" not in done.stderr
    assert not (werf.root / "oci/blobs/sha256" / layers[broken][7:]).exists()
    assert len(leftovers(werf)) <= (1 if broken else 0), "at most the layer below, which is whole"
    assert services.mounts_below(werf.root) == []
    # the registry serves the truth again: the same store goes on
    fake_registry.substitutes.clear()
    werf.run("buildah", "pull", f"{fake_registry.host}/damaged:1")
    assert len(leftovers(werf)) == 2


def test_a_layer_that_is_not_what_the_config_says(werf: Werf, tmp_path: Path, fake_registry: FakeRegistry) -> None:
    """Whole as a blob, but another tar than its diff_id: nobody may take it for the layer of that chain."""
    put_image(fake_registry, "lying:1", [FILES], diff_ids=[digest_of(b"something else")])
    done = werf.run("buildah", "pull", f"{fake_registry.host}/lying:1", check=False)
    assert done.returncode == 125
    assert "unpacked layer: expected" in done.stderr
    assert leftovers(werf) == set()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_config_that_names_another_number_of_layers(
    werf: Werf, tmp_path: Path, fake_registry: FakeRegistry, count: int
) -> None:
    put_image(fake_registry, "odd:1", [FILES, FILES], diff_ids=[digest_of(FILES)] * count)
    context = write(tmp_path / "context", {"Dockerfile": f"FROM {fake_registry.host}/odd:1\nCOPY Dockerfile /\n"})
    assert "2 layers, but its config knows" in fails(werf, context)
    done = werf.run("buildah", "pull", f"{fake_registry.host}/odd:1", check=False)
    assert done.returncode == 125
    assert "2 layers, but its config knows" in done.stderr


def test_an_interrupted_download_is_resumed(werf: Werf, fake_registry: FakeRegistry) -> None:
    import os

    put_image(fake_registry, "big:1", [tar_of(("big", "", 0o644, 0, os.urandom(600_000)))])
    fake_registry.drop_download_after = [-1, 300_000]
    werf.run("buildah", "pull", f"{fake_registry.host}/big:1")
    assert [request for request in fake_registry.seen("GET", "/blobs/") if "range" in request.headers]


def test_the_same_layer_twice_in_an_image(werf: Werf, tmp_path: Path, fake_registry: FakeRegistry) -> None:
    put_image(fake_registry, "twice:1", [FILES, tar_of(("x", "", 0o644, 0, b"")), FILES])
    werf.run("buildah", "pull", f"{fake_registry.host}/twice:1")
    assert len(leftovers(werf)) == 3
    werf.run("buildah", "push", f"{fake_registry.host}/twice:1", f"oci-archive:{tmp_path}/out.tar")
    assert set(read_image(tmp_path / "out.tar").files) == {"data", "data/file", "x"}


# layers with parts missing


def test_directories_that_a_layer_does_not_name_keep_what_they_are_below(
    werf: Werf, tmp_path: Path, fake_registry: FakeRegistry, busybox_tar: bytes
) -> None:
    below = tar_of(("./", "", 0o751, 3, b""), ("secret/", "", 0o2750, 7, b""), ("secret/deep/", "", 0o700, 8, b""))
    between = tar_of(("other", "", 0o644, 0, b""))
    above = tar_of(("secret/deep/file", "", 0o644, 0, b"x"), ("new/dir/file", "", 0o644, 0, b"y"))
    put_image(fake_registry, "implicit:1", [busybox_tar, below, between, above])
    text = f"FROM {fake_registry.host}/implicit:1\nRUN stat -c '%n %a %u' / /secret /secret/deep /new/dir\n"
    image = build(werf, write(tmp_path / "context", {"Dockerfile": text}))
    for line in ("/ 751 3", "/secret 2750 7", "/secret/deep 700 8", "/new/dir 755 0"):
        assert f" {line}\n" in image.log


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_both_drivers_show_the_same(
    make_werf: Callable[[str], Werf], tmp_path: Path, fake_registry: FakeRegistry, busybox_tar: bytes, driver: str
) -> None:
    werf = make_werf(driver)
    below = tar_of(
        ("./", "", 0o751, 3, b""),
        ("d/", "", 0o2750, 7, b""),
        ("d/gone", "", 0o644, 0, b""),
        ("d/e/", "", 0o700, 8, b""),
    )
    above = tar_of(("d/.wh.gone", "", 0o644, 0, b""), ("d/e/file", "", 0o644, 0, b"x"))
    put_image(fake_registry, "both:1", [busybox_tar, below, above])
    text = (
        f"FROM {fake_registry.host}/both:1\n"
        "RUN --mount=type=cache,target=/mnt/c touch /made && rm /d/e/file\n"
        "RUN touch /tmp/l && find / -xdev -path /proc -prune -o -path /dev -prune -o -path /sys -prune -o -print "
        "| sort > /tmp/l; "
        "stat -c '%n %a %u' / /d /d/e\nRUN rm -r /d && mkdir /d && touch /d/new\n"
    )
    context = write(tmp_path / "context", {"Dockerfile": text})
    image = build(werf, context, "--storage-driver", driver, "--timestamp", "1100000000")
    for line in ("/ 751 3", "/d 2750 7", "/d/e 700 8"):
        assert f" {line}\n" in image.log
    assert not [path for path in image.files if path.startswith(("mnt", "d/e", "d/gone"))]
    squashed = build(werf, context, "--storage-driver", driver, "--timestamp", "1100000000", "--squash")
    assert squashed.files == image.files
    assert squashed.image.layers == 4
    # the layers are the same bytes, whichever driver made them
    other = make_werf("vfs" if driver == "overlay" else "overlay")
    flags = ["--storage-driver", "vfs" if driver == "overlay" else "overlay", "--timestamp", "1100000000"]
    (context / "Dockerfile").write_text(text)
    assert build(other, context, *flags).document["rootfs"] == image.document["rootfs"]


# push


@pytest.fixture
def app(werf: Werf, tmp_path: Path, fake_registry: FakeRegistry, busybox_tar: bytes) -> tuple[str, list[str]]:
    """An image with a COPY and a RUN on a base of the registry; its id, and the base's layers."""
    layers = put_image(fake_registry, "base:1", [busybox_tar])
    text = f"FROM {fake_registry.host}/base:1\nCOPY f /\nRUN seq 50000 > /made\n"
    image = build(werf, write(tmp_path / "context", {"Dockerfile": text, "f": "x" * 10_000}))
    fake_registry.requests.clear()
    return image.id, layers


def test_push_mounts_the_base_and_sends_the_rest_once(
    werf: Werf, fake_registry: FakeRegistry, app: tuple[str, list[str]]
) -> None:
    id, base = app
    werf.run("buildah", "push", id, f"docker://{fake_registry.host}/app:1")
    assert mounts(fake_registry)[:1] == base or base[0] in mounts(fake_registry)
    assert ("app", base[0]) in fake_registry.blobs
    first = uploads(fake_registry)
    assert first
    fake_registry.requests.clear()
    werf.run("buildah", "push", id, f"docker://{fake_registry.host}/app:1")
    assert uploads(fake_registry) == []
    werf.run("buildah", "push", id, f"docker://{fake_registry.host}/app:2")
    assert uploads(fake_registry) == []
    assert fake_registry.manifests["app", "1"] == fake_registry.manifests["app", "2"]


def test_another_repository_of_the_registry_mounts_all_layers(
    werf: Werf, fake_registry: FakeRegistry, app: tuple[str, list[str]]
) -> None:
    id, _ = app
    werf.run("buildah", "push", id, f"docker://{fake_registry.host}/app:1")
    fake_registry.requests.clear()
    werf.run("buildah", "push", id, f"docker://{fake_registry.host}/copy/of/app:1")
    layers = [layer["digest"] for layer in json.loads(fake_registry.manifests["app", "1"][0])["layers"]]
    assert set(layers) <= set(mounts(fake_registry))
    assert len(uploads(fake_registry)) <= 2, "at most the config"


@pytest.mark.parametrize(("compression", "suffix"), [("gzip", "+gzip"), ("zstd", "+zstd"), ("none", "tar")])
def test_compressions(
    werf: Werf,
    tmp_path: Path,
    fake_registry: FakeRegistry,
    app: tuple[str, list[str]],
    make_werf: Callable[[str], Werf],
    compression: str,
    suffix: str,
) -> None:
    id, base = app
    flags = ["--disable-compression"] if compression == "none" else ["--compression-format", compression]
    done = werf.run("buildah", "push", *flags, id, f"docker://{fake_registry.host}/app:1", check=False)
    if done.returncode == 2 and compression == "none":
        werf.run("buildah", "push", "--compression-format", "none", id, f"docker://{fake_registry.host}/app:1")
    manifest = json.loads(fake_registry.manifests["app", "1"][0])
    assert [layer["digest"] for layer in manifest["layers"]][:1] == base, "the base stays as it is"
    assert all(layer["mediaType"].endswith(suffix) for layer in manifest["layers"][1:])
    other = make_werf("other")
    other.run("buildah", "pull", f"{fake_registry.host}/app:1")
    assert read_image(other.export(id, tmp_path / "back.tar")).files["made"]["size"] > 50_000
    listed = json.loads(other.run("buildah", "images", "--json").stdout)
    assert [item["id"] for item in listed] == [id[:12]], "the image is the same, however it was packed"


def test_push_of_what_was_only_named_but_whose_source_is_gone(
    werf: Werf, tmp_path: Path, fake_registry: FakeRegistry, registry: str
) -> None:
    layers = put_image(fake_registry, "base:1", [FILES])
    text = f"FROM {fake_registry.host}/base:1\nENV A=b\n"
    image = build(werf, write(tmp_path / "context", {"Dockerfile": text}))
    werf.run("buildah", "push", image.id, f"docker://{registry}/moved:1")
    assert downloads(fake_registry, layers) == layers, "another registry cannot mount it: it is passed on"
    del fake_registry.blobs["base", layers[0]]
    done = werf.run("buildah", "push", image.id, f"oci-archive:{tmp_path}/x.tar", check=False)
    assert done.returncode == 0, "it was seen in the other registry as well"


def test_the_first_layer_that_cannot_be_sent_stops_the_push(
    werf: Werf, fake_registry: FakeRegistry, app: tuple[str, list[str]]
) -> None:
    id, _ = app
    fake_registry.fail("POST", "/uploads/", 403, times=50, body={"errors": [{"code": "DENIED", "message": "quota"}]})
    done = werf.run("buildah", "push", id, f"docker://{fake_registry.host}/app:1", check=False)
    assert done.returncode == 125
    assert "quota" in done.stderr
    assert ("app", "1") not in fake_registry.manifests
