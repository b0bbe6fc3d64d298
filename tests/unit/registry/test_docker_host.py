"""Which daemon is meant: DOCKER_HOST, contexts, TLS, and how ssh is called for it."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from pywerf.errors import RegistryConfigError, RegistryError
from pywerf.registry.docker_host import DEFAULT_HOST, DockerEndpoint, connect, find_endpoint, ssh_command


def add_context(folder: Path, name: str, endpoint: dict[str, Any], certificates: tuple[str, ...] = ()) -> None:
    """A context as `docker context create` leaves it."""
    number = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts/meta" / number
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    for certificate in certificates:
        path = folder / "contexts/tls" / number / "docker" / f"{certificate}.pem"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def test_the_default_socket(tmp_path: Path) -> None:
    assert find_endpoint({"HOME": str(tmp_path)}) == DockerEndpoint(DEFAULT_HOST)


@pytest.mark.parametrize(
    ("host", "found", "address"),
    [
        ("unix:///run/x.sock", "unix:///run/x.sock", None),
        ("tcp://h:1", "tcp://h:1", ("h", 1)),
        ("tcp://h", "tcp://h", ("h", 2375)),
        ("h:2000", "tcp://h:2000", ("h", 2000)),
        ("http://h:1", "tcp://h:1", ("h", 1)),
        ("tcp://[::1]:1", "tcp://[::1]:1", ("::1", 1)),
        ("ssh://me@there:22", "ssh://me@there:22", None),
    ],
)
def test_docker_host(host: str, found: str, address: tuple[str, int] | None, tmp_path: Path) -> None:
    endpoint = find_endpoint({"DOCKER_HOST": host, "HOME": str(tmp_path)})
    assert (endpoint.host, endpoint.origin, endpoint.tls) == (found, "DOCKER_HOST", False)
    if address is not None:
        assert endpoint.address == address


def test_tls_by_variables(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    environ = {"DOCKER_HOST": "tcp://h", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    endpoint = find_endpoint(environ)
    assert (endpoint.tls, endpoint.verify, endpoint.address) == (True, True, ("h", 2376))
    assert (endpoint.ca, endpoint.cert) == (str(tmp_path / "ca.pem"), "")
    unverified = find_endpoint({"DOCKER_HOST": "tcp://h", "DOCKER_TLS": "1", "DOCKER_CERT_PATH": str(tmp_path)})
    assert (unverified.tls, unverified.verify) == (True, False)


def test_certificates_that_are_not_there(tmp_path: Path) -> None:
    environ = {"DOCKER_HOST": "tcp://h", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path / "none")}
    with pytest.raises(RegistryConfigError, match=r"ca\.pem: no such file"):
        find_endpoint(environ)


def test_the_current_context(tmp_path: Path) -> None:
    add_context(tmp_path, "far", {"Host": "tcp://far:2376", "SkipTLSVerify": False}, ("ca", "cert", "key"))
    add_context(tmp_path, "near", {"Host": "unix:///near.sock"})
    (tmp_path / "config.json").write_text('{"currentContext": "far"}')
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    far = find_endpoint(environ)
    assert (far.host, far.origin, far.tls, far.verify) == ("tcp://far:2376", "the context far", True, True)
    assert Path(far.key).name == "key.pem"
    assert find_endpoint({**environ, "DOCKER_CONTEXT": "near"}).host == "unix:///near.sock"
    assert find_endpoint({**environ, "DOCKER_CONTEXT": "default"}).host == DEFAULT_HOST
    assert find_endpoint({**environ, "DOCKER_CONTEXT": "near", "DOCKER_HOST": "tcp://h"}).host == "tcp://h"


def test_a_context_without_verification(tmp_path: Path) -> None:
    add_context(tmp_path, "lax", {"Host": "tcp://far:2376", "SkipTLSVerify": True}, ("ca",))
    endpoint = find_endpoint({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "lax"})
    assert (endpoint.tls, endpoint.verify) == (True, False)


def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RegistryConfigError, match=r"'gone' is not there \(DOCKER_CONTEXT names it\)") as caught:
        find_endpoint({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "gone"})
    assert caught.value.hint == "`docker context ls` lists them"


@pytest.mark.parametrize("text", ["{", "[]", '{"Endpoints": {}}', '{"Endpoints": {"docker": {}}}'])
def test_a_damaged_context(text: str, tmp_path: Path) -> None:
    add_context(tmp_path, "bad", {"Host": "tcp://h"})
    (next((tmp_path / "contexts/meta").iterdir()) / "meta.json").write_text(text)
    with pytest.raises(RegistryConfigError, match="no Docker context"):
        find_endpoint({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "bad"})


def test_a_damaged_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RegistryConfigError, match=r"config\.json"):
        find_endpoint({"DOCKER_CONFIG": str(tmp_path)})


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("ssh://there", "-- there docker system dial-stdio"),
        ("ssh://me@there:2222", "-l me -p 2222 -- there docker system dial-stdio"),
        ("ssh://there/run/x.sock", "-- there docker --host unix:///run/x.sock system dial-stdio"),
    ],
)
def test_ssh_command(host: str, words: str) -> None:
    assert " ".join(ssh_command(DockerEndpoint(host))).endswith(words)


def test_a_host_is_no_flag_of_ssh() -> None:
    command = ssh_command(DockerEndpoint("ssh://-oProxyCommand=evil"))
    assert command.index("--") < command.index("-oproxycommand=evil")


def test_why_there_is_no_connection(tmp_path: Path) -> None:
    missing = DockerEndpoint(f"unix://{tmp_path}/none.sock", "DOCKER_HOST")
    with pytest.raises(RegistryError, match="cannot be reached: no such file") as caught:
        connect(missing)
    assert caught.value.hint == "start it, or set DOCKER_HOST (now it is DOCKER_HOST)"


def test_a_peer_that_speaks_no_tls(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(100)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(RegistryError, match="cannot be reached") as caught:
            connect(DockerEndpoint(f"tcp://127.0.0.1:{server.getsockname()[1]}", "DOCKER_HOST", True, False))
        thread.join()
    assert "DOCKER_CERT_PATH" in (caught.value.hint or "")
