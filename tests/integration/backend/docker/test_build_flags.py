"""`werf build` on the daemon with the flags of `docker build`, with either builder; what one cannot do is refused."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import machine, services
from support.builds import write
from support.image_compare import read_image
from support.werf import Werf

pytestmark = pytest.mark.integration

BUILDERS = ("buildkit", "classic")

# Lists the keys of an agent (RFC draft-miller-ssh-agent, 4.4): prints their comments.
ASK = """\
import os, socket
agent = socket.socket(socket.AF_UNIX)
agent.connect(os.environ["SSH_AUTH_SOCK"])
agent.sendall(bytes((0, 0, 0, 1, 11)))
data = agent.recv(1 << 16)
def take(at):
    size = int.from_bytes(data[at:at + 4], "big")
    return data[at + 4:at + 4 + size], at + 4 + size
at = 9
for _ in range(int.from_bytes(data[5:9], "big")):
    _, at = take(at)
    comment, at = take(at)
    print("key " + comment.decode())
"""


@pytest.fixture
def client(werf: Werf, docker: services.Docker) -> Werf:
    """`werf` with the daemon of the tests."""
    werf.env.update(DOCKER_HOST=docker.host, WERF_BUILDAH_MODE="docker", WERF_BACKEND_NETWORK="host")
    return werf


def built(client: Werf, builder: str, project: Path, *flags: str | Path, check: bool = True) -> str:
    """What a build says on stderr."""
    done = client.run("build", "--docker-builder", builder, "--dir", project, *flags, check=check)
    assert check or done.returncode
    return done.stderr


@pytest.fixture(scope="module")
def experimental(registry: str) -> Iterator[services.Docker]:
    """A daemon with its experimental features, and with a short path: BuildKit makes sockets below it."""
    folder = Path(tempfile.mkdtemp(prefix="pywerf-d", dir="/tmp"))
    try:
        with services.dockerd(folder, (registry,), {"experimental": True}) as docker:
            yield docker
    finally:
        services.unmount_below(folder)
        shutil.rmtree(folder)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The socket of a real agent with a key, and the file of another key."""
    folder = Path("/tmp") / f"pywerf-agent-{os.getpid()}"  # a socket's path is short
    folder.mkdir()
    keygen = machine.require("ssh-keygen", "openssh-client")
    for name in ("held", "file"):
        machine.run(keygen, "-q", "-t", "ed25519", "-N", "", "-C", f"the-{name}-key", "-f", folder / name)
    socket = str(folder / "sock")
    process = subprocess.Popen([machine.require("ssh-agent", "openssh-client"), "-D", "-a", socket])
    try:
        services.wait_for("ssh-agent", lambda: os.path.exists(socket), process, folder / "held.pub")
        machine.run("ssh-add", "-q", folder / "held", env={**os.environ, "SSH_AUTH_SOCK": socket})
        yield socket, folder / "file"
    finally:
        services.stop(process)
        shutil.rmtree(folder)


def test_ssh(
    client: Werf,
    experimental: services.Docker,
    agent: tuple[str, Path],
    registry: str,
    python_layout: Path,
    tmp_path: Path,
) -> None:
    services.push_layout(python_layout, f"{registry}/python:1")
    dockerfile = (
        f"FROM {registry}/python:1\nCOPY ask.py /\n"
        "RUN --mount=type=ssh python3 /ask.py\nRUN --mount=type=ssh,id=other,required=true python3 /ask.py\n"
    )
    project = write(tmp_path / "p", {"Dockerfile": dockerfile, "ask.py": ASK})
    socket, key = agent
    client.env.update(SSH_AUTH_SOCK=socket, DOCKER_HOST=experimental.host)
    said = built(client, "buildkit", project, "--ssh", "default", "--ssh", f"other={key}", "--no-cache")
    assert "key the-held-key" in said
    assert "key " in said.partition("key the-held-key")[2]
    said = built(client, "buildkit", project, "--ssh", f"default={socket}", "--no-cache", check=False)
    assert "Error: Dockerfile:4:" in said
    assert "Hint: the step wants --ssh other" in said
    said = built(client, "classic", project, "--ssh", "default", check=False)
    assert "--ssh: the classic builder of Docker cannot do it" in said
    assert "--docker-builder buildkit" in said


