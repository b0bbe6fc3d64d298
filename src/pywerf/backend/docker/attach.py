"""The output of a container of the daemon, while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pywerf.backend.docker.daemon import Daemon

__all__ = ["attached", "frames"]

_HEADER = 8
_STDERR = 2


@contextmanager
def attached(daemon: Daemon, container: str) -> Iterator[Iterator[tuple[bytes, bool]]]:
    """All that the container writes, as `frames` gives it; attached before it is started, nothing is lost.

    Not by the docker SDK: what it reads is its own copy of the socket, which nothing closes.
    """
    with daemon.conversation() as connection:
        path = daemon.path(f"/containers/{container}/attach?stream=1&stdout=1&stderr=1")
        connection.request("POST", path, headers={"Content-Length": "0"})
        with connection.getresponse() as response:
            if response.status != 200:
                raise daemon.refused(response.status, response.read(1 << 16), "the output of a container")
            yield frames(response)


def frames(stream: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Pieces of output, and whether each is of stderr: they come with a header of the kind and the length."""
    while len(header := stream.read(_HEADER)) == _HEADER:
        data = stream.read(int.from_bytes(header[4:], "big"))
        if data:
            yield data, header[0] == _STDERR
