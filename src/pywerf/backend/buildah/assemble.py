"""Config and manifest of a finished image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from pywerf.backend.buildah.ref import LayerInfo, Ref
from pywerf.graph.image_plan import ImagePlan
from pywerf.oci import media_types
from pywerf.oci.config import History, ImageConfig
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Manifest

__all__ = ["Assembled", "assemble", "changed_features", "layer_descriptor", "make_manifest", "squashed_config"]

COMMENT = "pywerf"


class Assembled(msgspec.Struct, frozen=True):
    """A finished image, in the bytes in which the store keeps it. `size` is that of its layers, uncompressed."""

    config: ImageConfig
    config_bytes: bytes
    manifest: Manifest
    size: int

    @property
    def id(self) -> Digest:
        """The image id: the config's digest."""
        return self.manifest.config.digest


def assemble(
    plan: ImagePlan,
    ref: Ref | None,
    results: Mapping[str, Ref],
    *,
    image_format: media_types.ImageFormat,
    annotations: dict[str, str],
    when: Callable[[bytes], str],
    step_time: str = "",
    omit_history: bool = False,
    os_version: str = "",
    os_features: Sequence[str] = (),
) -> Assembled:
    """The image of a plan whose vertices have been solved: `results` by definition, `ref` that of its last one.

    `when` gives the time of creation; it gets the config without any time of its own, so that an image that was
    made before can have the time that it had then. `step_time` is what the history tells of all steps (RFC 3339);
    empty: the time at which each was done. `omit_history`: the image tells nothing of how it was made, nor its base.
    `os_version` stands instead of the base's, `os_features` changes those of the base (see `changed_features`).
    """
    layers = [] if ref is None else ref.layers()
    infos = [layer.info.result() for layer in layers]
    draft = ImageConfig(
        platform=plan.platform,
        config=plan.config,
        diff_ids=tuple(info.diff_id for info in infos),
        history=_history(plan, results, "", step_time),
        author=plan.author or (plan.base.author if plan.base is not None else ""),
        os_version=os_version or (plan.base.os_version if plan.base is not None else ""),
        os_features=changed_features(plan.base.os_features if plan.base is not None else (), os_features),
    )
    created = when(draft.to_json())
    history = () if omit_history else _history(plan, results, created, step_time)
    config = msgspec.structs.replace(draft, created=created, history=history)
    return make_manifest(config, infos, image_format=image_format, annotations=annotations)


def changed_features(features: Sequence[str], changes: Sequence[str]) -> tuple[str, ...]:
    """The features of an operating system that an image needs, each once: `NAME` adds one, `NAME-` takes one away."""
    kept = dict.fromkeys(features)
    for change in changes:
        if change.endswith("-"):
            kept.pop(change.removesuffix("-"), None)
        elif change:
            kept[change] = None
    return tuple(kept)


def make_manifest(
    config: ImageConfig,
    infos: list[LayerInfo],
    *,
    image_format: media_types.ImageFormat,
    annotations: dict[str, str],
) -> Assembled:
    """Config and manifest around layers. A layer that came from a registry keeps the form that it has there."""
    data = config.to_json()
    docker = image_format == "docker"
    kind = media_types.DOCKER_CONFIG if docker else media_types.OCI_CONFIG
    manifest = Manifest(
        media_type=media_types.DOCKER_MANIFEST if docker else media_types.OCI_MANIFEST,
        config=Descriptor(kind, Digest.of(data), len(data)),
        layers=tuple(layer_descriptor(info, image_format) for info in infos),
        annotations={} if docker else annotations,
    )
    return Assembled(config, data, manifest, sum(info.size for info in infos))


def layer_descriptor(info: LayerInfo, image_format: media_types.ImageFormat) -> Descriptor:
    """How a layer stands in the manifest: as it was pulled, or as the plain tar that it is."""
    blob = info.descriptor
    if blob is None:
        return Descriptor(media_types.layer_media_type("none", image_format), info.diff_id, info.size)
    compression = media_types.layer_compression(blob.media_type) or "gzip"
    return Descriptor(media_types.layer_media_type(compression, image_format), blob.digest, blob.size, urls=blob.urls)


def _history(plan: ImagePlan, results: Mapping[str, Ref], created: str, step_time: str) -> tuple[History, ...]:
    history = _complete(plan.base) if plan.base is not None else []
    for step in plan.steps:
        info = results[step.vertex.definition].info.result() if step.vertex is not None else None
        if info is None or info.empty:
            history.append(History(created, step.created_by, comment=COMMENT, empty_layer=True))
        else:
            history.append(History(step_time or info.created, step.created_by, comment=COMMENT))
    return tuple(history)


def _complete(base: ImageConfig) -> list[History]:
    """The history of a base, with one line for each of its layers: some builders leave lines out, or all of them."""
    left = len(base.diff_ids)
    history: list[History] = []
    for item in base.history:
        if not item.empty_layer:
            left -= 1
            if left < 0:
                item = msgspec.structs.replace(item, empty_layer=True)
        history.append(item)
    return history + [History(base.created, comment="not told by the base image")] * left


def squashed_config(config: ImageConfig, info: LayerInfo, base_layers: int) -> ImageConfig:
    """The config after `--squash`: the layers above the first `base_layers` are one, and so is their history.

    `info` is that one layer; empty when they come to nothing together.
    """
    kept: list[History] = []
    seen = 0
    for item in config.history:
        if not item.empty_layer:
            if seen == base_layers:
                break
            seen += 1
        elif seen == base_layers and base_layers == 0:
            break
        kept.append(item)
    if config.history:  # else it has been left out
        kept.append(History(config.created, config.history[-1].created_by, comment=COMMENT, empty_layer=info.empty))
    new = () if info.empty else (info.diff_id,)
    return msgspec.structs.replace(config, diff_ids=(*config.diff_ids[:base_layers], *new), history=tuple(kept))
