"""The main job on real input: a Python web service on Debian, from the Dockerfile to an HTTP answer.

Built by pywerf as root, pushed to a registry, pulled from there and run by dockerd and by podman; and the same
Dockerfile built by Debian's buildah gives the same files and config.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import image_compare, judges, machine, services
from support.image_compare import Allowed
from support.werf import Werf

pytestmark = pytest.mark.integration

SOURCE = Path(__file__).parent / "web_app"

VOLATILE = (Allowed("*.pyc", "sha256", reason="byte code holds the time of its source"),)
"""What two runs of apt-get, dpkg and pip never make the same, whoever builds."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, debian: str) -> Path:
    """The web service with the base's name in its Dockerfile."""
    folder = tmp_path_factory.mktemp("web") / "app"
    judges.copy_context(SOURCE, folder)
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("debian:bookworm", debian))
    return folder


@pytest.fixture(scope="module")
def built(project: Path, shared_werf: Werf) -> str:
    """The image, built by pywerf."""
    shared_werf.build(project, "web:1", "--format", "docker")
    return "web:1"


@pytest.fixture(scope="module")
def ours(built: str, shared_werf: Werf, tmp_path_factory: pytest.TempPathFactory) -> image_compare.Image:
    """The image, read back from an archive."""
    return image_compare.read_image(shared_werf.export(built, tmp_path_factory.mktemp("export") / "ours.tar"))


@pytest.fixture(scope="module")
def pushed(built: str, shared_werf: Werf, registry: str) -> str:
    """The image's name in the registry."""
    shared_werf.run("buildah", "push", built, f"docker://{registry}/team/web:1")
    return f"{registry}/team/web:1"


def answer(port: int, seconds: float = 40) -> dict[str, object]:
    """What the service says, once it is up."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
                found: dict[str, object] = json.load(response)
                return found
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


EXPECTED = {"message": "hello from a pywerf image", "uid": 4711, "cwd": "/srv/app"}


def test_config_says_what_the_dockerfile_says(ours: image_compare.Image) -> None:
    config = ours.config["config"]
    assert config["User"] == "web"
    assert config["WorkingDir"] == "/srv/app"
    assert config["ExposedPorts"] == {"8000/tcp": {}}
    assert config["Cmd"] == ["/opt/venv/bin/python", "app.py"]
    assert config["Healthcheck"]["Interval"] == 5_000_000_000
    assert "PORT=8000" in config["Env"]


def test_files_have_their_owners_and_capabilities(ours: image_compare.Image) -> None:
    app = ours.files["srv/app/app.py"]
    assert (app["uid"], app["mode"]) == (4711, "0644")
    assert "security.capability" in ours.files["usr/local/bin/python3-net"]["xattrs"]
    assert not [path for path in ours.files if path.startswith("srv/app/__pycache__")]


def test_dockerd_runs_it(docker: services.Docker, pushed: str) -> None:
    docker.run("pull", pushed)
    port = machine.free_port()
    docker.run("run", "-d", "--name", "web", "--network=host", "-e", f"PORT={port}", pushed)
    try:
        assert answer(port) == EXPECTED
        end = time.monotonic() + 60
        while (health := docker.run("inspect", "-f", "{{.State.Health.Status}}", "web").stdout.strip()) == "starting":
            assert time.monotonic() < end, "the health check does not end"
            time.sleep(0.5)
        assert health == "healthy"
    finally:
        docker.run("rm", "-f", "web", check=False)


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[list[str]]:
    """The words before each podman command: a store and state of its own."""
    state = Path(tempfile.mkdtemp(prefix="podman-", dir="/run"))  # podman takes no path of more than 50 characters
    argv = [machine.require("podman"), "--root", f"{tmp_path}/root", "--runroot", f"{state}/run"]
    argv += ["--tmpdir", f"{state}/tmp", "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs"]
    argv += ["--events-backend", "none", "--runtime", machine.require("runc")]
    yield argv
    machine.run(*argv, "rm", "-f", "-a", "-t", "0", check=False)
    services.unmount_below(tmp_path)
    services.unmount_below(state)
    shutil.rmtree(state)


def test_podman_runs_it(podman: list[str], pushed: str) -> None:
    machine.run(*podman, "pull", "--tls-verify=false", pushed)
    port = machine.free_port()
    # podman's own defaults raise limits, which not every root may
    limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
    flags = ["--network=host", *limits, "--no-healthcheck", "--log-driver=none"]
    machine.run(*podman, "run", "-d", "--name", "web", *flags, "-e", f"PORT={port}", pushed)
    try:
        assert answer(port) == EXPECTED
    finally:
        machine.run(*podman, "rm", "-f", "-t", "0", "web", check=False)


def test_werf_runs_it(shared_werf: Werf, built: str) -> None:
    port = machine.free_port()
    process = shared_werf.start("run", "-e", f"PORT={port}", built)
    try:
        assert answer(port) == EXPECTED
    finally:
        services.stop(process)
        assert process.stdout is not None
        process.stdout.close()


def test_same_image_as_buildah(
    ours: image_compare.Image,
    project: Path,
    debian: str,
    debian_layout: Path,
    layout_digest: Callable[[Path], str],
    buildah_judge: judges.Buildah,
    tmp_path: Path,
) -> None:
    # packages are updated now and then: an answer holds for a day
    today = time.strftime("%Y-%m-%d", time.gmtime())
    key = f"{layout_digest(debian_layout)} {today}"
    theirs, refusal = judges.judged(buildah_judge, project / "Dockerfile", project, [], tmp_path, key, base=debian)
    assert theirs is not None, refusal
    assert len(ours.files) > 8000
    found = image_compare.differences(ours, theirs, [*VOLATILE, *buildah_judge.known])
    assert not found, "\n".join(found[:60])


def test_rebuild_takes_everything_from_the_cache(project: Path, shared_werf: Werf, built: str) -> None:
    before = shared_werf.run("buildah", "inspect", built).stdout
    again = project.with_name("again")
    shutil.copytree(project, again, dirs_exist_ok=True)
    shared_werf.build(again, "web:2", "--format", "docker")
    digests = [
        json.loads(text)["FromImageID"] for text in (before, shared_werf.run("buildah", "inspect", "web:2").stdout)
    ]
    assert digests[0] == digests[1]
