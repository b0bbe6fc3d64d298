"""Daemons that are reached by TCP with TLS, by ssh, and by contexts; registries that want a password."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import machine, services
from support.builds import write
from support.secured_registry import HTPASSWD, PASSWORD, USER, make_certificates
from support.werf import Werf

pytestmark = pytest.mark.integration


class Tls:
    """A daemon behind TLS: `host`, and a folder with the three files of a client."""

    def __init__(self, host: str, certificates: Path) -> None:
        self.host = host
        self.certificates = certificates


@pytest.fixture(scope="module")
def tls(service_folder: Path, registry: str) -> Iterator[Tls]:
    """A daemon that takes clients with a certificate of its authority only."""
    made = service_folder / "daemon-tls"
    made.mkdir()
    make_certificates(made, True)
    client = made / "client-files"
    client.mkdir()
    for name, source in (("ca", "ca.crt"), ("cert", "client.cert"), ("key", "client.key")):
        (client / f"{name}.pem").write_bytes((made / source).read_bytes())
    host = f"tcp://127.0.0.1:{machine.free_port()}"
    settings: dict[str, object] = {
        "tlsverify": True,
        "tlscacert": str(made / "ca.crt"),
        "tlscert": str(made / "server.cert"),
        "tlskey": str(made / "server.key"),
    }
    with services.dockerd(service_folder / "tls", (registry,), settings, (host,)):
        yield Tls(host, client)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A build that needs no registry: what it is about is the way to the daemon."""
    return write(tmp_path / "project", {"Dockerfile": "FROM scratch\nCOPY f /\nLABEL a=b\n", "f": "x"})


@pytest.fixture
def client(werf: Werf) -> Werf:
    """`werf` that wants a daemon."""
    werf.env["WERF_BUILDAH_MODE"] = "docker"
    return werf


@pytest.mark.parametrize("builder", ["buildkit", "classic"])
def test_tls(builder: str, tls: Tls, client: Werf, project: Path) -> None:
    env = {"DOCKER_HOST": tls.host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tls.certificates)}
    done = client.run("build", "-t", f"tls:{builder}", "--docker-builder", builder, "--dir", project, env=env)
    assert f"at {tls.host}" in done.stderr
    shown = client.run("buildah", "pull", "-q", f"docker-daemon:tls:{builder}", env={**env, "WERF_BUILDAH_MODE": ""})
    assert shown.stdout.strip()


def test_tls_with_the_wrong_authority(tls: Tls, client: Werf, project: Path, tmp_path: Path) -> None:
    made = tmp_path / "other"
    made.mkdir()
    make_certificates(made, True)
    (made / "ca.pem").write_bytes((made / "ca.crt").read_bytes())
    env = {"DOCKER_HOST": tls.host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(made)}
    done = client.run("build", "--dir", project, env=env, check=False)
    assert done.returncode == 1
    assert "certificate verify failed" in done.stderr
    assert "DOCKER_CERT_PATH" in done.stderr


