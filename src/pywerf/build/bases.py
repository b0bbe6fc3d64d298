"""Base images: found in the store or in a registry, by manifest and config alone; layers come when they are read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from pywerf.backend.buildah.ref import LayerInfo, Ref
from pywerf.build.names import local_candidates
from pywerf.errors import BuildError, ImageNotFound, InvalidDocument, RegistryError, RegistryNotFound
from pywerf.graph.op import ImageOp
from pywerf.oci.chain import chain_ids
from pywerf.oci.config import ImageConfig
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import ImageSource
from pywerf.oci.manifest import Index, Manifest, parse_manifest
from pywerf.oci.media_types import layer_compression
from pywerf.oci.platform import Platform
from pywerf.oci.reference import Reference
from pywerf.util.promise import Promise

if TYPE_CHECKING:
    from pywerf.build.fetch import LayerFetcher
    from pywerf.build.options import PullPolicy
    from pywerf.registry.access import RegistryAccess
    from pywerf.registry.pull import ResolvedImage
    from pywerf.store.images import ImageRecord
    from pywerf.store.store import Store

__all__ = ["Bases", "Found", "found_of", "origins_of", "remember_origin"]

_ORIGINS_KEPT = 8


class Found(msgspec.Struct, frozen=True):
    """An image by its manifest and config. `source` is where layers come from that the store does not have."""

    name: str
    manifest: Manifest
    manifest_bytes: bytes
    config: ImageConfig
    config_bytes: bytes
    source: ImageSource | None = None
    reference: Reference | None = None

    @property
    def op(self) -> ImageOp:
        """The image as a vertex of the graph."""
        return ImageOp(self.name, self.manifest.config.digest, self.config.diff_ids)


class Bases:
    """Looks images up for one command. Safe between threads; every image is asked for once."""

    def __init__(
        self, store: Store, registries: Callable[[], RegistryAccess], fetcher: LayerFetcher, policy: PullPolicy
    ) -> None:
        self._store = store
        self._registries = registries
        self._fetcher = fetcher
        self._policy = policy
        self._found: dict[tuple[str, Platform], Found] = {}
        self._refs: dict[Digest, Ref | None] = {}
        self._by_config: dict[Digest, Found] = {}
        self._lock = threading.RLock()

    def find(self, name: str, platform: Platform) -> Found:
        """The image that FROM or --from means, by the pull policy. Raises BuildError, RegistryError."""
        with self._lock:
            known = self._found.get((name, platform))
            if known is None:
                known = self._find(name, platform)
                self._found[name, platform] = known
                self._by_config[known.manifest.config.digest] = known
            return known

    def add(self, found: Found) -> None:
        """Make an image known that came another way (`--build-context x=oci-layout://…`)."""
        with self._lock:
            self._by_config[found.manifest.config.digest] = found

    def ref(self, op: ImageOp) -> Ref | None:
        """The file system of an image that `find` has found; None when it has no layers."""
        with self._lock:
            if op.config not in self._refs:
                self._refs[op.config] = self._make_ref(self._by_config[op.config])
            return self._refs[op.config]

    def _find(self, name: str, platform: Platform) -> Found:
        local = self.local(name, platform)
        policy = self._policy
        if policy == "never" or (local is not None and policy == "missing"):
            if local is None:
                raise BuildError(f"{name}: no such image here, and --pull=never forbids to pull it")
            return local
        if local is not None and local.name.startswith("localhost/"):
            return local  # built here: there is no registry to ask
        try:
            remote = self.remote(name, platform)
        except RegistryError:
            if local is not None and policy == "newer":
                return local  # as buildah and podman: what is here is good enough when nobody can be asked
            raise
        if local is not None and local.manifest_bytes == remote.manifest_bytes:
            return msgspec.structs.replace(local, source=remote.source, reference=remote.reference)
        return remote

    def local(self, name: str, platform: Platform | None) -> Found | None:
        """The image in the store, if it is of the platform."""
        try:
            record = self._store.images.resolve_first(local_candidates(name))
        except ImageNotFound:
            return None
        return self.of_record(record, platform, name)

    def of_record(self, record: ImageRecord, platform: Platform | None, name: str = "") -> Found | None:
        """An image of the store; of an index the one of the platform; None when that is not here."""
        blobs = self._store.blobs
        data = blobs.read(record.manifest_digest)
        document = parse_manifest(data, record.media_type)
        if isinstance(document, Index):
            chosen = document.select(platform) if platform is not None else None
            if chosen is None or blobs.has(chosen.digest) is None:
                return None
            data = blobs.read(chosen.digest)
            document = parse_manifest(data, chosen.media_type)
        assert isinstance(document, Manifest)
        full = next((item for item in record.names), name or str(record.id))
        return self._of_document(document, data, platform, full)

    def of_manifest(self, descriptor: Descriptor, name: str) -> Found | None:
        """The image of a manifest in the store; None when its config is not here."""
        data = self._store.blobs.read(descriptor.digest)
        document = parse_manifest(data, descriptor.media_type)
        return self._of_document(document, data, None, name) if isinstance(document, Manifest) else None

    def _of_document(self, document: Manifest, data: bytes, platform: Platform | None, name: str) -> Found | None:
        blobs = self._store.blobs
        if blobs.has(document.config.digest) is None:
            return None
        config_bytes = blobs.read(document.config.digest)
        config = ImageConfig.from_json(config_bytes)
        if platform is not None and not config.platform.satisfies(platform):
            return None
        if len(config.diff_ids) != len(document.layers):
            raise InvalidDocument(
                f"{name}: {len(document.layers)} layers, but the config knows {len(config.diff_ids)}",
                hint="it may be an artifact that is no container image",
            )
        return Found(name, document, data, config, config_bytes, source=self._origin(document))

    def _origin(self, manifest: Manifest) -> ImageSource | None:
        """Where layers that the store does not have were seen: lazily, nothing is asked now."""
        missing = [layer for layer in manifest.layers if self._store.blobs.has(layer.digest) is None]
        if not missing or not any(origins_of(self._store, layer.digest) for layer in missing):
            return None
        return self.origins

    @property
    def origins(self) -> ImageSource:
        """Layers by where they were seen: for those that the store does not have. Asks nothing by itself."""
        return _Origins(self._store, self._registries)

    def remote(self, name: str, platform: Platform) -> Found:
        """The image in a registry; its manifest and config are fetched and kept."""
        from pywerf.registry.pull import resolve_source

        source = self._registries().source(Reference.parse(name.removeprefix("docker://")))
        full = source.name
        found = found_of(resolve_source(source, platform, full), str(full))
        for layer in found.manifest.layers:
            remember_origin(self._store, layer.digest, full)
        names = [str(full)] if full.digest is None else []
        self._store.images.put(found.manifest_bytes, found.manifest.media_type, found.config_bytes, names)
        return found

    def _make_ref(self, found: Found) -> Ref | None:
        diff_ids = found.config.diff_ids
        layers = [layer for layer in found.manifest.layers if layer_compression(layer.media_type) is not None]
        if len(layers) != len(diff_ids):
            raise BuildError(
                f"{found.name}: the image has {len(layers)} layers, but its config names {len(diff_ids)}",
                hint="the image is damaged; pull or build it again",
            )
        chains = chain_ids(diff_ids)
        fetch = None
        if found.source is not None:
            fetch = self._fetcher.fetch_of(found.name, found.source, layers, diff_ids, chains)
        history = [item.created for item in found.config.history if not item.empty_layer]
        ref: Ref | None = None
        for index, (diff_id, layer) in enumerate(zip(diff_ids, layers, strict=True)):
            record = self._store.layers.get(chains[index])
            size = record.size if record is not None else 0
            created = history[index] if index < len(history) else ""
            plain = layer.digest == diff_id and record is not None and record.blob is None
            info = LayerInfo(diff_id, size or layer.size, created=created, descriptor=None if plain else layer)
            ref = Ref(ref, Promise.of(info), fetch=fetch)
        return ref


def found_of(image: ResolvedImage, name: str) -> Found:
    """What a transport has found, as a base."""
    return Found(
        name,
        image.manifest,
        image.manifest_bytes,
        image.config,
        image.config_bytes,
        source=image.source,
        reference=image.reference,
    )


def remember_origin(store: Store, digest: Digest, reference: Reference) -> None:
    """Note that a blob was seen in a repository: it can be fetched, or mounted from there."""
    known = origins_of(store, digest)
    name = Reference(reference.host, reference.repository)
    if name not in known:
        text = "\n".join(str(item) for item in [name, *known][:_ORIGINS_KEPT])
        store.memo.put("origin", str(digest), text.encode())


def origins_of(store: Store, digest: Digest) -> list[Reference]:
    """Where a blob was seen, the latest place first."""
    kept = store.memo.get("origin", str(digest))
    return [] if kept is None else [Reference.parse(line) for line in kept.decode().split("\n")]


class _Origins:
    """An ImageSource for blobs alone: from wherever they were seen last."""

    def __init__(self, store: Store, registries: Callable[[], RegistryAccess]) -> None:
        self._store = store
        self._registries = registries

    def manifest(self, digest: Digest | None = None) -> tuple[bytes, str]:
        raise RegistryNotFound("only blobs are known by their origin")

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Chunks of the blob, from the first place that has it."""
        for origin in origins_of(self._store, descriptor.digest):
            access = self._registries()
            for endpoint in access.registries.resolve(origin.tagged()):
                client = access.client(endpoint)
                if client.find_blob(endpoint.repository, descriptor.digest) is not None:
                    return client.blob(endpoint.repository, descriptor)
        raise RegistryNotFound(f"{descriptor.digest}: no registry that is known has this layer any more")
