"""Names with a transport (containers-transports(5)): parsing them, and opening what they name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from pywerf.errors import UsageError
from pywerf.oci.image_io import ImageDestination, ImageSource
from pywerf.oci.reference import Reference
from pywerf.registry.access import RegistryAccess

__all__ = ["Transport", "TransportName", "open_destination", "open_source", "parse_transport"]

Transport = Literal["name", "docker", "oci", "oci-archive", "docker-archive", "docker-daemon", "dir"]
_WITH_REFERENCE = ("oci", "oci-archive", "docker-archive")


class TransportName(msgspec.Struct, frozen=True):
    """A parsed name. `name`: a bare one, maybe short; `path` and `reference` are empty where they have no meaning.

    `reference` is kept as written: each transport reads it in its own way.
    """

    transport: Transport
    path: str = ""
    reference: str = ""

    def __str__(self) -> str:
        if self.transport == "name":
            return self.reference
        if self.transport == "docker":
            return f"docker://{self.reference}"
        if self.transport == "docker-daemon":
            return f"docker-daemon:{self.reference}"
        return f"{self.transport}:{self.path}" + (f":{self.reference}" if self.reference else "")


def parse_transport(text: str) -> TransportName:
    """Read `docker://REF`, `oci:PATH[:REF]`, `oci-archive:…`, `docker-archive:…`, `docker-daemon:REF`, `dir:PATH`.

    Anything else is a name in a registry. Nothing is looked at: neither files nor registries.
    Raises UsageError and InvalidReference.
    """
    prefix, colon, rest = text.partition(":")
    if prefix == "containers-storage" and colon:
        raise UsageError(
            f"{text}: the containers-storage transport is not supported",
            hint="images of this store need no prefix; of another tool's: save them with it as oci-archive: first",
        )
    if prefix == "docker" and rest.startswith("//"):
        Reference.parse(rest[2:])
        return TransportName("docker", reference=rest[2:])
    if prefix == "docker-daemon" and colon:
        if not rest:
            raise UsageError(f"{text}: no image is named", hint="write docker-daemon:NAME[:TAG]")
        return TransportName("docker-daemon", reference=rest)
    if prefix == "dir" and colon:
        if not rest:
            raise UsageError(f"{text}: no folder is named", hint="write dir:PATH")
        return TransportName("dir", path=rest)
    for transport in _WITH_REFERENCE:
        if prefix == transport and colon:
            path, _, reference = rest.partition(":")
            if not path:
                raise UsageError(f"{text}: no path is named", hint=f"write {prefix}:PATH[:REF]")
            return TransportName(_transport(transport), path, reference)
    Reference.parse(text)
    return TransportName("name", reference=text)


def open_source(name: TransportName, access: RegistryAccess) -> ImageSource:
    """The image to read. Registries are asked for the manifest already; archives are indexed.

    A `docker://` name without registry is docker.io's, a bare one is resolved by registries.conf.
    Raises RegistryNotFound where there is nothing.
    """
    transport, path, reference = name.transport, name.path, name.reference
    if transport == "name":
        return access.source(Reference.parse(reference))
    if transport == "docker":
        from pywerf.registry.docker_archive import full_reference

        return access.source(full_reference(reference))
    if transport == "oci":
        from pywerf.registry.layout import LayoutSource

        return LayoutSource(path, reference)
    if transport == "dir":
        from pywerf.registry.directory import DirectorySource

        return DirectorySource(path)
    if transport == "docker-daemon":
        from pywerf.registry.docker_daemon import daemon_source

        return daemon_source(reference, access.environ)
    return _archive(str(name), transport, path, reference)


def open_destination(
    name: TransportName, access: RegistryAccess, *, mount_from: Sequence[Reference] = (), names: Sequence[str] = ()
) -> ImageDestination:
    """The place to write an image to; `close` it. Nothing is there under its name before that.

    `mount_from`: where blobs may be mounted from (registries only). `names`: further names for the image
    (docker-archive and docker-daemon only).
    """
    transport, path, reference = name.transport, name.path, name.reference
    if transport == "name":
        return access.destination(Reference.parse(reference), mount_from)
    if transport == "oci":
        from pywerf.registry.layout import LayoutDestination

        return LayoutDestination(path, reference)
    if transport == "oci-archive":
        from pywerf.registry.oci_archive import OciArchiveDestination

        return OciArchiveDestination(path, reference)
    if transport == "dir":
        from pywerf.registry.directory import DirectoryDestination

        return DirectoryDestination(path)
    if transport == "docker-daemon":
        from pywerf.registry.docker_daemon import daemon_destination

        return daemon_destination((reference, *names), access.environ)
    from pywerf.registry.docker_archive import DockerTarDestination, full_reference

    if transport == "docker":
        return access.destination(full_reference(reference), mount_from)
    from pywerf.registry.tar_writer import FileTarWriter

    references = [full_reference(text) for text in (reference, *names) if text]
    return DockerTarDestination(FileTarWriter(path, str(name)), references, str(name))


def _archive(what: str, transport: Transport, path: str, reference: str) -> ImageSource:
    from pywerf.registry.docker_archive import DockerArchiveSource
    from pywerf.registry.oci_archive import ArchiveLayoutSource
    from pywerf.registry.tar_index import TarIndex

    index = TarIndex.open(path, what)
    try:
        # `docker save` of today writes both; what is only a layout is one, whatever it is called
        if transport == "oci-archive" or ("manifest.json" not in index and "index.json" in index):
            return ArchiveLayoutSource.named(index, reference, what)
        return DockerArchiveSource(index, reference, what)
    except BaseException:
        index.close()
        raise


def _transport(text: str) -> Transport:
    for known in ("oci", "oci-archive", "docker-archive"):
        if text == known:
            return known
    raise UsageError(f"{text}: not a transport")