def test_tls_without_a_certificate_of_ours(tls: Tls, client: Werf, project: Path, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes((tls.certificates / "ca.pem").read_bytes())
    env = {"DOCKER_HOST": tls.host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    done = client.run("build", "--dir", project, env=env, check=False)
    assert done.returncode == 1
    assert "certificate required" in done.stderr or "cannot be reached" in done.stderr or "answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_tls_for_a_daemon_that_wants_it(tls: Tls, client: Werf, project: Path) -> None:
    done = client.run("build", "--dir", project, env={"DOCKER_HOST": tls.host}, check=False)
    assert done.returncode == 1
    assert "Client sent an HTTP request to an HTTPS server" in done.stderr or "status 400" in done.stderr


def add_context(folder: Path, name: str, host: str, certificates: Path | None = None) -> None:
    """A context as the docker command keeps it."""
    number = hashlib.sha256(name.encode()).hexdigest()
    document = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
    write(folder / "contexts/meta" / number, {"meta.json": json.dumps(document)})
    if certificates is not None:
        files = {path.name: path.read_bytes() for path in certificates.glob("*.pem")}
        write(folder / "contexts/tls" / number / "docker", files)


def test_contexts(tls: Tls, docker: services.Docker, client: Werf, project: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    add_context(config, "secured", tls.host, tls.certificates)
    add_context(config, "near", docker.host)
    (config / "config.json").write_text('{"currentContext": "near"}')
    env = {"DOCKER_CONFIG": str(config)}
    assert f"at {docker.host}" in client.run("build", "--dir", project, env=env).stderr
    env["DOCKER_CONTEXT"] = "secured"
    assert f"at {tls.host}" in client.run("build", "--dir", project, env=env).stderr
    env["DOCKER_CONTEXT"] = "lost"
    done = client.run("build", "--dir", project, env=env, check=False)
    assert done.returncode == 1
    assert "the Docker context 'lost' is not there (DOCKER_CONTEXT names it)" in done.stderr


@contextlib.contextmanager
def sshd(folder: Path) -> Iterator[tuple[int, Path]]:
    """An ssh server on loopback that lets the test's key in; its port, and the client's configuration."""
    program = machine.require("sshd", "openssh-server")
    keygen = machine.require("ssh-keygen", "openssh-client")
    folder.mkdir()
    for name in ("host", "mine"):
        machine.run(keygen, "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    (folder / "authorized").write_bytes((folder / "mine.pub").read_bytes())
    port = machine.free_port()
    lines = (
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {folder}/host",
        f"AuthorizedKeysFile {folder}/authorized",
        f"PidFile {folder}/pid",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "AcceptEnv DOCKER_HOST",
    )
    (folder / "sshd.conf").write_text("\n".join(lines) + "\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    log = folder / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [program, "-D", "-e", "-f", str(folder / "sshd.conf")], stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        services.wait_for("sshd", lambda: b"listening" in log.read_bytes(), server, log)
        yield port, folder / "mine"
    finally:
        services.stop(server)


@pytest.mark.parametrize("builder", ["buildkit", "classic"])
def test_ssh(builder: str, docker: services.Docker, client: Werf, project: Path, tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd") as (port, key):
        # an `ssh` that has the test's key and knows no other hosts, as a user's configuration would have it
        wrapper = tmp_path / "bin/ssh"
        wrapper.parent.mkdir()
        options = (
            "-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes"
        )
        wrapper.write_text(f'#!/bin/sh\nexec {machine.require("ssh", "openssh-client")} {options} -i {key} "$@"\n')
        wrapper.chmod(0o755)
        socket = docker.host.removeprefix("unix://")
        host = f"ssh://root@127.0.0.1:{port}{socket}"
        env = {"DOCKER_HOST": host, "PATH": f"{wrapper.parent}:{os.environ['PATH']}"}
        done = client.run("build", "-t", f"ssh:{builder}", "--docker-builder", builder, "--dir", project, env=env)
        assert f"at {host}" in done.stderr
        id = docker.run("image", "inspect", "-f", "{{.Id}}", f"ssh:{builder}").stdout
        assert id == f"sha256:{done.stdout}"
        key.unlink()
        done = client.run("build", "--dir", project, env=env, check=False)
        assert done.returncode == 1
        assert "Permission denied" in done.stderr
        assert f"the Docker daemon at {host} does not answer" in done.stderr


def test_a_base_behind_a_password(docker: services.Docker, busybox_layout: Path, client: Werf, tmp_path: Path) -> None:
    """Both builders ask for credentials, and find those of `docker login`."""
    with services.registry(tmp_path / "secured", HTPASSWD) as host:
        machine.run(
            *(machine.require("skopeo"), "copy", "-q", "--format=v2s2", "--dest-creds", f"{USER}:{PASSWORD}"),
            *("--dest-tls-verify=false", f"oci:{busybox_layout}:base", f"docker://{host}/base:1"),
        )
        client.env.update(DOCKER_HOST=docker.host, DOCKER_CONFIG=str(tmp_path / "config"))
        for builder in ("buildkit", "classic"):
            project = write(tmp_path / builder, {"Dockerfile": f"FROM {host}/base:1\nLABEL a={builder}\n"})
            done = client.run("build", "--docker-builder", builder, "--dir", project, check=False)
            assert done.returncode == 1
            assert "Error: Dockerfile:1:" in done.stderr
            assert f"log in with `docker login {host}`" in done.stderr
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()  # as `docker login` writes it
        write(tmp_path / "config", {"config.json": json.dumps({"auths": {host: {"auth": auth}}})})
        for builder in ("buildkit", "classic"):
            done = client.run("build", "--docker-builder", builder, "--dir", tmp_path / builder)
            assert PASSWORD not in done.stderr
            docker.run("rmi", "-f", f"{host}/base:1", check=False)
