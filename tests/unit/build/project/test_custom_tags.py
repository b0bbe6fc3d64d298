"""Custom tags out of templates."""

from __future__ import annotations

import pytest

from pywerf.build.project.custom_tags import check_custom_tags, custom_tags_of
from pywerf.errors import UsageError


@pytest.mark.parametrize(
    ("template", "image", "tag"),
    [
        ("v1", "web", "v1"),
        ("%image%-v1", "web", "web-v1"),
        ("%image_slug%", "team/Web", "team-web"),
        ("%image_safe_slug%", "web", "web"),
        ("%image_content_based_tag%-x", "web", "digest-x"),
    ],
)
def test_placeholders(template: str, image: str, tag: str) -> None:
    assert custom_tags_of([template], image, "digest") == (tag,)


def test_a_name_that_is_no_tag_gets_a_hash() -> None:
    (tag,) = custom_tags_of(["%image_safe_slug%"], "team/web", "digest")
    assert tag.startswith("team-web-")
    assert custom_tags_of(["a", "a"], "web", "digest") == ("a",)


def test_tags_must_be_valid_and_differ() -> None:
    check_custom_tags(["%image_safe_slug%-1", "%image_content_based_tag%"], ["a", "b/c"])
    check_custom_tags(["v1"], ["a"])
    with pytest.raises(UsageError, match="both a and b would be v1"):
        check_custom_tags(["v1"], ["a", "b"])
    with pytest.raises(UsageError, match="no tag for image b/c"):
        check_custom_tags(["%image%"], ["a", "b/c"])
