"""`--add-custom-tag`: further tags for final images, from templates with placeholders.

%image%                     the image's name
%image_slug%                its slug
%image_safe_slug%           its slug, with a hash when the name is no valid tag
%image_content_based_tag%   the tag that the build gives it
"""

from __future__ import annotations

from collections.abc import Sequence

from pywerf.config.werf_yaml.model import shown_name
from pywerf.errors import UsageError
from pywerf.util.slug import is_docker_tag, slug, slugify

__all__ = ["check_custom_tags", "custom_tags_of"]

_CONTENT = "%image_content_based_tag%"
_ANY_DIGEST = "0" * 70


def custom_tags_of(templates: Sequence[str], image: str, tag: str) -> tuple[str, ...]:
    """The custom tags of an image whose content-based tag is `tag`, each once."""
    values = {
        "%image_content_based_tag%": tag,
        "%image_safe_slug%": slug(image, "docker-tag"),
        "%image_slug%": slugify(image),
        "%image%": image,
    }
    found = []
    for template in templates:
        for placeholder, value in values.items():
            template = template.replace(placeholder, value)
        found.append(template)
    return tuple(dict.fromkeys(found))


def check_custom_tags(templates: Sequence[str], images: Sequence[str], flag: str = "--add-custom-tag") -> None:
    """Raise UsageError unless each template gives each of the final `images` a valid tag of its own."""
    for template in templates:
        taken: dict[str, str] = {}
        for image in images:
            (tag,) = custom_tags_of([template], image, _ANY_DIGEST)
            if not is_docker_tag(tag):
                raise UsageError(
                    f"{flag} {template}: {tag!r} is no tag for image {shown_name(image)}",
                    hint="a tag has letters, digits, _, . and -, at most 128; %image_safe_slug% makes a name fit",
                )
            if tag in taken and _CONTENT not in template:
                raise UsageError(
                    f"{flag} {template}: both {shown_name(taken[tag])} and {shown_name(image)} would be {tag}",
                    hint="put %image% or %image_safe_slug% into it, or choose one image",
                )
            taken[tag] = image
