"""BuildKit's session: a connection on which the daemon asks us for files, secrets and credentials while it builds."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from types import TracebackType

from pywerf.backend.docker.daemon import Daemon
from pywerf.backend.docker.grpc import GrpcServer, Handler
from pywerf.errors import BuildError

__all__ = ["BuildSession", "shared_key"]

_HEAD = 1 << 16


def shared_key(folder: str) -> str:
    """What names a context from build to build, so that the daemon compares with the files it has of it already."""
    return hashlib.sha256(f"pywerf {os.uname().nodename} {folder}".encode("utf-8", "surrogateescape")).hexdigest()


class BuildSession:
    """A context manager: POST /session, turned into an HTTP/2 connection with the daemon as the client."""

    def __init__(self, daemon: Daemon, handlers: Mapping[str, Handler], key: str) -> None:
        self.id = secrets.token_hex(16)
        self._daemon = daemon
        self._handlers = handlers
        self._key = key

    def __enter__(self) -> BuildSession:
        """Raises RegistryError, BuildError."""
        connection = self._daemon.connection()
        peer = connection.sock
        try:
            lines = [
                f"POST {self._daemon.path('/session')} HTTP/1.1",
                "Host: docker",
                "Connection: Upgrade",
                "Upgrade: h2c",
                f"X-Docker-Expose-Session-Uuid: {self.id}",
                "X-Docker-Expose-Session-Name: pywerf",
                f"X-Docker-Expose-Session-Sharedkey: {self._key}",
                *(f"X-Docker-Expose-Session-Grpc-Method: {method}" for method in self._handlers),
                "Content-Length: 0",
            ]
            with self._daemon.translated("a build session"):
                peer.sendall("\r\n".join([*lines, "", ""]).encode())
                data = b""
                while b"\r\n\r\n" not in data and len(data) < _HEAD and (piece := peer.recv(_HEAD)):
                    data += piece
            head, _, rest = data.partition(b"\r\n\r\n")
            status = head.split(b" ", 2)[1:2]
            if status != [b"101"]:
                said = rest.decode("utf-8", "replace").strip()
                raise BuildError(
                    f"the Docker daemon refuses a build session: {said or head[:100].decode('latin-1')}",
                    hint="its classic builder needs none: --docker-builder classic",
                )
            self._server = GrpcServer(peer, self._handlers, rest)
            self._server.start()
        except BaseException:
            connection.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
