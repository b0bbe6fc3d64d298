"""Which Docker daemon is meant (DOCKER_HOST, contexts of ~/.docker, TLS), and a connection to it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec

from pywerf.errors import RegistryConfigError, RegistryError

if TYPE_CHECKING:
    from http.client import HTTPConnection

__all__ = ["DEFAULT_HOST", "DockerEndpoint", "connect", "find_endpoint", "ssh_command", "unreachable"]

DEFAULT_HOST = "unix:///var/run/docker.sock"
CONNECT_TIMEOUT = 20.0  # seconds; an answer may take as long as the daemon works


class DockerEndpoint(msgspec.Struct, frozen=True):
    """Where a daemon listens. `host` is a URL: unix:///PATH, tcp://HOST:PORT or ssh://[USER@]HOST[:PORT][/SOCKET].

    `origin` says who named it, for messages. `tls`: with certificates; their paths are empty when there are none.
    """

    host: str
    origin: str = "the default"
    tls: bool = False
    verify: bool = True
    ca: str = ""
    cert: str = ""
    key: str = ""

    @property
    def scheme(self) -> str:
        """unix, tcp or ssh."""
        return self.host.partition("://")[0]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of a tcp endpoint."""
        parts = urlsplit(self.host)
        return parts.hostname or "", parts.port or (2376 if self.tls else 2375)

    def __str__(self) -> str:
        return self.host


def config_dir(environ: Mapping[str, str]) -> str:
    """The folder of docker's own configuration: DOCKER_CONFIG, or ~/.docker."""
    return environ.get("DOCKER_CONFIG", "") or os.path.join(environ.get("HOME", "") or "/root", ".docker")


def find_endpoint(environ: Mapping[str, str]) -> DockerEndpoint:
    """The daemon that is meant, as the docker command finds it.

    DOCKER_HOST (with DOCKER_TLS_VERIFY, DOCKER_CERT_PATH) comes first, then the context that DOCKER_CONTEXT names, then
    `currentContext` of config.json, then the default socket. Raises RegistryConfigError.
    """
    folder = config_dir(environ)
    host = environ.get("DOCKER_HOST", "")
    if not host:
        name, origin = environ.get("DOCKER_CONTEXT", ""), "DOCKER_CONTEXT"
        if not name:
            name, origin = _current_context(folder), f"currentContext of {os.path.join(folder, 'config.json')}"
        if name and name != "default":
            return _context(folder, name, origin)
    return _checked(_from_environment(environ, host, folder))


def _from_environment(environ: Mapping[str, str], host: str, folder: str) -> DockerEndpoint:
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    where = "DOCKER_HOST" if host else "the default"
    host = host or DEFAULT_HOST
    scheme = host.partition("://")[0]
    if scheme in ("unix", "ssh") or not (verify or environ.get("DOCKER_TLS") or scheme == "https"):
        return DockerEndpoint(host, where)
    certificates = environ.get("DOCKER_CERT_PATH", "") or folder
    paths = [os.path.join(certificates, f"{name}.pem") for name in ("ca", "cert", "key")]
    ca, cert, key = (path if os.path.exists(path) else "" for path in paths)
    if verify and environ.get("DOCKER_CERT_PATH") and not ca:
        raise RegistryConfigError(
            f"{paths[0]}: no such file", hint="DOCKER_CERT_PATH names a folder with ca.pem, cert.pem and key.pem"
        )
    return DockerEndpoint(host, where, True, verify, ca, cert, key)


def _current_context(folder: str) -> str:
    path = os.path.join(folder, "config.json")
    try:
        with open(path, "rb") as file:
            document: Any = json.loads(file.read())
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise RegistryConfigError(f"{path}: {error}") from error
    name = document.get("currentContext", "") if isinstance(document, dict) else ""
    return name if isinstance(name, str) else ""


