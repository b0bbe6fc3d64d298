"""`docker-daemon:REF`: images of a Docker daemon, over /images/NAME/get and /images/load of the Engine API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pywerf.errors import InvalidReference, RegistryError, RegistryNotFound
from pywerf.oci.digest import Digest
from pywerf.oci.reference import Reference
from pywerf.registry import docker_host
from pywerf.registry.docker_archive import DockerArchiveSource, DockerTarDestination, full_reference
from pywerf.registry.responses import clean
from pywerf.registry.tar_index import TarIndex, spool
from pywerf.registry.tar_writer import StreamTarWriter

if TYPE_CHECKING:
    from http.client import HTTPConnection

__all__ = ["connect", "daemon_destination", "daemon_source"]

TIMEOUT = 600.0  # seconds: loading a large image, the daemon says nothing for a long time
CHUNK = 1 << 20


def connect(environ: Mapping[str, str]) -> HTTPConnection:
    """A connection to the daemon that the environment means: see `docker_host.find_endpoint`.

    Raises RegistryError when it cannot be reached.
    """
    return docker_host.connect(docker_host.find_endpoint(environ), TIMEOUT)


def daemon_source(text: str, environ: Mapping[str, str]) -> DockerArchiveSource:
    """An image of the daemon by name or id. It is copied to a temporary file first: the daemon sends it in its order.

    Raises RegistryNotFound, RegistryError.
    """
    from http.client import HTTPException

    what = f"docker-daemon:{text}"
    reference = _name_of(text)
    name = reference.familiar if reference is not None else text
    connection = connect(environ)
    try:
        connection.request("GET", f"/images/{quote(name, safe='/:@')}/get")
        response = connection.getresponse()
        if response.status != 200:
            raise _refused(response.status, response.read(CHUNK), what)
        index = TarIndex(spool(iter(lambda: response.read(CHUNK), b"")), what)
    except (OSError, HTTPException) as error:
        raise RegistryError(f"{what}: the daemon broke off: {clean(str(error))}") from error
    finally:
        connection.close()
    # the archive holds this image alone, by whatever name
    return DockerArchiveSource(index, "", what)


def daemon_destination(references: Sequence[str], environ: Mapping[str, str]) -> DockerTarDestination:
    """Load an image under the given names while it is made; it is there when `close` returns."""
    what = f"docker-daemon:{references[0] if references else ''}"
    sender = _Load(environ, what)
    writer = StreamTarWriter(sender.write, sender.end, sender.abort)
    names = [full_reference(text) for text in references]
    if any(name.digest is not None for name in names):
        raise InvalidReference(f"{what}: a daemon cannot store an image under a digest", hint="give a tag")
    return DockerTarDestination(writer, names, what)


class _Load:
    """A POST to /images/load whose body is pushed in pieces; the connection is made with the first one."""

    def __init__(self, environ: Mapping[str, str], what: str) -> None:
        self._environ = environ
        self._what = what
        self._connection: HTTPConnection | None = None

    def write(self, data: bytes) -> None:
        """Send a piece as a chunk (RFC 9112, 7.1)."""
        if not data:
            return
        connection = self._connection
        try:
            if connection is None:
                connection = self._connection = connect(self._environ)
                connection.putrequest("POST", "/images/load?quiet=1")
                connection.putheader("Content-Type", "application/x-tar")
                connection.putheader("Transfer-Encoding", "chunked")
                connection.endheaders()
            connection.send(b"%x\r\n" % len(data))
            connection.send(data)
            connection.send(b"\r\n")
        except OSError as error:
            raise self._broken(error) from error

    def end(self) -> None:
        """The last chunk; then the daemon's verdict. Raises RegistryError."""
        from http.client import HTTPException

        if self._connection is None:
            return
        try:
            self._connection.send(b"0\r\n\r\n")
            response = self._connection.getresponse()
            body = response.read(16 * CHUNK)
            if response.status != 200:
                raise _refused(response.status, body, self._what)
            _check_progress(body, self._what)
        except (OSError, HTTPException) as error:
            raise self._broken(error) from error
        finally:
            self._connection.close()

    def abort(self) -> None:
        """Close without the last chunk: the daemon sees a broken request and drops it."""
        if self._connection is not None:
            self._connection.close()

    def _broken(self, error: Exception) -> RegistryError:
        """The daemon may have said why before it closed the connection."""
        from http.client import HTTPException

        said = ""
        if self._connection is not None and self._connection.sock is not None:
            try:
                self._connection.sock.settimeout(5.0)
                response = self._connection.getresponse()
                said = _message(response.read(CHUNK))
            except (OSError, HTTPException):
                said = ""  # it has not
            self._connection.close()
        return RegistryError(f"{self._what}: the daemon broke off: {said or clean(str(error))}")


def _check_progress(body: bytes, what: str) -> None:
    """The answer is 200 even when loading fails: then one of its JSON lines is an error."""
    for line in body.splitlines():
        try:
            event: Any = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and (event.get("error") or event.get("errorDetail")):
            raise RegistryError(f"{what}: {clean(str(event.get('error') or event['errorDetail']))}")


def _message(body: bytes) -> str:
    try:
        document = json.loads(body)
    except ValueError:
        return clean(body.decode("utf-8", "replace"))
    return clean(str(document.get("message", document))) if isinstance(document, dict) else clean(str(document))


def _refused(status: int, body: bytes, what: str) -> RegistryError:
    message = f"{what}: {_message(body) or f'status {status}'}"
    return RegistryNotFound(message, status=status) if status == 404 else RegistryError(message, status=status)


def _name_of(text: str) -> Reference | None:
    """The reference, or None for an image id (`sha256:…`, or its hexadecimal digits)."""
    if text.startswith("sha256:"):
        Digest.parse(text)
        return None
    if len(text) in (12, 64) and not set(text) - set("0123456789abcdef"):
        return None
    return full_reference(text)
