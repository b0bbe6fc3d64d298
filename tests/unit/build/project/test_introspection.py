"""Which stages `--introspect-stage` means."""

from __future__ import annotations

import pytest

from pywerf.build.project.introspection import StageNames, WantedStages
from pywerf.errors import UsageError

IMAGES = ("web", "api/v1", "")
BUILT: StageNames = {"web": ("dockerfile", "imageSpec"), "api/v1": ("dockerfile",), "": ("FROM1", "RUN2")}


def test_images_and_stages_by_name() -> None:
    wanted = WantedStages.parse(("web/imageSpec", "api/v1/dockerfile", "~/RUN2"))
    assert wanted.pairs == (("web", "imageSpec"), ("api/v1", "dockerfile"), ("", "RUN2"))
    wanted.check(IMAGES, BUILT)
    assert wanted.wants("web", "imageSpec")
    assert wanted.wants("", "RUN2")
    assert not wanted.wants("web", "dockerfile")
    assert not wanted.wants("web", "RUN2")


@pytest.mark.parametrize("text", ["dockerfile", "*/dockerfile"])
def test_a_stage_of_every_image(text: str) -> None:
    wanted = WantedStages.parse((text,))
    wanted.check(IMAGES, BUILT)
    assert wanted.wants("web", "dockerfile")
    assert wanted.wants("api/v1", "dockerfile")
    assert not wanted.wants("", "FROM1")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("wbe/dockerfile", "there is no image wbe", "did you mean web? the images: web, api/v1, ~"),
        ("web/dockerfil", "image web has no stage", "did you mean dockerfile? the stages: dockerfile, imageSpec"),
        ("~/nothing", "image ~ has no stage", "the stages: FROM1, RUN2"),
        ("RUN3", "no image has a stage", "did you mean RUN2? the stages: dockerfile, imageSpec, FROM1, RUN2"),
        ("*/RUN3", "no image has a stage", "did you mean RUN2? the stages: dockerfile, imageSpec, FROM1, RUN2"),
    ],
)
def test_what_is_not_there(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        WantedStages.parse((text,)).check(IMAGES, BUILT)
    assert message in caught.value.message
    assert caught.value.hint == hint


def test_an_image_that_is_not_built_now() -> None:
    with pytest.raises(UsageError, match="the image is not built by this command"):
        WantedStages.parse(("web/dockerfile",)).check(IMAGES, {"api/v1": ("dockerfile",)})


@pytest.mark.parametrize("text", ["", "web/", "/dockerfile"])
def test_what_names_nothing(text: str) -> None:
    with pytest.raises(UsageError, match="expected IMAGE/STAGE"):
        WantedStages.parse((text,))


def test_stages_that_are_known_later_are_checked_then() -> None:
    wanted = WantedStages.parse(("web/RUN7", "RUN8"))
    wanted.check(IMAGES, {"web": None})
    with pytest.raises(UsageError, match="has no stage of that name"):
        wanted.check_stages("web", ("FROM1",))
    wanted.check_stages("web", ("FROM1", "RUN7"))