@pytest.mark.parametrize("daemon", ["docker", "newer_docker"])
def test_secrets(daemon: str, client: Werf, busybox: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    client.env["DOCKER_HOST"] = request.getfixturevalue(daemon).host
    dockerfile = f"FROM {busybox}\nRUN --mount=type=secret,id=a,required=true cat /run/secrets/a | rev\n"
    project = write(tmp_path / "p", {"Dockerfile": dockerfile, "s": "hush"})
    said = built(client, "buildkit", project, "--secret", f"id=a,src={project}/s", "--no-cache")
    assert "hsuh" in said
    client.env["TOKEN"] = "quiet"
    assert "teiuq" in built(client, "buildkit", project, "--secret", "id=a,env=TOKEN", "--no-cache")
    said = built(client, "buildkit", project, "--no-cache", check=False)
    assert "Error: Dockerfile:2:" in said
    assert "--secret id=a,src=FILE" in said
    said = built(client, "classic", project, "--secret", "id=a,env=TOKEN", check=False)
    assert "--secret: the classic builder of Docker cannot do it" in said


@pytest.fixture(scope="module")
def two_platforms(shared_werf: Werf, registry: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base for two platforms in the registry."""
    files = {"Dockerfile": "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n", "amd64": "amd64", "arm64": "arm64"}
    folder = write(tmp_path_factory.mktemp("platforms"), files)
    name = f"{registry}/two:1"
    shared_werf.run("buildah", "build", "-q", "--platform", "linux/amd64,linux/arm64", "-t", name, folder)
    shared_werf.run("buildah", "push", "-q", "--tls-verify=false", "--all", name)
    return name


@pytest.mark.parametrize("builder", BUILDERS)
def test_platform(builder: str, client: Werf, two_platforms: str, docker: services.Docker, tmp_path: Path) -> None:
    project = write(tmp_path / "p", {"Dockerfile": f"FROM {two_platforms}\nCOPY Dockerfile /d\n"})
    for architecture in ("arm64", "amd64"):
        tag = f"platform-{builder}:{architecture}"
        built(client, builder, project, "--platform", f"linux/{architecture}", "-t", tag, "--pull")
        assert docker.run("image", "inspect", "-f", "{{.Architecture}}", tag).stdout.strip() == architecture
        docker.run("save", "-o", tmp_path / "saved.tar", tag)
        files = read_image(tmp_path / "saved.tar").files
        assert files["arch"]["sha256"] == hashlib.sha256(architecture.encode()).hexdigest()
    said = built(client, builder, project, "--platform", "linux/amd64,linux/arm64", check=False)
    assert "one platform after the other" in said


@pytest.mark.parametrize("builder", BUILDERS)
def test_cache_from(builder: str, client: Werf, docker: services.Docker, busybox: str, tmp_path: Path) -> None:
    """A build with nothing of its own takes the steps of an image that another daemon has built and pushed."""
    name = f"{busybox.rpartition('/')[0]}/cached-{builder}:1"
    project = write(tmp_path / "p", {"Dockerfile": f"FROM {busybox}\nRUN echo {builder} > /made\n"})
    flags = ("--build-arg", "BUILDKIT_INLINE_CACHE=1") if builder == "buildkit" else ()
    built(client, builder, project, "-t", name, *flags)
    docker.run("push", name)
    docker.run("rmi", "-f", name)
    docker.run("image", "prune", "-f")
    docker.run("builder", "prune", "-a", "-f")
    if builder == "classic":  # which looks at images that the daemon has
        docker.run("pull", name)
    said = built(client, builder, project, "--cache-from", name)
    step = next(line.split()[0] for line in said.splitlines() if f"RUN echo {builder}" in line)
    assert f"{step} CACHED" in said.splitlines()
    docker.run("rmi", "-f", name, check=False)


@pytest.mark.parametrize("builder", BUILDERS)
def test_squash(builder: str, client: Werf, experimental: services.Docker, busybox: str, tmp_path: Path) -> None:
    dockerfile = f"FROM {busybox}\nRUN echo {builder} > /a\nRUN cat /a > /b; rm /a\n"
    project = write(tmp_path / "p", {"Dockerfile": dockerfile})
    said = built(client, builder, project, "--squash", check=False)
    assert "Error: --squash: " in said
    assert "experimental" in said
    client.env["DOCKER_HOST"] = experimental.host
    tag = f"squashed-{builder}:1"
    built(client, builder, project, "--squash", "-t", tag)
    layers = experimental.run("image", "inspect", "-f", "{{len .RootFS.Layers}}", tag).stdout.strip()
    # BuildKit's result has no base any more that the daemon would know: all is one layer
    assert layers == {"buildkit": "1", "classic": "2"}[builder]
    assert experimental.run("run", "--rm", "--network", "none", tag, "sh", "-c", "cat /b; ls /a || true").stdout == (
        f"{builder}\n"
    )


@pytest.mark.parametrize("builder", BUILDERS)
def test_the_rest(builder: str, client: Werf, docker: services.Docker, busybox: str, tmp_path: Path) -> None:
    dockerfile = (
        f"FROM {busybox} AS one\nARG A\n"
        "RUN echo a=$A | rev; grep db /etc/hosts; ulimit -n; df -k /dev/shm | tail -n 1\n"
        "FROM one AS two\nRUN false\n"
    )
    project = write(tmp_path / "p", {"Dockerfile": dockerfile})
    tag = f"rest-{builder}:1"
    flags = ("--target", "one", "--label", "l=v", "--build-arg", "A=7", "--add-host", "db:10.1.2.3", "-t", tag)
    more = ("--ulimit", "nofile=500:600", "--shm-size", "5m") if builder == "classic" else ()
    said = built(client, builder, project, *flags, *more)
    assert "7=a" in said
    assert "10.1.2.3" in said
    if more:  # which BuildKit of 20.10 takes no notice of
        assert "500" in said
        assert "5120" in said
    labels = docker.run("image", "inspect", "-f", "{{json .Config.Labels}}", tag).stdout
    assert labels.strip() == '{"l":"v"}'
    again = built(client, builder, project, *flags, *more)
    step = next(line.split()[0] for line in again.splitlines() if "RUN echo a=" in line)
    assert f"{step} CACHED" in again.splitlines()
    assert "7=a" not in again
    assert "7=a" in built(client, builder, project, *flags, *more, "--no-cache")
    client.env["WERF_BACKEND_NETWORK"] = "none"
    write(project, {"Dockerfile": f"FROM {busybox}\nRUN ls /sys/class/net; true\n"})
    assert "eth0" not in built(client, builder, project, "--no-cache")
