"""RUN --mount=type=ssh with key files and agents: OpenSSH's own programs are client and server."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import machine, services
from support.builds import build, fails, write
from support.werf import Werf

pytestmark = pytest.mark.integration

# what ssh-keygen is asked for; each form of a file that OpenSSH writes
KEYS = {
    "ed25519": ("-t", "ed25519"),
    "rsa": ("-t", "rsa", "-b", "2048"),
    "rsa-pem": ("-t", "rsa", "-b", "2048", "-m", "PEM"),
    "rsa-pkcs8": ("-t", "rsa", "-b", "2048", "-m", "PKCS8"),
    "ecdsa-256": ("-t", "ecdsa", "-b", "256"),
    "ecdsa-384": ("-t", "ecdsa", "-b", "384", "-m", "PEM"),
    "ecdsa-521": ("-t", "ecdsa", "-b", "521"),
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key of each kind, and one with a passphrase."""
    folder = tmp_path_factory.mktemp("keys")
    keygen = machine.require("ssh-keygen", "openssh-client")
    for name, flags in KEYS.items():
        machine.run(keygen, "-q", *flags, "-N", "", "-C", name, "-f", folder / name)
    machine.run(keygen, "-q", "-t", "ed25519", "-N", "", "-f", folder / "git")
    machine.run(keygen, "-q", "-t", "ed25519", "-N", "secret", "-f", folder / "locked")
    machine.run(keygen, "-q", "-t", "rsa", "-m", "PEM", "-N", "secret", "-f", folder / "locked-pem")
    return folder


