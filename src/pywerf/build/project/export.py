"""`werf export`: images of a project under other names, without werf's labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from pywerf.build.project.custom_tags import custom_tags_of
from pywerf.config.werf_yaml.model import shown_name
from pywerf.errors import BuildError, InvalidReference, UsageError, WerfError
from pywerf.oci.document import encode
from pywerf.oci.reference import Reference

if TYPE_CHECKING:
    from pywerf.backend.contract import Backend
    from pywerf.build.project.report_file import ReportedImage
    from pywerf.build.project.results import BuiltImage
    from pywerf.config.werf_yaml.model import Image
    from pywerf.registry.access import RegistryAccess
    from pywerf.util.events import Reporter

__all__ = [
    "Exported",
    "Exporter",
    "check_platforms",
    "check_templates",
    "exported",
    "exported_names",
    "of_report",
    "without_labels",
]

_ANY_TAG = "0" * 70


class Exported(msgspec.Struct, frozen=True):
    """An image to export: its name in werf.yaml, where it is, its tag there, and whether the backend keeps it."""

    name: str
    reference: str
    tag: str
    is_local: bool


def exported(image: BuiltImage) -> Exported:
    """A built image. Raises BuildError for one of several platforms without an index."""
    published = image.published
    if published is None:
        raise _no_index(image.name)
    return Exported(image.name, published.name, published.tag, published.manifest is None)


def check_platforms(images: Iterable[Image], names: Collection[str]) -> None:
    """Where no index joins platforms, as in a Docker daemon: raise BuildError for the named images with several."""
    for image in images:
        if image.name in names and len(image.platforms) > 1:
            raise _no_index(image.name)


def _no_index(image: str) -> BuildError:
    return BuildError(
        f"image {shown_name(image)}: it has several platforms, and no index joins them in local storage",
        hint="name a repository with --repo, or one --platform",
    )


def of_report(image: ReportedImage) -> Exported:
    """An image of a build report."""
    return Exported(image.name, image.reference, image.tag, not image.digest)


def check_templates(templates: Sequence[str], images: Sequence[str]) -> None:
    """Raise UsageError unless each template names a place in a registry, and each image gets a place of its own."""
    for template in templates:
        taken: dict[Reference, str] = {}
        for image in images:
            (name,) = custom_tags_of([template], image, _ANY_TAG)
            reference = _reference(template, name)
            other = taken.setdefault(reference, image)
            if other != image and "%image_content_based_tag%" not in template:
                raise UsageError(
                    f"--tag {template}: both {shown_name(other)} and {shown_name(image)} would be {name}",
                    hint="put %image%, %image_slug% or %image_safe_slug% into it, or choose one image",
                )


def exported_names(templates: Sequence[str], image: Exported) -> tuple[str, ...]:
    """Where an image is exported to."""
    return tuple(
        str(_reference(template, name).tagged())
        for template in templates
        for name in custom_tags_of([template], image.name, image.tag)
    )


def without_labels(labels: Mapping[str, str]) -> Callable[[bytes], bytes]:
    """What makes a config (JSON) one without labels that begin with `werf`, and with the given ones."""

    def change(config: bytes) -> bytes:
        document: dict[str, Any] = json.loads(config)
        # Docker keeps what the last build container had beside what the image has.
        for key in ("config", "container_config"):
            inner = dict(document.get(key) or {})
            old = inner.get("Labels") or {}
            new = {name: value for name, value in old.items() if not name.startswith("werf")}
            if key == "config":
                new.update(labels)
            inner["Labels"] = new
            if not new:
                del inner["Labels"]
            if key in document or inner:
                document[key] = inner
        return encode(document)

    return change


class Exporter:
    """Copies images to where the templates of `--tag` say."""

    def __init__(
        self,
        images: Sequence[Exported],
        templates: Sequence[str],
        access: RegistryAccess,
        backend: Callable[[], Backend],
        reporter: Reporter,
    ) -> None:
        self._images = images
        self._templates = templates
        self._access = access
        self._backend = backend
        self._reporter = reporter

    def run(self, labels: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Copy one image after the other, without werf's labels and with `labels`: its name, and where it is now.

        Raises WerfError, which names the image.
        """
        change = without_labels(labels)
        for image in self._images:
            names = exported_names(self._templates, image)
            for name in names:
                self._reporter.message("info", f"exporting image {shown_name(image.name)} to {name}")
            try:
                self._copy(image, names, change)
            except WerfError as error:
                error.message = f"image {shown_name(image.name)}: {error.message}"
                raise
            yield shown_name(image.name), names

    def _copy(self, image: Exported, names: Sequence[str], change: Callable[[bytes], bytes]) -> None:
        if image.is_local:
            backend = self._backend()
            with _local_copy(image, change, backend) as copy:
                for name in names:
                    backend.transfer.push(copy, name)
            return
        from pywerf.registry.changed import ChangedSource
        from pywerf.registry.copy import copy_image

        origin = Reference.parse(image.reference)
        source = ChangedSource(self._access.source(origin), change)
        for name in names:
            destination = self._access.destination(Reference.parse(name), [origin])
            try:
                copy_image(source, destination, all_platforms=True)
            finally:
                destination.close()


@contextmanager
def _local_copy(image: Exported, change: Callable[[bytes], bytes], backend: Backend) -> Iterator[str]:
    """The changed image in the backend, under a passing name."""
    name = f"{image.reference}-export"
    backend.configs.rewrite(image.reference, change, tags=[name])
    try:
        yield name
    finally:
        backend.images.remove([name])


def _reference(template: str, name: str) -> Reference:
    """The reference of a name that begins with a registry. Raises UsageError."""
    try:
        reference = Reference.parse(name)
    except InvalidReference as error:
        raise UsageError(f"--tag {template}: {error.message}", hint=error.hint) from error
    if not reference.host:
        raise UsageError(
            f"--tag {template}: no registry in {name}", hint="write REGISTRY/NAME:TAG; Docker Hub is index.docker.io"
        )
    return reference
