"""Private networks of OCI builds by pasta and slirp4netns: what containers reach, and what is left."""

from __future__ import annotations

import os
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.bases import pull_base
from support.users import User
from support.werf import Werf

pytestmark = pytest.mark.integration

CONNECTORS = ["pasta", "slirp4netns"]
ANSWER = b"from the host\n"


class Answer(socketserver.BaseRequestHandler):
    """Says a line to whoever connects."""

    def handle(self) -> None:
        self.request.sendall(ANSWER)


def outside_address() -> str:
    """The machine's own address on its default route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))  # sends nothing
        address: str = probe.getsockname()[0]
        return address


@pytest.fixture
def servers() -> Iterator[tuple[str, int]]:
    """Where a server of the machine listens for others (address:port), and the port of one on its loopback alone."""
    made = [socketserver.ThreadingTCPServer((address, 0), Answer) for address in (outside_address(), "127.0.0.1")]
    for server in made:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"{outside_address()}:{made[0].server_address[1]}", made[1].server_address[1]
    for server in made:
        server.shutdown()
        server.server_close()


def dockerfile(outside: str, loopback: int) -> str:
    host, _, port = outside.partition(":")

    def ask(address: str, port: str | int) -> str:
        return f"sleep 1 | timeout 2 nc -w 2 {address} {port} | grep 'from the host'"

    return rf"""FROM base
RUN ip -o link | cut -d: -f2 | tr -d ' ' | sort | tr '\n' ' ' > /interfaces
RUN ip -o -4 addr show dev tap0 | grep 10.0.2.100/24
RUN for try in 1 2 3 4 5; do {ask(host, port)} > /answer && break; done; \
    ! {ask("127.0.0.1", loopback)} && ! {ask("10.0.2.2", loopback)} && \
    ! ps | grep -e pasta -e slirp4netns | grep -v grep
RUN test "$(grep nameserver /etc/resolv.conf)" = "nameserver 10.0.2.3" && nslookup deb.debian.org
RUN --network=none ! ip addr show dev tap0 && ! {ask(host, port)}
RUN test "$(cat /interfaces)" = "lo tap0 " && cat /answer
"""


def connectors_left() -> list[str]:
    """The processes that still connect a network of ours."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        program = os.path.basename(words[0])
        if program.startswith(("pasta", "passt", "slirp4netns")) and "pywerf" in " ".join(words):
            found.append(" ".join(words))
    return found


@pytest.mark.parametrize("connector", CONNECTORS)
@pytest.mark.parametrize("runtime", ["crun", "runc", "runsc"])
def test_root_has_private_networks(
    werf: Werf, busybox_layout: Path, tmp_path: Path, servers: tuple[str, int], connector: str, runtime: str
) -> None:
    pull_base(werf.run, busybox_layout)
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text(dockerfile(*servers))
    flags = ("--isolation=oci", f"--runtime={runtime}", f"--network={connector}", "--no-cache")
    done = werf.run("buildah", "build", *flags, tmp_path / "context")
    assert ANSWER.decode() in done.stderr + done.stdout
    assert connectors_left() == []


@pytest.mark.xdist_group("tun")
@pytest.mark.parametrize(("runtime", "connector"), [("crun", "pasta"), ("crun", "slirp4netns"), ("runsc", "pasta")])
def test_a_user_has_private_networks(
    builder: User, busybox_for_all: Path, servers: tuple[str, int], tun_for_all: None, runtime: str, connector: str
) -> None:
    pull_base(builder.werf, busybox_for_all)
    builder.write("private/Dockerfile", dockerfile(*servers))
    flags = ("--isolation=rootless", f"--runtime={runtime}", f"--network={connector}", "--no-cache")
    done = builder.werf("buildah", "build", *flags, "private")
    assert ANSWER.decode() in done.stderr + done.stdout
    assert connectors_left() == []


def test_private_takes_what_is_installed(werf: Werf, busybox_layout: Path, tmp_path: Path) -> None:
    pull_base(werf.run, busybox_layout)
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text("FROM base\nRUN ip -o link | grep -q tap0\n")
    werf.run("buildah", "build", "--isolation=oci", "--network=private", tmp_path / "context")
    done = werf.run("buildah", "build", "--network=private", "--no-cache", tmp_path / "context", check=False)
    assert "chroot isolation has no private network" in done.stderr


@pytest.mark.parametrize("connector", CONNECTORS)
def test_a_program_that_fails_says_why(werf: Werf, busybox_layout: Path, tmp_path: Path, connector: str) -> None:
    pull_base(werf.run, busybox_layout)
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text("FROM base\nRUN true\n")
    (tmp_path / "bin").mkdir()
    broken = tmp_path / "bin" / connector
    broken.write_text("#!/bin/sh\necho it has no mind to >&2\nexit 1\n")
    broken.chmod(0o755)
    path = f"{tmp_path}/bin:{werf.env['PATH']}"
    flags = ("--isolation=oci", f"--network={connector}", tmp_path / "context")
    done = werf.run("buildah", "build", *flags, check=False, env={"PATH": path})
    assert done.returncode == 125
    assert f"cannot connect the network with {connector}: it has no mind to" in done.stderr
    assert "--network none" in done.stderr
