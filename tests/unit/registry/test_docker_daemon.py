"""The Engine API as far as images go in and out: against a daemon that a thread plays on a socket."""

from __future__ import annotations

import io
import json
import socketserver
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from pywerf.errors import InvalidReference, RegistryError, RegistryNotFound
from pywerf.oci.manifest import Manifest, parse_manifest
from pywerf.registry.docker_archive import DockerTarDestination, full_reference
from pywerf.registry.docker_daemon import connect, daemon_destination, daemon_source
from pywerf.registry.tar_writer import FileTarWriter


class Daemon:
    """What the fake daemon holds, was sent, and answers."""

    def __init__(self) -> None:
        self.images: dict[str, bytes] = {}
        self.loaded: list[bytes] = []
        self.broken: list[bytes] = []
        self.answer = (200, b'{"stream":"Loaded image: app:1\\n"}\n')


class Handler(BaseHTTPRequestHandler):
    """`/images/NAME/get` and `/images/load`."""

    daemon: Daemon
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        image = self.daemon.images.get(self.path)
        body = image if image is not None else b'{"message":"reference does not exist"}'
        self.send_response(200 if image is not None else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = b""
        while True:
            line = self.rfile.readline()
            if not line:
                self.daemon.broken.append(body)
                self.close_connection = True
                return
            size = int(line, 16)
            body += self.rfile.read(size)
            self.rfile.readline()
            if not size:
                break
        self.daemon.loaded.append(body)
        status, answer = self.daemon.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


class Server(socketserver.ThreadingUnixStreamServer):
    """HTTP on a Unix socket."""

    daemon_threads = True

    def get_request(self) -> tuple[Any, Any]:
        request, _ = super().get_request()
        return request, ("unix", 0)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[tuple[Daemon, dict[str, str]]]:
    """A fake daemon and the environment that leads to it."""
    fake = Daemon()
    with Server(str(tmp_path / "docker.sock"), type("H", (Handler,), {"daemon": fake})) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield fake, {"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}
        server.shutdown()
        thread.join()


def test_image_goes_in(daemon: tuple[Daemon, dict[str, str]], image: Any) -> None:
    fake, environ = daemon
    destination = daemon_destination(["app:1", "r.io/app:2"], environ)
    image.store(destination)
    destination.close()
    (sent,) = fake.loaded
    with tarfile.open(fileobj=io.BytesIO(sent)) as archive:
        document = archive.extractfile("manifest.json")
        assert document is not None
        assert json.load(document)[0]["RepoTags"] == ["docker.io/library/app:1", "r.io/app:2"]
        assert len(archive.getnames()) == 4


def test_nothing_is_loaded_without_manifest(daemon: tuple[Daemon, dict[str, str]], image: Any) -> None:
    fake, environ = daemon
    destination = daemon_destination(["app:1"], environ)
    layer = image.manifest.layers[0]
    destination.put_blob(layer, lambda: iter((image.blobs[layer.digest],)))
    destination.close()
    assert fake.loaded == []


@pytest.mark.parametrize(
    "answer",
    [
        (200, b'{"stream":"x"}\n{"errorDetail":{"message":"no space left"},"error":"no space left"}\n'),
        (500, b'{"message":"no space left"}'),
        (500, b"no space left"),
    ],
)
def test_daemon_refuses(daemon: tuple[Daemon, dict[str, str]], image: Any, answer: tuple[int, bytes]) -> None:
    fake, environ = daemon
    fake.answer = answer
    destination = daemon_destination(["app:1"], environ)
    image.store(destination)
    with pytest.raises(RegistryError, match="no space left"):
        destination.close()


@pytest.mark.parametrize("name", ["app:1", "docker.io/library/app:1"])
def test_image_comes_out(daemon: tuple[Daemon, dict[str, str]], image: Any, tmp_path: Path, name: str) -> None:
    fake, environ = daemon
    archive = DockerTarDestination(FileTarWriter(str(tmp_path / "x"), "x"), [full_reference("app:1")], "x")
    image.store(archive)
    archive.close()
    fake.images["/images/app:1/get"] = (tmp_path / "x").read_bytes()
    source = daemon_source(name, environ)
    manifest = parse_manifest(*source.manifest())
    assert isinstance(manifest, Manifest)
    assert [b"".join(source.blob(layer)) for layer in manifest.layers] == list(image.tars)


def test_missing_image(daemon: tuple[Daemon, dict[str, str]]) -> None:
    with pytest.raises(RegistryNotFound, match="reference does not exist"):
        daemon_source("app:1", daemon[1])


def test_no_daemon(tmp_path: Path, image: Any) -> None:
    environ = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    with pytest.raises(RegistryError, match="cannot be reached") as caught:
        daemon_source("app:1", environ)
    assert caught.value.hint
    destination = daemon_destination(["app:1"], environ)
    with pytest.raises(RegistryError, match="cannot be reached"):
        image.store(destination)
    destination.close()


@pytest.mark.parametrize("host", ["ssh://", "npipe:////./pipe/docker", "unix://"])
def test_unsupported_hosts(host: str) -> None:
    with pytest.raises(RegistryError, match="no address of a Docker daemon"):
        connect({"DOCKER_HOST": host})


def test_no_digest_as_a_name(make_image: Callable[..., Any]) -> None:
    with pytest.raises(InvalidReference, match="under a digest"):
        daemon_destination([f"app@sha256:{'0' * 64}"], {})
