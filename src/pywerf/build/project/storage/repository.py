"""One repository of a registry, as storage sees it: its tags, listed once, and its images by their tags."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import replace

from pywerf.errors import DigestMismatch, InvalidDocument, RegistryNotFound, RegistryUnauthorized
from pywerf.oci import media_types
from pywerf.oci.config import ContainerConfig, ImageConfig
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Index, Manifest, parse_manifest
from pywerf.oci.platform import host_platform
from pywerf.oci.reference import Reference
from pywerf.registry.access import RegistryAccess
from pywerf.registry.client import RegistryClient
from pywerf.registry.deletion import NO_VENDOR_ACCESS, Deletion, VendorAccess, open_deletion, registry_kind
from pywerf.registry.http import load
from pywerf.registry.verify import MAX_DOCUMENT
from pywerf.util.promise import Promise, run_in_thread

__all__ = ["DELETED_LABEL", "RECORD_LABEL", "Repository"]

T = TypeVar("T")

RECORD_LABEL = "werf-record"
"""In every record, its own tag: so no two of them share a manifest, and one can be deleted alone."""


DELETED_LABEL = "werf-deleted-tag"
"""In the image that takes the place of another one, so that a tag can be deleted alone."""


class Repository:
    """A repository. Makes no request before it is asked; any thread may call. Raises RegistryError and its kinds.

    `kind` is what the user says of the registry (`--repo-container-registry`), `vendor` who we are for its own API.
    """

    def __init__(
        self, name: str, access: RegistryAccess, *, kind: str = "", vendor: VendorAccess = NO_VENDOR_ACCESS
    ) -> None:
        """Raises InvalidReference for what is no repository."""
        reference = access.candidates(Reference.parse(name))[0]
        self.reference = Reference(reference.host, reference.repository)
        self.access = access
        self._lock = threading.Lock()
        self._tags: list[str] | None = None
        self._begun: Promise[list[str]] | None = None
        self._kind = kind
        self._vendor = vendor
        self._deletion: Deletion | None = None

    @property
    def address(self) -> str:
        """`HOST/NAME`."""
        return self.reference.name

    def tagged(self, tag: str) -> Reference:
        """`HOST/NAME:TAG`."""
        return replace(self.reference, tag=tag)

    @property
    def client(self) -> RegistryClient:
        """The client of the registry."""
        return self.access.client(self.access.registries.resolve_push(self.reference.tagged()))

    @property
    def path(self) -> str:
        """The repository's path in the registry."""
        return self.access.registries.resolve_push(self.reference.tagged()).repository

    # tags

    def begin(self) -> None:
        """Ask for the tags on a thread, which `tags` waits for; its errors are told there. To be called once, first."""
        load()
        self._begun = run_in_thread(self._listed, "tags")

    def wait(self) -> None:
        """Wait until that thread has ended; raises nothing."""
        if self._begun is not None:
            self._begun.wait()

    def tags(self, *, fresh: bool = False) -> tuple[str, ...]:
        """All tags; asked for once, and again when `fresh`."""
        with self._lock:
            if fresh:
                self._tags = self._listed()
            elif self._tags is None:
                begun, self._begun = self._begun, None
                self._tags = self._listed() if begun is None else begun.result()
            return tuple(self._tags)

    def _listed(self) -> list[str]:
        nothing: list[str] = []
        return self._unless_missing(lambda: list(self.client.tags(self.path)), nothing)

    def _unless_missing(self, ask: Callable[[], T], otherwise: T) -> T:
        """What the registry answers, or `otherwise` as long as nothing was ever pushed to the repository.

        Many registries refuse to read what does not exist, so as not to tell strangers whether it does. Who may push
        there is no stranger: that is asked after a refusal only.
        """
        try:
            return ask()
        except RegistryNotFound:
            return otherwise
        except RegistryUnauthorized:
            if not self.client.may_push(self.path):
                raise
            return otherwise

    def note_tag(self, tag: str) -> None:
        """A tag is there now."""
        with self._lock:
            if self._tags is not None and tag not in self._tags:
                self._tags.append(tag)

    def forget_tag(self, tag: str) -> None:
        """A tag is gone."""
        with self._lock:
            if self._tags is not None and tag in self._tags:
                self._tags.remove(tag)

    # images

    def has(self, tag: str) -> bool:
        """Whether there is such a tag now: the registry is asked."""
        return self._find(tag) is not None

    def _find(self, tag: str) -> Descriptor | None:
        return self._unless_missing(lambda: self.client.find_manifest(self.path, tag), None)

    def manifest(self, selector: str) -> tuple[bytes, Digest, Manifest | Index]:
        """The bytes, digest and value of a manifest or index, by tag or digest."""
        data, media_type, digest = self.client.manifest(self.path, selector)
        return data, digest, parse_manifest(data, media_type, f"{self.address}:{selector}")

    def config(self, manifest: Manifest) -> ImageConfig:
        """The config of an image."""
        return ImageConfig.from_json(self._blob(manifest.config), f"{self.address}@{manifest.config.digest}")

    def _blob(self, config: Descriptor) -> bytes:
        if config.size > MAX_DOCUMENT:
            raise InvalidDocument(f"{self.address}@{config.digest}: a config of {config.size} bytes")
        return b"".join(self.client.blob(self.path, config))

    def is_whole(self, tag: str) -> bool:
        """Whether an image is there, and all its blobs."""
        try:
            _, _, document = self.manifest(tag)
        except (RegistryNotFound, InvalidDocument, DigestMismatch):
            return False
        if isinstance(document, Index):
            return all(self.is_whole(str(entry.digest)) for entry in document.manifests)
        blobs = (document.config, *document.layers)
        return all(self.client.find_blob(self.path, blob.digest) == blob.size for blob in blobs)

    def put_changed(self, base: str, tag: str, change: Callable[[bytes], bytes]) -> None:
        """Make an image that has another config than `base` has, and the same layers. Atomic."""
        _, _, manifest = self.manifest(base)
        if isinstance(manifest, Index):
            raise InvalidDocument(f"{self.address}:{base}: an index where an image is expected")
        config = change(self._blob(manifest.config))
        descriptor = replace(manifest.config, digest=Digest.of(config), size=len(config))
        changed = replace(manifest, config=descriptor)
        self.client.put_blob(self.path, descriptor, lambda: iter((config,)))
        self.client.put_manifest(self.path, tag, changed.to_json(), changed.media_type)
        self.note_tag(tag)

    def point(self, tag: str, selector: str) -> None:
        """Make a tag mean what another tag or a digest means. Idempotent, atomic."""
        data, media_type, _ = self.client.manifest(self.path, selector)
        self.client.put_manifest(self.path, tag, data, media_type)
        self.note_tag(tag)

    def put_labels(self, tag: str, labels: dict[str, str]) -> Digest:
        """Make an image without files, whose labels are all that it has. Idempotent, atomic."""
        config = ImageConfig(host_platform(), ContainerConfig(labels={**labels, RECORD_LABEL: tag})).to_json()
        descriptor = Descriptor(media_types.OCI_CONFIG, Digest.of(config), len(config))
        manifest = Manifest(media_types.OCI_MANIFEST, descriptor, ())
        if self._unless_missing(lambda: self.client.find_blob(self.path, descriptor.digest), None) is None:
            self.client.put_blob(self.path, descriptor, lambda: iter((config,)))
        digest = self.client.put_manifest(self.path, tag, manifest.to_json(), manifest.media_type)
        self.note_tag(tag)
        return digest

    # deletion

    @property
    def deletion(self) -> Deletion:
        """The way that the registry deletes. Raises UsageError where it has none, or wants to know who we are."""
        with self._lock:
            if self._deletion is None:
                kind = registry_kind(self.reference.host, self._kind)
                self._deletion = open_deletion(kind, self.client, self.path, self._vendor)
            return self._deletion

    def delete_manifest(self, tag: str) -> None:
        """Delete what a tag means; all tags of it go. Idempotent."""
        found = self._find(tag)
        if found is not None:
            self.deletion.delete_manifest(found.digest, (tag,))
        self.forget_tag(tag)

    def delete_tag(self, tag: str) -> None:
        """Take one tag away. Idempotent.

        Where a registry deletes no tags, the tag is first made to mean an image that nothing else means, and that one
        is deleted.
        """
        if not self.deletion.delete_tag(tag) and self.has(tag):
            stand_in = self.put_labels(tag, {DELETED_LABEL: "true"})
            self.deletion.delete_manifest(stand_in, (tag,))
        self.forget_tag(tag)