@pytest.fixture(scope="module")
def server(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an sshd that answers each key with its name."""
    machine.require_root()
    sshd = machine.require("sshd", "openssh-server")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    folder = tmp_path_factory.mktemp("sshd")
    machine.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host")
    allowed = [f'command="echo {name}" {(keys / f"{name}.pub").read_text()}' for name in KEYS]
    (folder / "allowed").write_text("".join([*allowed, (keys / "git.pub").read_text()]))
    (keys / "host.pub").write_text((folder / "host.pub").read_text())
    port = machine.free_port()
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "allowed",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PermitRootLogin": "yes",
        "MaxAuthTries": 20,
    }
    (folder / "config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "config")], stdout=out, stderr=out)

    def is_up() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        services.wait_for("sshd", is_up, process, log)
        yield port
    finally:
        services.stop(process)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A context with this machine's ssh client, and all it loads, to be put into an image."""
    folder = tmp_path_factory.mktemp("project")
    programs = [machine.require(name, "openssh-client") for name in ("ssh", "ssh-add")]
    programs += [machine.require("busybox", "busybox-static")]
    found = set(programs)
    for program in programs[:2]:
        words = machine.run("ldd", program).stdout.split()
        found |= {word for word in words if word.startswith("/")}
    for path in found:
        target = folder / "root" / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (folder / "root/bin").mkdir(parents=True, exist_ok=True)
    os.symlink(programs[2], folder / "root/bin/sh")
    write(folder / "root/etc", {"passwd": "root:x:0:0::/root:/bin/sh\n", "group": "root:x:0:\n"})
    return folder


BASE = "FROM scratch\nCOPY root /\n"
CLIENT = "ssh -o StrictHostKeyChecking=no -o BatchMode=yes"


def sha256(text: str) -> str:
    """What an image comparison has for a file of this content."""
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_key_of_each_kind_signs(shared_werf: Werf, keys: Path, server: int, project: Path) -> None:
    """The server knows which key was used: it checked the signature."""
    steps = [
        f"RUN --mount=type=ssh,id={name} {CLIENT} -p {server} root@127.0.0.1 > /{name}; "
        f"ssh-add -l | grep -q {name} && ! test -e {keys / name}"
        for name in KEYS
    ]
    (project / "Dockerfile").write_text(BASE + "\n".join(steps) + "\n")
    flags = [word for name in KEYS for word in ("--ssh", f"{name}={keys / name}")]
    done = build(shared_werf, project, "--no-cache", *flags)
    image = done.image
    said = {name: image.files[name]["sha256"] for name in KEYS}
    assert said == {name: sha256(f"{name}\n") for name in KEYS}
    for name in KEYS:
        secret = (keys / name).read_text().splitlines()[2]
        assert secret not in done.log


def test_several_keys_under_one_name(shared_werf: Werf, keys: Path, project: Path) -> None:
    (project / "Dockerfile").write_text(f"{BASE}RUN --mount=type=ssh,required ssh-add -l | grep -c . > /count\n")
    image = build(shared_werf, project, "--no-cache", "--ssh", f"default={keys / 'rsa'},{keys / 'ed25519'}").image
    assert image.files["count"]["sha256"] == sha256("2\n")


def test_an_agent(shared_werf: Werf, keys: Path, server: int, project: Path, tmp_path: Path) -> None:
    """A real ssh-agent, named by its socket and found by SSH_AUTH_SOCK."""
    path = tmp_path / "agent"
    agent = subprocess.Popen(
        [machine.require("ssh-agent", "openssh-client"), "-D", "-a", str(path)], stdout=subprocess.DEVNULL
    )
    try:
        services.wait_for("ssh-agent", path.exists, agent, Path(os.devnull))
        machine.run("ssh-add", "-q", keys / "ecdsa-384", env={"SSH_AUTH_SOCK": str(path)})
        (project / "Dockerfile").write_text(
            f"{BASE}RUN --mount=type=ssh,id=a {CLIENT} -p {server} root@127.0.0.1 > /a\n"
            f"RUN --mount=type=ssh {CLIENT} -p {server} root@127.0.0.1 > /b\n"
        )
        image = build(
            shared_werf,
            project,
            "--no-cache",
            "--ssh",
            f"a={path}",
            "--ssh",
            "default",
            env={"SSH_AUTH_SOCK": str(path)},
        ).image
    finally:
        services.stop(agent)
    assert {image.files[name]["sha256"] for name in "ab"} == {sha256("ecdsa-384\n")}


def test_git_has_the_default_agent(shared_werf: Werf, keys: Path, server: int, tmp_path: Path) -> None:
    """ADD of a repository behind an sshd; the key is nowhere but in the flag."""
    repository = write(tmp_path / "repository", {"file": "content"})
    git = ("git", "-c", "user.name=n", "-c", "user.email=e@example.org")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "one")):
        machine.run(*git, *words, cwd=repository)
    known = shared_werf.home / ".ssh/known_hosts"
    known.parent.mkdir(mode=0o700, exist_ok=True)
    known.write_text(f"[127.0.0.1]:{server} {(keys / 'host.pub').read_text()}")
    url = f"ssh://root@127.0.0.1:{server}{repository}"
    context = write(tmp_path / "context", {"Dockerfile": f"FROM scratch\nADD {url} /r\n"})
    assert "r/file" in build(shared_werf, context, "--no-cache", "--ssh", f"default={keys / 'git'}").files
    assert "ssh agent" in fails(shared_werf, context, "--no-cache")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("locked", "protected by a passphrase"),
        ("locked-pem", "protected by a passphrase"),
        ("ed25519.pub", "no private key"),
        ("missing", "No such file or directory"),
    ],
)
def test_a_key_that_cannot_be_used(shared_werf: Werf, keys: Path, project: Path, name: str, why: str) -> None:
    (project / "Dockerfile").write_text("FROM scratch\n")
    said = fails(shared_werf, project, "--ssh", f"default={keys / name}")
    assert f"ssh key {keys / name}: " in said
    assert why in said


def test_what_is_required_and_not_given(shared_werf: Werf, project: Path) -> None:
    (project / "Dockerfile").write_text(f"{BASE}RUN --mount=type=ssh,id=other,required true\n")
    said = fails(shared_werf, project, code=125)
    assert "ssh agent 'other' is required and was not given" in said
    assert "Dockerfile:3" in said