def _context(folder: str, name: str, origin: str) -> DockerEndpoint:
    """A context by its name: contexts/meta/SHA256(NAME)/meta.json, certificates under contexts/tls."""
    store = os.path.join(folder, "contexts")
    number = hashlib.sha256(name.encode()).hexdigest()
    path = os.path.join(store, "meta", number, "meta.json")
    try:
        with open(path, "rb") as file:
            document: Any = json.loads(file.read())
        endpoint = document["Endpoints"]["docker"]
        host = str(endpoint["Host"])
    except FileNotFoundError as error:
        raise RegistryConfigError(
            f"the Docker context {name!r} is not there ({origin} names it)", hint="`docker context ls` lists them"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegistryConfigError(f"{path}: no Docker context: {error}") from error
    tls = os.path.join(store, "tls", number, "docker")
    paths = [os.path.join(tls, f"{name}.pem") for name in ("ca", "cert", "key")]
    ca, cert, key = (path if os.path.exists(path) else "" for path in paths)
    skip = endpoint.get("SkipTLSVerify") is True
    secured = bool(ca or cert) or host.startswith("https://")
    return _checked(DockerEndpoint(host, f"the context {name}", secured, not skip, ca, cert, key))


def _checked(endpoint: DockerEndpoint) -> DockerEndpoint:
    """The same with a scheme of those three. Raises RegistryConfigError for anything else."""
    host = endpoint.host
    if "://" not in host:
        host = f"tcp://{host}"
    scheme, _, rest = host.partition("://")
    if scheme in ("http", "https"):
        host = f"tcp://{rest}"
        scheme = "tcp"
    try:
        parts = urlsplit(host)
        usable = bool(parts.path) if scheme == "unix" else bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if scheme not in ("unix", "tcp", "ssh") or not usable:
        raise RegistryConfigError(
            f"{endpoint.host}: no address of a Docker daemon ({endpoint.origin})",
            hint="use unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST",
        )
    return msgspec.structs.replace(endpoint, host=host)


def ssh_command(endpoint: DockerEndpoint) -> list[str]:
    """The command whose stdin and stdout are a connection to the daemon (docker system dial-stdio)."""
    parts = urlsplit(endpoint.host)
    command = ["ssh", "-o", "ConnectTimeout=15", "-T"]
    if parts.username:
        command += ["-l", unquote(parts.username)]
    if parts.port:
        command += ["-p", str(parts.port)]
    remote = ["docker"]
    if parts.path.strip("/"):
        remote += ["--host", f"unix://{parts.path}"]
    return [*command, "--", parts.hostname or "", *remote, "system", "dial-stdio"]


def connect(endpoint: DockerEndpoint, timeout: float | None = None) -> HTTPConnection:
    """An open connection to the daemon. `timeout` (seconds) counts from then on. Raises RegistryError."""
    from http.client import HTTPConnection

    try:
        if endpoint.scheme == "unix":
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                peer.settimeout(CONNECT_TIMEOUT)
                peer.connect(endpoint.host.removeprefix("unix://"))
            except BaseException:
                peer.close()
                raise
            host = "localhost"
        elif endpoint.scheme == "ssh":
            peer, host = _dial(ssh_command(endpoint)), "docker"
        else:
            host = endpoint.address[0]
            peer = socket.create_connection(endpoint.address, CONNECT_TIMEOUT)
            if endpoint.tls:
                peer = _secured(peer, endpoint)
    except OSError as error:
        raise unreachable(endpoint, error) from error
    peer.settimeout(timeout)
    connection = HTTPConnection(host, timeout=timeout)
    connection.sock = peer
    return connection


def _dial(command: Sequence[str]) -> socket.socket:
    """A socket to the standard streams of a command, that ends when the socket is closed.

    What it writes on stderr is seen by the user: ssh says there why it fails, and asks for what it needs.
    """
    import subprocess
    import threading

    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(list(command), stdin=theirs.fileno(), stdout=theirs.fileno(), start_new_session=True)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    threading.Thread(target=process.wait, name="docker-ssh", daemon=True).start()
    return ours


def _secured(peer: socket.socket, endpoint: DockerEndpoint) -> socket.socket:
    import ssl

    try:
        context = ssl.create_default_context(cafile=endpoint.ca or None)
        if endpoint.cert:
            context.load_cert_chain(endpoint.cert, endpoint.key or None)
        if not endpoint.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(peer, server_hostname=endpoint.address[0])
    except BaseException:
        peer.close()
        raise


def unreachable(endpoint: DockerEndpoint, error: Exception) -> RegistryError:
    """What is said when there is no connection: why, and the way out."""
    import errno

    number = getattr(error, "errno", None)
    reason = str(getattr(error, "strerror", None) or error)
    hint = f"start it, or set DOCKER_HOST (now it is {endpoint.origin})"
    if type(error).__name__.startswith("SSL"):  # its errno is OpenSSL's
        hint = "ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH (or the context) have to be those of this daemon"
    elif number in (errno.EACCES, errno.EPERM):
        hint = "join the group that owns the socket (usermod --append --groups docker USER), then log in again"
    elif number == errno.ENOENT and endpoint.scheme == "ssh":
        reason, hint = "the ssh command is missing", "install an ssh client"
    return RegistryError(
        f"the Docker daemon at {endpoint} cannot be reached: {reason[:1].lower()}{reason[1:]}", hint=hint
    )
