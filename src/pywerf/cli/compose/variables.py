"""The variables by which a compose file names the images of a project."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from pywerf.build.project.report import env_prefix
from pywerf.config.werf_yaml.model import shown_name
from pywerf.errors import UsageError

__all__ = ["STUB", "used_images", "used_variables", "variable", "variables"]

STUB = "STUB:TAG"
"""What the images are called with `--stub-tags`."""

_SUFFIX = "DOCKER_IMAGE_NAME"
_VARIABLE = re.compile(rf"\bWERF_(?:\w+_)?{_SUFFIX}\b")


def variable(image: str) -> str:
    """`WERF_WEB_API_DOCKER_IMAGE_NAME` for `web/api`; `WERF_DOCKER_IMAGE_NAME` for the nameless image."""
    return env_prefix(image) + _SUFFIX


def variables(references: Mapping[str, str]) -> dict[str, str]:
    """The variables of images, by a mapping of their names to what docker calls them.

    Raises UsageError for two images with one variable.
    """
    owners: dict[str, str] = {}
    for image in references:
        other = owners.setdefault(variable(image), image)
        if other != image:
            raise UsageError(
                f"{shown_name(other)} and {shown_name(image)} have the same variable, {variable(image)}",
                hint="name the one that is meant: werf compose … IMAGE",
            )
    return {name: references[image] for name, image in owners.items()}


def used_variables(text: str) -> set[str]:
    """All variables of images that a compose file mentions, in whatever form: `$NAME`, `${NAME:?error}`, `NAME`."""
    return set(_VARIABLE.findall(text))


def used_images(images: Iterable[str], used: set[str], given: Iterable[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The images whose variables are used; and, for a warning, the used variables that are nobody's.

    `given` are variables that have a value without us.
    """
    owned = {image: variable(image) for image in images}
    return [image for image, name in owned.items() if name in used], sorted(used - {*owned.values(), *given})
