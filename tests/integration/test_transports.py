"""Every transport both ways: what we push others read, what others wrote we pull; always the same image."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support import image_compare, machine, services
from support.werf import Werf

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def image(shared_werf: Werf, busybox: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with layers of several kinds and a config worth comparing."""
    context = tmp_path_factory.mktemp("transports")
    (context / "file").write_text("file\n")
    (context / "Dockerfile").write_text(
        f"FROM {busybox}\nCOPY --chown=app file /file\n"
        "RUN rm /etc/os-release && ln /file /hard && ln -s file /soft && mkfifo /pipe\n"
        "ENV A=1\nLABEL b=2\nUSER app\nEXPOSE 80\nHEALTHCHECK CMD true\n"
    )
    shared_werf.build(context, "transport:1", "--format", "docker")
    return "transport:1"


@pytest.fixture(scope="module")
def expected(image: str, shared_werf: Werf, tmp_path_factory: pytest.TempPathFactory) -> image_compare.Image:
    """The image as an OCI archive has it."""
    return image_compare.read_image(shared_werf.export(image, tmp_path_factory.mktemp("expected") / "image.tar"))


@pytest.fixture
def skopeo(tmp_path: Path) -> Callable[..., image_compare.Image]:
    """Reads any transport with skopeo, by copying it to a Docker archive (or to a given transport)."""
    count = iter(range(100))

    def read(source: str, transport: str = "docker-archive") -> image_compare.Image:
        archive = tmp_path / f"skopeo-{next(count)}.tar"
        machine.run(
            *(machine.require("skopeo"), "copy", "-q", "--src-tls-verify=false"),
            *(source, f"{transport}:{archive}:read:1"),
        )
        return image_compare.read_image(archive)

    return read


LOCAL = [
    "oci:{tmp}/layout:some-name",
    "oci-archive:{tmp}/a.tar",
    "docker-archive:{tmp}/d.tar:some/name:1",
    "dir:{tmp}/dir",
]


@pytest.mark.parametrize("pattern", LOCAL)
def test_push_to_a_file_and_pull_back(
    pattern: str,
    image: str,
    expected: image_compare.Image,
    shared_werf: Werf,
    make_werf: Callable[[str], Werf],
    skopeo: Callable[..., image_compare.Image],
    tmp_path: Path,
) -> None:
    place = pattern.format(tmp=tmp_path)
    shared_werf.run("buildah", "push", image, place)
    assert image_compare.differences(skopeo(place.removesuffix(":some/name:1")), expected) == []

    other = make_werf("other")
    image_id = other.run("buildah", "pull", "-q", place.removesuffix(":some/name:1")).stdout.strip().splitlines()[-1]
    back = image_compare.read_image(other.export(image_id, tmp_path / "back.tar"))
    assert image_compare.differences(back, expected) == []


@pytest.mark.parametrize("flags", [[], ["--compression-format", "zstd"], ["--format", "oci"], ["--format", "v2s2"]])
def test_push_to_a_registry_and_pull_back(
    flags: list[str],
    image: str,
    expected: image_compare.Image,
    shared_werf: Werf,
    make_werf: Callable[[str], Werf],
    skopeo: Callable[..., image_compare.Image],
    registry: str,
    tmp_path: Path,
) -> None:
    place = f"docker://{registry}/transports/{'-'.join(flags).strip('-') or 'plain'}:1"
    shared_werf.run("buildah", "push", *flags, image, place)
    if "zstd" in flags:  # Docker archives have no zstd; as OCI, skopeo knows no health checks
        without = image_compare.Allowed("config.Healthcheck")
        assert image_compare.differences(skopeo(place, "oci-archive"), expected, [without]) == []
    else:
        assert image_compare.differences(skopeo(place), expected) == []
    other = make_werf("other")
    other.run("buildah", "pull", place.removeprefix("docker://"))
    back = image_compare.read_image(other.export(place.removeprefix("docker://"), tmp_path / "back.tar"))
    assert image_compare.differences(back, expected) == []


def test_push_writes_the_digest(image: str, shared_werf: Werf, registry: str, tmp_path: Path) -> None:
    place = f"{registry}/transports/digest:1"
    shared_werf.run("buildah", "push", "--digestfile", tmp_path / "digest", image, f"docker://{place}")
    shown = machine.run(machine.require("skopeo"), "inspect", "--tls-verify=false", f"docker://{place}")
    assert json.loads(shown.stdout)["Digest"] == (tmp_path / "digest").read_text().strip()


def test_docker_daemon_both_ways(
    image: str,
    expected: image_compare.Image,
    shared_werf: Werf,
    make_werf: Callable[[str], Werf],
    docker: services.Docker,
    tmp_path: Path,
) -> None:
    env = {"DOCKER_HOST": docker.host}
    shared_werf.run("buildah", "push", image, "docker-daemon:transported:1", env=env)
    assert docker.run("run", "--rm", "--network=none", "transported:1", "cat", "/hard").stdout == "file\n"
    docker.run("save", "-o", tmp_path / "saved.tar", "transported:1")
    assert image_compare.differences(image_compare.read_image(tmp_path / "saved.tar"), expected) == []

    other = make_werf("other")
    image_id = (
        other.run("buildah", "pull", "-q", "docker-daemon:transported:1", env=env).stdout.strip().splitlines()[-1]
    )
    back = image_compare.read_image(other.export(image_id, tmp_path / "back.tar"))
    assert image_compare.differences(back, expected) == []


@pytest.mark.parametrize(
    "form",
    ["oci:{tmp}/theirs:x", "oci-archive:{tmp}/theirs.tar:x", "docker-archive:{tmp}/theirs.tar:x:1", "dir:{tmp}/theirs"],
)
def test_pull_what_skopeo_wrote(
    form: str, make_werf: Callable[[str], Werf], tmp_path: Path, busybox_layout: Path
) -> None:
    place = form.format(tmp=tmp_path)
    machine.run(machine.require("skopeo"), "copy", "-q", f"oci:{busybox_layout}:base", place)
    other = make_werf("other")
    image_id = other.run("buildah", "pull", "-q", place).stdout.strip().splitlines()[-1]
    back = image_compare.read_image(other.export(image_id, tmp_path / "back.tar"))
    assert image_compare.differences(back, image_compare.read_image(busybox_layout)) == []


def test_store_is_a_layout_that_skopeo_inspects(shared_werf: Werf, busybox: str, tmp_path: Path) -> None:
    """In place, with nothing exported. (The blobs of built layers are made when a push needs them.)"""
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo in the store > /file\nLABEL a=b\n")
    shared_werf.build(tmp_path, "in-store:1")
    place = f"oci:{shared_werf.root}/oci:localhost/in-store:1"
    shown = json.loads(machine.run(machine.require("skopeo"), "inspect", place).stdout)
    assert len(shown["Layers"]) == 2
    assert shown["Labels"]["a"] == "b"
    config = json.loads(machine.run("skopeo", "inspect", "--config", place).stdout)
    assert len(config["rootfs"]["diff_ids"]) == 2
