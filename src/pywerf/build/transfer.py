"""Pull and push: images between the store and every transport."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.bases import Found, found_of, origins_of, remember_origin
from pywerf.build.layer_bytes import LayerBytes
from pywerf.errors import BuildError, ImageNotFound, UsageError
from pywerf.oci import media_types
from pywerf.oci.chain import chain_ids
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import ImageDestination
from pywerf.oci.manifest import Index, Manifest, parse_manifest
from pywerf.oci.media_types import Compression, ImageFormat
from pywerf.oci.platform import Platform, host_platform
from pywerf.oci.reference import Reference
from pywerf.registry.parallel import guarded, run_all

if TYPE_CHECKING:
    from pywerf.build.options import PullPolicy
    from pywerf.build.session import Session
    from pywerf.registry.transports import TransportName
    from pywerf.store.images import ImageRecord

__all__ = ["compressed_key", "layer_pusher", "pull", "push", "push_to"]

_AT_ONCE = 4


def pull(
    session: Session, name: str, *, policy: PullPolicy, platform: Platform | None, all_tags: bool = False
) -> ImageRecord:
    """Bring an image here with its layers, unpacked while they arrive; it gets the name that it has there."""
    if all_tags:
        return _pull_all_tags(session, name, policy, platform)
    wanted = platform or host_platform()
    bases = session.bases(policy)
    from pywerf.registry.transports import parse_transport

    transport = parse_transport(name)
    if transport.transport in ("name", "docker"):
        found = bases.find(transport.reference, wanted)
        names: list[str] = []
    else:
        from pywerf.registry.pull import resolve_image

        found = found_of(resolve_image(name, session.registries(), wanted), name)
        bases.add(found)
        names = _names_of(transport, found)
    ref = bases.ref(found.op)
    session.snapshots.of(ref)
    return session.store.images.put(found.manifest_bytes, found.manifest.media_type, found.config_bytes, names)


def _names_of(transport: TransportName, found: Found) -> list[str]:
    """What an image from an archive or a folder is called here, as with buildah.

    An archive tells its names; an OCI layout is called by its folder, or where that is no name for an image as it is
    called in there; what is in a `dir:` has no name.
    """
    from pywerf.build.names import full_name
    from pywerf.errors import InvalidReference

    given: Sequence[str] = getattr(found.source, "names", ())
    if transport.transport == "oci":
        given = (transport.path.strip("/"), transport.reference)
    names: list[str] = []
    for name in filter(None, given):
        try:
            names.append(full_name(name))
        except InvalidReference:
            continue  # somebody else's idea of a name
        if transport.transport == "oci":
            break
    return names


def _pull_all_tags(session: Session, name: str, policy: PullPolicy, platform: Platform | None) -> ImageRecord:
    reference = Reference.parse(name.removeprefix("docker://"))
    if reference.tag or reference.digest is not None:
        raise UsageError(f"{name}: --all-tags wants a repository without a tag")
    access = session.registries()
    full = access.candidates(reference)[0]
    endpoint = access.registries.resolve(full.tagged())[0]
    record: ImageRecord | None = None
    for tag in access.client(endpoint).tags(endpoint.repository):
        record = pull(session, str(Reference(full.host, full.repository, tag)), policy=policy, platform=platform)
    if record is None:
        raise ImageNotFound(name, hint="the repository has no tags")
    return record


def push(
    session: Session,
    image: str,
    destination: str,
    *,
    compression: Compression,
    level: int | None,
    image_format: ImageFormat | None,
    digestfile: str,
    everything: bool,
) -> Digest:
    """Send an image to a transport. Layers that are there, or were seen near, are not sent again."""
    from pywerf.registry.transports import open_destination, parse_transport

    record = session.find_image(image)
    where = parse_transport(destination or _own_registry(record, image))
    found = _found_for(session, record, image)
    near = _near(session, found, compression, level)
    if where.transport in ("oci", "oci-archive"):
        # image-spec, image-layout.md: readers look for OCI's media types only
        image_format = image_format or "oci"
    target = open_destination(where, session.registries(), mount_from=near, names=())
    step = session.next_step()
    session.reporter.step_started(step, f"pushing {image} to {where}")
    try:
        try:
            digest = push_to(
                session, record, found, target, compression=compression, level=level,
                image_format=image_format, everything=everything, step=step,
            )  # fmt: skip
        finally:
            target.close()
    except BaseException as error:
        session.reporter.step_finished(step, "failed", error=str(error))
        raise
    session.reporter.step_finished(step, "done")
    _note_place(session, where, found.manifest)
    if digestfile:
        with open(digestfile, "w", encoding="ascii") as file:
            file.write(str(digest))
    return digest


def _note_place(session: Session, where: TransportName, manifest: Manifest) -> None:
    """Remember that a repository has the layers that were sent as they are: they can be mounted from there."""
    if where.transport in ("name", "docker"):
        place = session.registries().candidates(Reference.parse(where.reference))[0]
        for layer in manifest.layers:
            if media_types.layer_compression(layer.media_type) != "none":
                remember_origin(session.store, layer.digest, place)


def _own_registry(record: ImageRecord, image: str) -> str:
    from pywerf.build.names import local_candidates

    name = next((item for item in local_candidates(image) if item in record.names), None)
    if name is None or name.startswith("localhost/"):
        raise UsageError(
            f"{image}: where to?", hint=f"name a destination: werf buildah push {image} docker://REGISTRY/NAME:TAG"
        )
    return f"docker://{name}"


def _found_for(session: Session, record: ImageRecord, image: str) -> Found:
    found = session.bases("never").of_record(record, None if not record.is_index else host_platform(), image)
    if found is None:
        raise BuildError(f"{image}: the image is not whole: parts of it are not in the store")
    return found


def _near(session: Session, found: Found, compression: Compression, level: int | None) -> list[Reference]:
    """Repositories in which layers of the image have been seen: a registry can mount them from there."""
    near: list[Reference] = []
    for layer, diff_id in zip(found.manifest.layers, found.config.diff_ids, strict=False):
        kept = session.store.memo.get("compressed", compressed_key(diff_id, compression, level))
        digests = [layer.digest] if kept is None else [layer.digest, Digest.parse(kept.decode().partition(" ")[0])]
        for digest in digests:
            near += [item for item in origins_of(session.store, digest) if item not in near]
    return near


def compressed_key(diff_id: Digest, compression: Compression, level: int | None) -> str:
    return f"{diff_id} {compression} {level or ''}"


def layer_pusher(
    session: Session, target: ImageDestination, *, compression: Compression, level: int | None, step: int
) -> Callable[[Found, int], Descriptor]:
    """A function that sends one layer of an image, by its index, in the form in which a push would send it."""
    pusher = _Pusher(session, target, compression, level, None, step)

    def push_layer(found: Found, index: int) -> Descriptor:
        layer, diff_id = found.manifest.layers[index], found.config.diff_ids[index]
        _take_over(session, target, layer, diff_id, compressed_key(diff_id, compression, level))
        return pusher.push_layer(layer, LayerBytes(session, found, index, chain_ids(found.config.diff_ids)))

    return push_layer


def push_to(
    session: Session,
    record: ImageRecord,
    found: Found,
    target: ImageDestination,
    *,
    compression: Compression,
    level: int | None,
    image_format: ImageFormat | None,
    everything: bool,
    step: int,
) -> Digest:
    """Send the image, or with `everything` all images of an index, to an open destination."""
    pusher = _Pusher(session, target, compression, level, image_format, step)
    if record.is_index and everything:
        return pusher.push_index(record)
    return pusher.push_image(found, top=True)[0].digest


def _take_over(session: Session, target: ImageDestination, layer: Descriptor, diff_id: Digest, key: str) -> None:
    """Mount a layer from where it was seen in the same registry, in the form in which it would be sent."""
    from pywerf.registry.docker_registry import RegistryDestination

    if not isinstance(target, RegistryDestination):
        return
    digest = layer.digest
    if digest == diff_id:
        kept = session.store.memo.get("compressed", key)
        if kept is None:
            return
        digest = Digest.parse(kept.decode().partition(" ")[0])
    places = [session.registries().registries.resolve_push(item) for item in origins_of(session.store, digest)]
    near = [place.repository for place in places if place.host == target.reference.host]
    target.take_over(digest, [name for name in near if name != target.reference.repository])


class _Pusher:
    def __init__(
        self,
        session: Session,
        target: ImageDestination,
        compression: Compression,
        level: int | None,
        image_format: ImageFormat | None,
        step: int,
    ) -> None:
        self.session = session
        self.target = target
        fixed = getattr(target, "layer_compression", None)
        self.fixed: Compression | None = fixed
        self.compression: Compression = fixed or compression
        self.level = level
        self.format = image_format
        self.step = step
        self.parallel = not getattr(target, "sequential", False)
        self.stop = threading.Event()  # another layer has failed

    def push_index(self, record: ImageRecord) -> Digest:
        store = self.session.store
        index = parse_manifest(store.blobs.read(record.manifest_digest), record.media_type)
        assert isinstance(index, Index)
        bases = self.session.bases("never")
        pushed: list[Descriptor] = []
        for item in index.manifests:
            # by its manifest: an image that was built again may have another one by now
            found = None if store.blobs.has(item.digest) is None else bases.of_manifest(item, str(item.digest))
            if found is None:
                raise BuildError(f"{record.id}: the image for {item.platform} is not here")
            descriptor, _ = self.push_image(found, top=False)
            pushed.append(msgspec.structs.replace(descriptor, platform=item.platform))
        document = msgspec.structs.replace(index, manifests=tuple(pushed))
        return self.target.put_manifest(document.to_json(), document.media_type)

    def push_image(self, found: Found, *, top: bool) -> tuple[Descriptor, Manifest]:
        manifest = found.manifest
        chains = chain_ids(found.config.diff_ids)
        layers: list[Descriptor | None] = [None] * len(manifest.layers)

        def one(index: int, stop: threading.Event) -> None:
            self.stop = stop  # the same for all layers
            bytes_of = LayerBytes(self.session, found, index, chains)
            layers[index] = self.push_layer(manifest.layers[index], bytes_of)

        run_all([partial(one, index) for index in range(len(layers))], _AT_ONCE if self.parallel else 1)
        sent = tuple(layer for layer in layers if layer is not None)
        changed = self._manifest(manifest, sent)
        config = changed.config
        if not self.target.has_blob(config):
            self.target.put_blob(config, lambda: iter((found.config_bytes,)))
        data = found.manifest_bytes if changed == manifest else changed.to_json()
        digest = self.target.put_manifest(data, changed.media_type, top=top)
        return Descriptor(changed.media_type, digest, len(data)), changed

    def push_layer(self, layer: Descriptor, source: LayerBytes) -> Descriptor:
        """Send a layer unless it is there; how it stands in the manifest."""
        present = media_types.layer_compression(layer.media_type)
        keep = present is not None and present != "none" and self.fixed in (None, present)
        if keep or self.compression == "none":
            wanted = layer if keep else source.plain()
            if not self.target.has_blob(wanted):
                self.target.put_blob(wanted, lambda: self._counted(source.stored(wanted), wanted))
            return wanted
        return self._compress(source)

    def _compress(self, source: LayerBytes) -> Descriptor:
        """A plain layer, compressed on its way; what it came to is remembered, so that it is not done twice."""
        memo = self.session.store.memo
        key = compressed_key(source.diff_id, self.compression, self.level)
        kept = memo.get("compressed", key)
        media_type = media_types.layer_media_type(self.compression, self.format or "oci")
        if kept is not None:
            digest, _, size = kept.decode().partition(" ")
            known = Descriptor(media_type, Digest.parse(digest), int(size))
            if self.target.has_blob(known):
                return known
        plain = source.plain()
        digest_, size_ = self.target.put_blob_stream(
            source.compressed(self.compression, self.level, lambda chunks: self._counted(chunks, plain))
        )
        memo.put("compressed", key, f"{digest_} {size_}".encode())
        place = getattr(self.target, "reference", None)
        if isinstance(place, Reference):
            remember_origin(self.session.store, digest_, place)
        return Descriptor(media_type, digest_, size_)

    def _counted(self, chunks: Iterator[bytes], what: Descriptor) -> Iterator[bytes]:
        current = 0
        report: Callable[[int, str, int, int], None] = self.session.reporter.step_progress
        for chunk in guarded(chunks, self.stop):
            current += len(chunk)
            report(self.step, what.digest.short, current, what.size)
            yield chunk

    def _manifest(self, manifest: Manifest, layers: tuple[Descriptor, ...]) -> Manifest:
        """The manifest over the layers as they were sent, in the format that is asked for."""
        docker = manifest.media_type == media_types.DOCKER_MANIFEST
        wanted = self.format or ("docker" if docker else "oci")
        if any(media_types.layer_compression(layer.media_type) == "zstd" for layer in layers):
            wanted = "oci"  # Docker's types know no zstd
        same = wanted == ("docker" if docker else "oci")
        if same and layers == manifest.layers:
            return manifest
        kind: ImageFormat = "docker" if wanted == "docker" else "oci"
        return Manifest(
            media_type=media_types.DOCKER_MANIFEST if kind == "docker" else media_types.OCI_MANIFEST,
            config=msgspec.structs.replace(
                manifest.config,
                media_type=media_types.DOCKER_CONFIG if kind == "docker" else media_types.OCI_CONFIG,
            ),
            layers=tuple(
                msgspec.structs.replace(
                    layer,
                    media_type=media_types.layer_media_type(
                        media_types.layer_compression(layer.media_type) or "gzip", kind
                    ),
                )
                for layer in layers
            ),
            annotations={} if kind == "docker" else manifest.annotations,
        )
