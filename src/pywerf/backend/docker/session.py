"""BuildKit's session: a connection on which the daemon asks us for files, secrets and credentials while it builds."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from types import TracebackType

from pywerf.backend.docker.daemon import Daemon
from pywerf.backend.docker.grpc import GrpcServer, Handler
from pywerf.backend.docker.hijack import hijack

__all__ = ["BuildSession", "shared_key"]


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
        peer, rest = hijack(
            self._daemon,
            "/session",
            "h2c",
            "a build session",
            [
                f"X-Docker-Expose-Session-Uuid: {self.id}",
                "X-Docker-Expose-Session-Name: pywerf",
                f"X-Docker-Expose-Session-Sharedkey: {self._key}",
                *(f"X-Docker-Expose-Session-Grpc-Method: {method}" for method in self._handlers),
            ],
            hint="its classic builder needs none: --docker-builder classic",
        )
        try:
            self._server = GrpcServer(peer, self._handlers, rest)
            self._server.start()
        except BaseException:
            peer.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
