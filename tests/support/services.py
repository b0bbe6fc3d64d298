"""Real services for tests, each on its own port and folder, stopped at the end: a registry, a Docker daemon."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import machine
from support.newer_docker import within


def wait_for(
    what: str, ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 60
) -> None:
    """Wait until `ready`; fail the test with the log's end when the process dies or takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"{what} did not come up:\n{log.read_text(errors='replace')[-3000:]}", pytrace=False)


def stop(process: subprocess.Popen[bytes], seconds: float = 15) -> None:
    """End a service: SIGTERM, and SIGKILL when it does not listen."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def answers(url: str) -> bool:
    """Whether something answers HTTP there (any status)."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False


@contextlib.contextmanager
def registry(folder: Path, htpasswd: str = "", *, delete: bool = True) -> Iterator[str]:
    """A docker-registry with its data in `folder`; yields `127.0.0.1:PORT`. `htpasswd`: who may use it."""
    program = machine.require("docker-registry")
    folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{machine.free_port()}"
    config = folder / "config.json"  # JSON is YAML
    (folder / "htpasswd").write_text(htpasswd)
    realm = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    config.write_text(
        json.dumps(
            {
                "version": "0.1",
                "log": {"level": "warn", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": delete}},
                "http": {"addr": address},
                **({"auth": realm} if htpasswd else {}),
            }
        )
    )
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([program, "serve", str(config)], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_for("docker-registry", lambda: answers(f"http://{address}/v2/"), process, log)
        yield address
    finally:
        stop(process)


def push_layout(layout: Path, destination: str) -> None:
    """Copy an OCI layout's one image to a registry (in Docker's format, that everything reads)."""
    skopeo = machine.require("skopeo")
    machine.run(
        skopeo,
        "copy",
        "-q",
        "--format=v2s2",
        "--dest-tls-verify=false",
        f"oci:{layout}:base",
        f"docker://{destination}",
    )


def bridge_addresses() -> list[str] | None:
    """The addresses of a docker0 that another daemon made, or None where there is none."""
    done = machine.run(machine.require("ip", "iproute2"), "-j", "-4", "addr", "show", "docker0", check=False)
    if done.returncode:
        return None
    return [f"{address['local']}/{address['prefixlen']}" for address in json.loads(done.stdout)[0]["addr_info"]]


def restore_bridge(addresses: list[str] | None) -> None:
    """Put docker0 back: a daemon without a bridge removes the one of another daemon."""
    if addresses is None or bridge_addresses() is not None:
        return
    machine.run("ip", "link", "add", "docker0", "type", "bridge")
    for address in addresses:
        machine.run("ip", "addr", "add", address, "brd", "+", "dev", "docker0")
    machine.run("ip", "link", "set", "docker0", "up")


class Docker:
    """A running Docker daemon of our own; `run("build", …)` calls the client against it."""

    def __init__(self, client: str, socket: Path, home: Path) -> None:
        self.host = f"unix://{socket}"
        self.client = client
        self.env = dict(os.environ, DOCKER_HOST=self.host, DOCKER_CONFIG=str(home), DOCKER_BUILDKIT="0")

    def run(self, *argv: str | Path, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """One call of the `docker` client."""
        return machine.run(self.client, *argv, check=check, env=self.env, timeout=timeout)


@contextlib.contextmanager
def dockerd(
    folder: Path,
    insecure: tuple[str, ...] = (),
    settings: dict[str, object] | None = None,
    hosts: tuple[str, ...] = (),
    *,
    root: Path | None = None,
) -> Iterator[Docker]:
    """A Docker daemon that touches nothing of the machine's own: no bridge, no iptables, all data in `folder`.

    `settings` are more of its configuration (daemon.json), `hosts` more addresses to listen on. The folder's name tells
    the daemons of one process apart. `root`: the folder of another system, whose daemon it is.
    """
    machine.require_root()
    program = machine.require("dockerd", "docker.io") if root is None else "dockerd"
    client = machine.require("docker", "docker.io")
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "daemon.json"
    config.write_text(json.dumps({"insecure-registries": list(insecure), **(settings or {})}))
    bridge = bridge_addresses()
    failures = []
    # On a busy disk its containerd may not come up in time; with vfs, the way out where overlay cannot be mounted, all
    # that follows takes several times as long.
    for attempt, driver in enumerate(("overlay2", "overlay2", "overlay2", "vfs")):
        home = folder / str(attempt)
        home.mkdir()
        # a Unix socket's path holds 107 bytes
        socket = Path(f"/run/pywerf-test-{os.getpid()}-{folder.name[:20]}-{driver}.sock")
        log = home / "log"
        with log.open("wb") as out:
            command = [
                *(program, "--config-file", str(config), "-H", f"unix://{socket}"),
                *(word for host in hosts for word in ("-H", host)),
                *("--data-root", str(home / "data"), "--exec-root", str(home / "exec"), "--pidfile", str(home / "pid")),
                *(() if "features" in (settings or {}) else ("--storage-driver", driver)),
                *("--bridge=none", "--iptables=false", "--ip-masq=false", "--exec-opt=native.cgroupdriver=cgroupfs"),
            ]
            process = subprocess.Popen(
                command if root is None else within(root, command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=dict(os.environ, PATH=f"{os.environ.get('PATH', '')}:{machine.SYSTEM_PATH}"),
            )
        docker = Docker(client, socket, home)
        try:
            end = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < end:
                if docker.run("info", check=False).returncode == 0:
                    restore_bridge(bridge)
                    yield docker
                    return
                time.sleep(0.2)
            failures.append(f"{driver}: {log.read_text(errors='replace')[-1500:]}")
        finally:
            stop(process)
            socket.unlink(missing_ok=True)
            unmount_below(home)
    pytest.fail("dockerd did not come up:\n" + "\n".join(failures), pytrace=False)


def mounts_below(folder: Path) -> list[str]:
    """The mount points at or below a folder, the latest first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in reversed(points) if point == str(folder) or point.startswith(f"{folder}/")]


def unmount_below(folder: Path) -> None:
    """Unmount what a stopped service has left below a folder."""
    for point in mounts_below(folder):
        machine.run("umount", "-l", point, check=False)
