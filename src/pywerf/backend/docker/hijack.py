"""Connections to the daemon that stop being HTTP after their first answer: sessions, terminals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pywerf.errors import BuildError

if TYPE_CHECKING:
    import socket

    from pywerf.backend.docker.daemon import Daemon

__all__ = ["descriptor_of", "hijack"]

_HEAD = 1 << 16


def hijack(
    daemon: Daemon, path: str, upgrade: str, what: str, headers: Sequence[str] = (), *, hint: str | None = None
) -> tuple[socket.socket, bytes]:
    """POST to `path` and take the connection over: its socket, and what came on it already.

    The caller closes the socket. Raises RegistryError, BuildError when the daemon refuses (`what` it was about).
    """
    connection = daemon.connection()
    peer: socket.socket = connection.sock
    try:
        lines = [
            f"POST {daemon.path(path)} HTTP/1.1",
            "Host: docker",
            "Connection: Upgrade",
            f"Upgrade: {upgrade}",
            *headers,
            "Content-Length: 0",
        ]
        with daemon.translated(what):
            peer.sendall("\r\n".join([*lines, "", ""]).encode())
            data = b""
            while b"\r\n\r\n" not in data and len(data) < _HEAD and (piece := peer.recv(_HEAD)):
                data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        if head.split(b" ", 2)[1:2] != [b"101"]:
            said = rest.decode("utf-8", "replace").strip()
            raise BuildError(
                f"the Docker daemon refuses {what}: {said or head[:100].decode('latin-1')}",
                hint=hint,
            )
    except BaseException:
        connection.close()
        raise
    return peer, rest


@contextmanager
def descriptor_of(peer: socket.socket) -> Iterator[int]:
    """A descriptor that can be read and written as the connection is; that of TLS needs somebody who translates."""
    import socket
    import ssl
    import threading

    if not isinstance(peer, ssl.SSLSocket):
        yield peer.fileno()
        return
    ours, theirs = socket.socketpair()

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_HEAD):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    threads = [threading.Thread(target=copy, args=pair, daemon=True) for pair in ((peer, theirs), (theirs, peer))]
    for thread in threads:
        thread.start()
    try:
        yield ours.fileno()
    finally:
        ours.close()
        with suppress(OSError):
            socket.socket.shutdown(peer, socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        theirs.close()
