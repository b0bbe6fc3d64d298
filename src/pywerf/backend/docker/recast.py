"""Images of layers that the daemon has already, and of another config: no layer is sent to it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from pywerf.backend.docker.errors import explain
from pywerf.backend.docker.layerless import docker_archive, history_of, image_in, oci_archive
from pywerf.backend.docker.stream import events
from pywerf.backend.docker.to_its_end import to_its_end
from pywerf.errors import BuildError
from pywerf.oci.config import ImageConfig
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Manifest
from pywerf.oci.media_types import OCI_CONFIG, OCI_MANIFEST
from pywerf.oci.platform import Platform

if TYPE_CHECKING:
    from pywerf.backend.docker.daemon import Daemon
    from pywerf.backend.docker.images import DockerImages

__all__ = ["Original", "Recaster"]


class Original(msgspec.Struct, frozen=True):
    """An image's config; with containerd's image store its manifest, too."""

    config: ImageConfig
    manifest: Manifest | None = None


class Recaster:
    """Makes the images.

    A daemon with graph drivers keeps layers by their diff_ids and takes an archive that lacks those that it has. It
    shows no config as it is: what it tells of the image and its history is put together again. One with containerd's
    image store keeps manifests and blobs, and takes an archive that lacks blobs that it has; it shows them only
    in an archive of the whole image, which is read and not kept.
    """

    def __init__(self, daemon: Daemon, images: DockerImages) -> None:
        self._daemon = daemon
        self._images = images

    def original(self, name: str, *, last: str = "") -> Original:
        """What an image is made of. `last`: what its last layer was made by. Raises ImageNotFound."""
        found = self._images.inspect(name)
        if self._daemon.containerd_store:
            manifest, data = self._saved(str(found.id), found.platform)
            config = ImageConfig.from_json(data, name)
            if config.history and last:
                history = (*config.history[:-1], replace(config.history[-1], created_by=last))
                config = replace(config, history=history)
            return Original(config, manifest)
        with self._daemon.translated(image=name):
            listed: list[dict[str, Any]] = self._daemon.api.history(str(found.id))  # type: ignore[no-untyped-call]  # incomplete stubs
        history = history_of(listed, len(found.diff_ids), last)
        return Original(ImageConfig(found.platform, found.config, found.diff_ids, history, found.created, found.author))

    def _saved(self, id: str, platform: Platform) -> tuple[Manifest, bytes]:
        from http.client import HTTPException

        connection = self._daemon.connection()
        try:
            connection.request("GET", self._daemon.path(f"/images/get?{urlencode({'names': id})}"))
            with connection.getresponse() as response:
                if response.status != 200:
                    raise self._daemon.refused(response.status, response.read(1 << 16), "reading an image", image=id)
                return image_in(response, platform)
        except (OSError, HTTPException) as error:
            raise BuildError(f"reading {id}: the daemon broke off: {error}") from error
        finally:
            connection.close()

    def empty(self, platform: Platform, what: str) -> Digest:
        """An image without a name and without layers."""
        config = ImageConfig(platform)
        manifest = None
        if self._daemon.containerd_store:
            manifest = Manifest(OCI_MANIFEST, Descriptor(OCI_CONFIG, Digest.of(b""), 0), ())
        return self.make(Original(config, manifest), config.to_json(), what, [])

    def make(self, original: Original, config: bytes, what: str, made: list[str]) -> Digest:
        """The image with another config, without a name; its id, which is put to `made` though we are interrupted.

        Raises BuildError.
        """
        if original.manifest is None:
            archive = docker_archive(config, original.config.diff_ids)
            id = Digest.of(config)
        else:
            descriptor = replace(original.manifest.config, digest=Digest.of(config), size=len(config))
            manifest = replace(original.manifest, config=descriptor)
            archive = oci_archive(manifest, config)
            id = Digest.of(manifest.to_json())
        headers = {"Content-Type": "application/x-tar"}

        def load() -> None:
            with closing(events(self._daemon, "/images/load?quiet=1", [archive], headers, what)) as stream:
                for event in stream:
                    if event.get("error"):
                        raise explain(str(event["error"]), what=what)
            made.append(str(self._images.inspect(str(id)).id))

        to_its_end(load)
        return Digest.parse(made[-1])
