"""`werf compose` with a Docker daemon and both of compose's programs: docker's plugin, and docker-compose."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from support import machine, services
from support.git_repository import GitRepository
from support.newer_docker import newer_docker
from support.werf import Werf

pytestmark = pytest.mark.integration

with_plugin = pytest.mark.parametrize("shop", ["docker compose"], indirect=True)

WERF_YAML = """\
project: {project}
configVersion: 1
"""
IMAGE = """\
---
image: {image}
dockerfile: Dockerfile
args: {{BUSYBOX: {busybox}, NAME: {image}}}
"""
DOCKERFILE = "ARG BUSYBOX\nFROM ${BUSYBOX}\nARG NAME\nENV NAME=$NAME\nCOPY text /text\n"
COMPOSE = """\
version: "3.4"
services:
  web:
    image: $WERF_WEB_APP_DOCKER_IMAGE_NAME
    network_mode: host
    command: ["sh", "-c", "cat /text; exec sleep 1000"]
    stop_grace_period: 1s
  worker:
    image: ${WERF_WORKER_DOCKER_IMAGE_NAME:?no image}
    network_mode: host
    command: ["sh", "-c", "cat /text; exec sleep 1000"]
    stop_grace_period: 1s
"""


class Shop(msgspec.Struct, frozen=True):
    """A project in git with a compose file; `program` is what calls compose."""

    werf: Werf
    git: GitRepository
    name: str
    program: str

    def compose(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.werf.run("compose", *words, cwd=self.git.path, check=check)

    def containers(self) -> dict[str, str]:
        """The services that run, and their images."""
        form = '{{.Label "com.docker.compose.service"}} {{.Image}}'
        wanted = f"label=com.docker.compose.project={self.name}"
        lines = machine.run("docker", "ps", "--filter", wanted, "--format", form, env=self.werf.env).stdout
        return dict(line.split() for line in lines.splitlines())

    def logs(self, service: str) -> str:
        """What the container of a service has said; nothing while it is replaced."""
        filters = (f"label=com.docker.compose.{key}" for key in (f"project={self.name}", f"service={service}"))
        words = [word for one in filters for word in ("--filter", one)]
        found = machine.run("docker", "ps", "--quiet", *words, env=self.werf.env).stdout.split()
        return machine.run("docker", "logs", *found, env=self.werf.env, check=False).stdout


@pytest.fixture(params=["docker compose", "docker-compose"])
def shop(
    request: pytest.FixtureRequest,
    make_werf: Callable[[str], Werf],
    docker: services.Docker,
    busybox: str,
    tmp_path: Path,
) -> Iterator[Shop]:
    name = "shop-" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]  # others share the daemon
    werf = make_werf("store")
    werf.env.update(
        DOCKER_HOST=docker.host,
        DOCKER_CONFIG=str(tmp_path / "docker"),
        WERF_BUILDAH_MODE="docker",
        WERF_LOG_QUIET="1",
        COMPOSE_PROJECT_NAME=name,
    )
    if request.param == "docker compose":
        plugins = tmp_path / "docker" / "cli-plugins"
        plugins.mkdir(parents=True)
        shutil.copy(newer_docker() / "usr/libexec/docker/cli-plugins/docker-compose", plugins)
    else:
        werf.env["WERF_DOCKER_COMPOSE_BIN_PATH"] = machine.require("docker-compose")
    git = GitRepository(tmp_path / "shop")
    git.commit(
        {
            "werf.yaml": WERF_YAML.format(project=name)
            + "".join(IMAGE.format(image=image, busybox=busybox) for image in ("web/app", "worker", "spare")),
            "Dockerfile": DOCKERFILE,
            "text": "one\n",
            "docker-compose.yml": COMPOSE,
        }
    )
    one = Shop(werf, git, name, werf.env.get("WERF_DOCKER_COMPOSE_BIN_PATH", "docker compose"))
    yield one
    left = machine.run(
        *("docker", "ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={name}"), env=werf.env
    ).stdout.split()
    if left:
        machine.run("docker", "rm", "--force", *left, env=werf.env)


def test_up_and_down(shop: Shop) -> None:
    shop.compose("up", "--docker-compose-command-options", "-d")
    built = shop.containers()
    assert set(built) == {"web", "worker"}
    for service, image in (("web", "web/app"), ("worker", "worker")):
        assert shop.werf.run("stage", "image", image, cwd=shop.git.path).stdout.strip() == built[service]
    assert shop.logs("web") == shop.logs("worker") == "one\n"
    spare = shop.werf.run("stage", "image", "spare", cwd=shop.git.path, check=False)
    assert spare.returncode == 1, "only what the compose file uses is built"

    shop.git.commit({"text": "two\n"})
    shop.compose("up", "web/app", "--docker-compose-command-options=-d", "--without-images", "--dry-run", "--", "web")
    assert shop.containers() == built
    shop.compose("up", "--docker-compose-command-options=-d", "--", "web")
    renewed = shop.containers()
    assert renewed["web"] != built["web"]
    assert renewed["worker"] == built["worker"]
    assert shop.logs("web") == "two\n"

    shop.compose("down")
    assert shop.containers() == {}


@with_plugin
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_services_in_front_end_with_the_command(shop: Shop, number: signal.Signals) -> None:
    process = shop.werf.start("compose", "up", cwd=shop.git.path)
    try:
        end = time.monotonic() + 120
        while {shop.logs(service) for service in ("web", "worker")} != {"one\n"}:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.2)
        if number is signal.SIGINT:  # as a terminal does it
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        said = process.communicate(timeout=60)[0].decode()
    finally:
        services.stop(process)
    assert process.returncode == 128 + number, said
    assert "web-1" in said
    assert shop.containers() == {}


def test_config_prints_what_images_are_called(shop: Shop, registry: str) -> None:
    repo = f"{registry}/{shop.name}"
    printed = shop.compose("config", "--repo", repo).stdout
    for image in ("web/app", "worker"):
        name = shop.werf.run("stage", "image", image, "--repo", repo, cwd=shop.git.path).stdout.strip()
        assert name.startswith(repo)
        assert f"image: {name}\n" in printed
    assert shop.compose("config", "--stub-tags").stdout.count("image: STUB:TAG\n") == 2


def test_run_ends_with_the_status_of_the_command(shop: Shop) -> None:
    options = ("--docker-compose-command-options", "--rm -T -e 'GREETING=a b'")
    done = shop.compose("run", *options, "--", "web", "sh", "-c", "echo $GREETING $(cat /text); exit 7", check=False)
    assert (done.returncode, done.stdout) == (7, "a b one\n")
    failed = shop.compose("run", check=False)
    assert failed.returncode == 2
    assert "werf compose run [IMAGE…] -- SERVICE" in failed.stderr


def test_dry_run_prints_the_commands(shop: Shop) -> None:
    (shop.git.path / "docker-compose.yml").rename(shop.git.path / "other file.yml")
    options = ("--docker-compose-options", "-f 'other file.yml'", "--dry-run")
    printed = shop.compose("up", *options, "--docker-compose-command-options=-d -t 20", "--", "web").stdout
    name = {image: shop.werf.run("stage", "image", image, cwd=shop.git.path).stdout for image in ("web/app", "worker")}
    assert printed == (
        f"export WERF_WEB_APP_DOCKER_IMAGE_NAME={name['web/app']}"
        f"export WERF_WORKER_DOCKER_IMAGE_NAME={name['worker']}"
        f"{shop.program} -f 'other file.yml' up -d -t 20 -- web\n"
    )
    assert shop.containers() == {}
    assert shop.compose("down", *options).stdout == (
        "export WERF_WEB_APP_DOCKER_IMAGE_NAME=STUB:TAG\nexport WERF_WORKER_DOCKER_IMAGE_NAME=STUB:TAG\n"
        f"{shop.program} -f 'other file.yml' down\n"
    )
    # the output is a script
    script = printed.replace("-d -t 20 -- web", "--help >/dev/null")
    machine.run("sh", "-ec", script, env=shop.werf.env, cwd=shop.git.path)


@with_plugin
def test_images_that_are_named(shop: Shop) -> None:
    printed = shop.compose("config", "sp*", "--dry-run").stdout.splitlines()
    assert [line.partition("=")[0] for line in printed[:-1]] == ["export WERF_SPARE_DOCKER_IMAGE_NAME"]
    failed = shop.compose("config", "none", check=False)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert 'no image matches "none"' in failed.stderr
    built = shop.compose("config", "-Z", "worker", check=False)
    assert built.returncode == 1
    assert "not built yet" in built.stderr


@with_plugin
def test_a_report_instead_of_a_build(shop: Shop, registry: str, tmp_path: Path) -> None:
    report = tmp_path / "report.env"
    repo = f"{registry}/{shop.name}"
    shop.werf.run("build", "--repo", repo, "--save-build-report", "--build-report-path", report, cwd=shop.git.path)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.copy(shop.git.path / "docker-compose.yml", folder)
    words = ("compose", "config", "--use-build-report", "--build-report-path", report)
    printed = shop.werf.run(*words, cwd=folder).stdout
    assert printed.count(f"image: {repo}:") == 2
    stubs = shop.werf.run(*words, "--stub-tags", "--dry-run", cwd=folder).stdout
    assert stubs.count("STUB:TAG") == 2
    missing = shop.werf.run("compose", "config", "--use-build-report", cwd=folder, check=False)
    assert missing.returncode == 2


def test_what_a_compose_file_says_otherwise(shop: Shop) -> None:
    extra = (
        "services:\n  job:\n    image: ${WERF_SPARE_DOCKER_IMAGE_NAME}\n    profiles: [jobs]\n"
        '    privileged: ${PRIVILEGED:-false}\n    ports: ["${PORT:-80}:80"]\n'
        "    environment:\n      - WERF_LOST_DOCKER_IMAGE_NAME\n"
    )
    shop.git.commit({"docker-compose.override.yml": extra})
    done = shop.compose("config", "--dry-run")
    names = [line.partition("=")[0].removeprefix("export ") for line in done.stdout.splitlines()[:-1]]
    assert names == [f"WERF_{name}_DOCKER_IMAGE_NAME" for name in ("WEB_APP", "WORKER", "SPARE")]
    if shop.program == "docker compose":
        assert "WERF_LOST_DOCKER_IMAGE_NAME, which is the variable of no image" in done.stderr

    failed = shop.compose("up", "--docker-compose-options", "-f nothing.yml", check=False)
    assert failed.returncode == 1
    assert "nothing.yml" in failed.stderr
    assert '--docker-compose-options "-f FILE"' in failed.stderr


@with_plugin
def test_it_needs_docker(shop: Shop) -> None:
    engine = shop.werf.run("compose", "up", cwd=shop.git.path, env={"WERF_BUILDAH_MODE": "auto"}, check=False)
    assert engine.returncode == 2
    assert "needs the Docker daemon" in engine.stderr
    nowhere = {"WERF_BUILDAH_MODE": "", "DOCKER_HOST": "unix:///nowhere.sock"}
    daemon = shop.werf.run("compose", "up", cwd=shop.git.path, env=nowhere, check=False)
    assert daemon.returncode == 1
    assert "werf compose needs Docker" in daemon.stderr
    assert "WERF_BUILDAH_MODE=auto" not in daemon.stderr
    program = ("--docker-compose-bin-path", "/nowhere/compose")
    lost = shop.compose("up", *program, check=False)
    assert lost.returncode == 1
    assert "/nowhere/compose" in lost.stderr


@with_plugin
def test_follow(shop: Shop) -> None:
    failed = shop.compose("up", "--follow", check=False)
    assert failed.returncode == 2
    assert '--docker-compose-command-options "-d"' in failed.stderr
    process = shop.werf.start("compose", "up", "--follow", "--docker-compose-command-options=-d", cwd=shop.git.path)

    def wait_for(text: str) -> None:
        end = time.monotonic() + 120
        while {shop.logs(service) for service in ("web", "worker")} != {text}:
            if process.poll() is not None or time.monotonic() > end:
                services.stop(process)
                pytest.fail(f"not seen: {text!r}: {process.communicate()[0].decode()}", pytrace=False)
            time.sleep(0.2)

    try:
        wait_for("one\n")
        shop.git.commit({"text": "two\n"})
        wait_for("two\n")
    finally:
        services.stop(process)
        assert process.stdout is not None
        process.stdout.close()
    assert set(shop.containers()) == {"web", "worker"}, "services in the background stay"
