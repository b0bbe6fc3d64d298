"""`werf build` without a werf.yaml, as a user calls it: on the Docker daemon with either builder, and without."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from support import machine, services
from support.builds import write
from support.users import user
from support.werf import Werf

pytestmark = pytest.mark.integration

BUILDERS = ("buildkit", "classic")


@pytest.fixture
def project(tmp_path: Path, busybox: str) -> Path:
    """A folder with a Dockerfile and files."""
    dockerfile = f'FROM {busybox}\nARG WHO=nobody\nRUN echo $WHO > /who\nCOPY . /src\nCMD ["cat", "/who"]\n'
    return write(tmp_path / "project", {"Dockerfile": dockerfile, "f": "x", ".dockerignore": "Dockerfile\n"})


@pytest.fixture
def on_docker(werf: Werf, docker: services.Docker) -> Werf:
    """`werf` with the daemon of the tests, and no mode."""
    werf.env.update(DOCKER_HOST=docker.host, WERF_BACKEND_NETWORK="host")
    del werf.env["WERF_BUILDAH_MODE"]
    return werf


def kept(docker: services.Docker) -> tuple[list[str], ...]:
    """All that a build could leave behind: containers, images with and without names, volumes."""
    lists = (
        ("ps", "-a", "-q", "--no-trunc"),
        ("images", "-a", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"),
        ("images", "-q", "--no-trunc", "-f", "dangling=true"),
        ("volume", "ls", "-q"),
    )
    return tuple(sorted(docker.run(*words).stdout.split("\n")) for words in lists)


@pytest.mark.parametrize("builder", BUILDERS)
def test_docker_when_its_daemon_answers(builder: str, on_docker: Werf, docker: services.Docker, project: Path) -> None:
    done = on_docker.run(
        "build", "-t", f"cli:{builder}", "--build-arg", "WHO=me", "--docker-builder", builder, cwd=project
    )
    id = done.stdout.strip()
    assert docker.run("image", "inspect", "-f", "{{.Id}}", f"cli:{builder}").stdout.strip() == f"sha256:{id}"
    words = {"buildkit": "BuildKit builds (as asked for)", "classic": "the classic builder builds (as asked for)"}
    assert "no werf.yaml: ./Dockerfile is built as a project of one image" in done.stderr
    assert words[builder] in done.stderr
    shown = docker.run("run", "--rm", "--network", "none", f"cli:{builder}", "sh", "-c", "cat /who; ls -A /src").stdout
    assert shown.split() == ["me", ".dockerignore", "f"]


def test_the_engine_when_there_is_no_daemon(werf: Werf, project: Path) -> None:
    del werf.env["WERF_BUILDAH_MODE"]
    werf.env["DOCKER_HOST"] = "unix:///nonexistent.sock"
    done = werf.run("build", "-t", "cli:1", "--iidfile", project / "id", cwd=project)
    assert "no Docker daemon (the Docker daemon at unix:///nonexistent.sock cannot be reached" in done.stderr
    assert (project / "id").read_text() == f"sha256:{done.stdout.strip()}"
    assert werf.run("buildah", "images", "-q", "--no-trunc", "cli:1").stdout.strip().endswith(done.stdout.strip())


def test_the_mode_decides(on_docker: Werf, project: Path) -> None:
    done = on_docker.run("build", "--buildah-mode", "native-chroot", "--dir", project)
    assert "mode native-chroot" in done.stderr
    assert "Docker 20" not in done.stderr


def test_docker_asked_for_and_not_there(werf: Werf, project: Path) -> None:
    env = {"WERF_BUILDAH_MODE": "docker", "DOCKER_HOST": "unix:///nonexistent.sock"}
    done = werf.run("build", "--dir", project, check=False, env=env)
    assert done.returncode == 1
    assert "Error: the Docker daemon at unix:///nonexistent.sock cannot be reached: no such file" in done.stderr
    assert "WERF_BUILDAH_MODE=auto needs no daemon" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--dir", "empty"), "no werf.yaml and no Dockerfile or Containerfile in"),
        (("--dir", "none"), "--dir none: no such folder"),
        (("backend",), "backend: without a werf.yaml there is one image"),
        (("--add-host", "x"), "--add-host x: expected NAME:IP"),
        (("--secret", "src=f"), "an id is needed"),
        (("--secret", "id=s,src=none"), "none: no such file"),
        (("--docker-builder", "fast"), "fast"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], says: str, werf: Werf, project: Path) -> None:
    (project / "empty").mkdir()
    done = werf.run("build", *words, cwd=project, check=False)
    assert done.returncode == 2
    assert says in done.stderr


@pytest.mark.parametrize("builder", BUILDERS)
def test_nothing_stays_after_a_failure(builder: str, on_docker: Werf, docker: services.Docker, project: Path) -> None:
    with (project / "Dockerfile").open("a") as file:
        file.write(f"RUN echo {builder} > /more\nRUN exit 9\n")
    docker.run("pull", (project / "Dockerfile").read_text().split()[1])
    before = kept(docker)
    done = on_docker.run("build", "-t", "never:1", "--docker-builder", builder, cwd=project, check=False)
    assert done.returncode == 1
    assert "Error: Dockerfile:7:" in done.stderr
    assert "   7 | RUN exit 9" in done.stderr
    assert kept(docker) == before


def wait_for_output(process: subprocess.Popen[bytes], words: bytes) -> bytes:
    """Read until the words were said."""
    assert process.stdout is not None
    said = b""
    while words not in said:
        piece = process.stdout.read1()  # type: ignore[attr-defined]  # a BufferedReader
        assert piece, said.decode(errors="replace")
        said += piece
    return said


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_nothing_stays_after_a_signal(
    builder: str, signum: signal.Signals, on_docker: Werf, docker: services.Docker, project: Path
) -> None:
    with (project / "Dockerfile").open("a") as file:
        file.write(f"RUN echo {builder}-{signum} > /more; echo be''gun; sleep 300\n")
    docker.run("pull", (project / "Dockerfile").read_text().split()[1])
    before = kept(docker)
    process = on_docker.start("build", "-t", "never:1", "--docker-builder", builder, cwd=project)
    try:
        wait_for_output(process, b"begun")
        began = time.monotonic()
        process.send_signal(signum)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + signum, said.decode(errors="replace")
    assert b"Traceback" not in said
    assert time.monotonic() - began < 60
    end = time.monotonic() + 20  # the daemon stops the command in its own time
    while kept(docker) != before and time.monotonic() < end:
        time.sleep(0.2)
    assert kept(docker) == before


def test_a_stopped_daemon(on_docker: Werf, project: Path, service_folder: Path) -> None:
    (project / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    with services.dockerd(service_folder / "stopped") as docker:
        on_docker.env["DOCKER_HOST"] = docker.host
        on_docker.run("build", "--docker-builder", "classic", cwd=project)
    done = on_docker.run("build", "--buildah-mode", "docker", cwd=project, check=False)
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr


def test_a_socket_that_is_not_ours(docker: services.Docker) -> None:
    folder = Path(tempfile.mkdtemp(prefix="pywerf-docker-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        with user(folder, f"pywd{os.getpid()}", subids=False) as one:
            one.write("p/Dockerfile", "FROM scratch\nLABEL a=b\n")
            env = {"DOCKER_HOST": docker.host, "WERF_BUILDAH_MODE": "docker"}
            done = one.werf("build", "--dir", one.home / "p", check=False, env=env)
            assert done.returncode == 1
            assert "cannot be reached: permission denied" in done.stderr
            assert "usermod --append --groups docker" in done.stderr
            # without a mode there is a way out, and it says why it is taken
            done = one.werf("build", "--dir", one.home / "p", env={"DOCKER_HOST": docker.host})
            assert "permission denied): building with the embedded engine" in done.stderr
    finally:
        machine.run("rm", "-rf", folder)
