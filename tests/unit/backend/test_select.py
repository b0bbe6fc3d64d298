"""The choice of the backend, with a daemon that answers, one that does not, and none."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from pywerf.backend.docker.backend import choose_builder
from pywerf.backend.docker.daemon import Daemon
from pywerf.backend.select import Selected, select_backend
from pywerf.errors import BuildError, RegistryError, UsageError


class Handler(BaseHTTPRequestHandler):
    """/_ping and /version of a daemon."""

    status = 200
    document = b"{}"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"OK" if self.path == "/_ping" else self.document)


class Server(socketserver.ThreadingUnixStreamServer):
    """HTTP on a Unix socket."""

    daemon_threads = True

    def get_request(self) -> tuple[Any, Any]:
        request, _ = super().get_request()
        return request, ("unix", 0)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[tuple[type[Handler], dict[str, str]]]:
    """A daemon's handler, to be changed, and the environment that leads to it."""
    handler = type("H", (Handler,), {})
    with Server(str(tmp_path / "docker.sock"), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield handler, {"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("mode", ["", "docker"])
def test_a_daemon_that_answers(mode: str, daemon: tuple[type[Handler], dict[str, str]]) -> None:
    assert select_backend(mode, daemon[1]) == Selected(True)


def test_no_daemon(tmp_path: Path) -> None:
    environ = {"DOCKER_HOST": f"unix://{tmp_path}/none"}
    chosen = select_backend("", environ)
    assert (chosen.docker, chosen.mode) == (False, "auto")
    assert "no such file" in chosen.line
    with pytest.raises(RegistryError, match="cannot be reached") as caught:
        select_backend("docker", environ)
    assert (caught.value.hint or "").endswith("WERF_BUILDAH_MODE=auto needs no daemon")


@pytest.mark.parametrize("mode", ["auto", "default", "native-chroot", "native-rootless", "nonsense"])
def test_the_engine_asks_no_daemon(mode: str) -> None:
    assert select_backend(mode, {"DOCKER_HOST": "nonsense://"}) == Selected(False, mode)


def test_a_daemon_in_trouble(daemon: tuple[type[Handler], dict[str, str]]) -> None:
    daemon[0].status = 500
    assert "status 500" in select_backend("", daemon[1]).line


@pytest.mark.parametrize(
    ("newest", "oldest", "spoken"),
    [("1.39", "1.12", (1, 39)), ("1.41", "1.12", (1, 41)), ("1.51", "1.24", (1, 44)), ("1.60", "1.50", (1, 50))],
)
def test_versions(
    newest: str, oldest: str, spoken: tuple[int, int], daemon: tuple[type[Handler], dict[str, str]]
) -> None:
    daemon[0].document = f'{{"Version": "x", "ApiVersion": "{newest}", "MinAPIVersion": "{oldest}"}}'.encode()
    with Daemon(daemon[1]) as found:
        assert found.api_version == spoken


@pytest.mark.parametrize("document", [b'{"Version": "1.13", "ApiVersion": "1.25"}', b'{"ApiVersion": ""}'])
def test_a_daemon_that_is_too_old(document: bytes, daemon: tuple[type[Handler], dict[str, str]]) -> None:
    daemon[0].document = document
    with pytest.raises(BuildError, match="too old"):
        Daemon(daemon[1])


@pytest.mark.parametrize("document", [b"<html>", b"[]"])
def test_something_else_that_listens_there(document: bytes, daemon: tuple[type[Handler], dict[str, str]]) -> None:
    daemon[0].document = document
    with pytest.raises((RegistryError, BuildError)):
        Daemon(daemon[1])


@pytest.mark.parametrize(
    ("asked", "variable", "os", "kind"),
    [
        ("", "", "linux", "buildkit"),
        ("auto", "1", "linux", "buildkit"),
        ("auto", "0", "linux", "classic"),
        ("buildkit", "0", "linux", "buildkit"),
        ("classic", "1", "linux", "classic"),
        ("auto", "", "windows", "classic"),
    ],
)
def test_builders(asked: str, variable: str, os: str, kind: str) -> None:
    assert choose_builder(asked, os, {"DOCKER_BUILDKIT": variable})[0] == kind


def test_builders_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="unknown builder"):
        choose_builder("fast", "linux", {})
    with pytest.raises(BuildError, match="windows"):
        choose_builder("buildkit", "windows", {})
