"""The stages that a build report tells of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pywerf.build.project.storage.model import StageId
from pywerf.errors import BuildError, InvalidReference
from pywerf.oci.reference import Reference

if TYPE_CHECKING:
    from pywerf.build.project.report_file import ReportedImage
    from pywerf.build.project.storage.registry import RegistryStageStorage

__all__ = ["reported_stages"]


def reported_stages(images: Iterable[ReportedImage], storage: RegistryStageStorage) -> list[StageId]:
    """The stages of images, and their indexes, as far as they are in the repository.

    An image may be in another one, the final one, and has the same tag there. Raises BuildError for an image of which
    nothing is in the repository.
    """
    found: dict[StageId, None] = {}
    for image in images:
        names = [stage.image_name for stage in image.stages] + [image.reference]
        stages = [stage for name in names if (stage := _stage(name, storage)) is not None]
        if not stages:
            raise BuildError(
                f"image {image.name or '~'} of the report is {image.reference}, which is not in {storage.address}",
                hint="--from is the repository that the report's build had as --repo",
            )
        last = StageId.parse(image.tag)
        found.update(dict.fromkeys([*stages, *((last,) if last is not None else ())]))
    return list(found)


def _stage(name: str, storage: RegistryStageStorage) -> StageId | None:
    """The stage that a name in the repository is; None: it is in another one, or no stage."""
    try:
        reference = Reference.parse(name)
    except InvalidReference:
        return None
    place = storage.repository.access.candidates(Reference(reference.host, reference.repository))[0]
    return StageId.parse(reference.tag) if place == storage.repository.reference else None
