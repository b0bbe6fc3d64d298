"""Cleaning a Docker daemon: images of projects, what builds have left behind, volumes that nobody named."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pywerf.backend.docker.daemon import Daemon
from pywerf.backend.docker.host import CONTAINER_LABEL, DockerHost
from pywerf.backend.host import HostImage
from pywerf.build.host.reduce import purge_images, reduce_images
from pywerf.build.limits import VolumeLimit
from pywerf.errors import ImageInUse
from pywerf.util.process_mark import process_mark
from support import services
from support.werf import Werf

pytestmark = pytest.mark.integration

FULL = VolumeLimit(0, 0)


class AgedHost(DockerHost):
    """The same daemon, some hours later."""

    def images(self, project: str = "") -> list[HostImage]:
        return [msgspec.structs.replace(one, used=one.used - 4 * 3600) for one in super().images(project)]


@pytest.fixture
def host(docker: services.Docker, tmp_path: Path) -> Iterator[AgedHost]:
    with Daemon({"DOCKER_HOST": docker.host, "HOME": str(tmp_path)}) as daemon:
        yield AgedHost(daemon, str(tmp_path))


@pytest.fixture
def project(docker: services.Docker, tmp_path: Path) -> Iterator[str]:
    """The name of a project of this test alone; nothing of it stays."""
    name = f"host-{tmp_path.name[-20:].strip('_').replace('_', '-')}".lower()
    yield name
    for kind, remove in (("ps -aq", "rm -fv"), ("images -q", "rmi -f")):
        found = docker.run(*kind.split(), "--filter", f"label=werf={name}").stdout.split()
        if found:
            docker.run(*remove.split(), *dict.fromkeys(found))


def build(docker: services.Docker, folder: Path, project: str, tag: str, label: str = "") -> str:
    """Build an image of the project from a folder of its own."""
    place = folder / tag
    place.mkdir()
    (place / "file").write_text(tag)
    (place / "Dockerfile").write_text(f'FROM scratch\nLABEL werf={label or project}\nCOPY file /\nCMD ["/file"]\n')
    docker.run("build", "-q", "-t", f"{project}:{tag}", place)
    return f"{project}:{tag}"


def tags(docker: services.Docker, project: str) -> set[str]:
    return set(docker.run("images", project, "--format", "{{.Tag}}").stdout.split())


def test_where_the_images_are(docker: services.Docker, tmp_path: Path) -> None:
    with Daemon({"DOCKER_HOST": docker.host, "HOME": str(tmp_path)}) as daemon:
        assert DockerHost(daemon).storage_path == docker.run("info", "--format", "{{.DockerRootDir}}").stdout.strip()


def test_images_of_projects_go_the_oldest_first(
    docker: services.Docker, host: AgedHost, project: str, tmp_path: Path
) -> None:
    first = build(docker, tmp_path, project, "first")
    time.sleep(1.1)  # the daemon's times are whole seconds
    second = build(docker, tmp_path, project, "second")
    docker.run("tag", first, f"{project}:again")
    build(docker, tmp_path, project, "others", label="somebody-else")
    listed = host.images(project)
    assert {one.project for one in listed} == {project}
    assert all(abs(time.time() - one.used - 4 * 3600) < 600 for one in listed)
    would = reduce_images(host, FULL, project=project, dry_run=True)
    assert tags(docker, project) == {"first", "second", "again", "others"}
    done = reduce_images(host, FULL, project=project)
    # a new tag is a use: the second one was used longer ago
    assert list(done.images) == list(would.images)
    assert done.images[0] == second
    assert tags(docker, project) == {"others"}
    docker.run("rmi", f"{project}:others")


def test_what_containers_use_stays(docker: services.Docker, host: AgedHost, project: str, tmp_path: Path) -> None:
    used = build(docker, tmp_path, project, "used")
    docker.run("tag", used, f"{project}:too")
    build(docker, tmp_path, project, "free")
    container = docker.run("create", "-v", "/data", used).stdout.strip()
    left = docker.run("create", "--label", f"{CONTAINER_LABEL}={gone_mark()}", used).stdout.strip()
    busy = docker.run("create", "--label", f"{CONTAINER_LABEL}={process_mark()}", used).stdout.strip()
    done = reduce_images(host, FULL, project=project)
    assert done.containers == (left,)
    assert tags(docker, project) == {"used", "too"}
    with pytest.raises(ImageInUse, match=container[:12]):
        purge_images(host, project=project)
    purged = purge_images(host, project=project, force=True)
    assert set(purged.containers) == {container, busy}
    assert tags(docker, project) == set()


def test_volumes_that_nobody_named_go(docker: services.Docker, host: AgedHost, project: str, tmp_path: Path) -> None:
    image = build(docker, tmp_path, project, "image")
    docker.run("volume", "create", f"{project}-named")
    container = docker.run("create", "-v", "/data", image).stdout.strip()
    (volume,) = docker.run("inspect", "-f", "{{range .Mounts}}{{.Name}}{{end}}", container).stdout.split()
    assert volume not in host.volumes()
    docker.run("rm", container)
    assert volume in host.volumes()
    assert f"{project}-named" not in host.volumes()
    assert volume in reduce_images(host, FULL, project=project).volumes
    docker.run("volume", "inspect", f"{project}-named")
    assert docker.run("volume", "inspect", volume, check=False).returncode == 1
    docker.run("volume", "rm", f"{project}-named")


def test_the_commands(docker: services.Docker, werf: Werf, project: str, tmp_path: Path) -> None:
    image = build(docker, tmp_path, project, "image")
    env = {"WERF_BUILDAH_MODE": "docker", "DOCKER_HOST": docker.host}
    assert "Images:" in werf.run("host", "cleanup", "--dry-run", "-N", project, env=env).stdout
    # what came within the last three hours stays
    done = werf.run("host", "purge", "-N", project, env=env)
    assert done.stdout.splitlines() == ["Space: 0 B"]
    assert tags(docker, project) == {"image"}
    container = docker.run("create", image).stdout.strip()
    assert container
    assert not (werf.root / "db.sqlite").exists()


def gone_mark() -> str:
    boot, number, began = process_mark().split("/")
    return f"{boot}/{number}/{int(began) - 1}"
