"""The stages of a build report."""

from __future__ import annotations

import pytest

from pywerf.build.project.report_file import ReportedImage, ReportedStage
from pywerf.build.stages.report import reported_stages
from pywerf.errors import BuildError
from support.stage_shelf import Shelf, stage_id


def image(repo: str, tag: str, *stages: str) -> ReportedImage:
    return ReportedImage(
        name="web",
        reference=f"{repo}:{tag}",
        repo=repo,
        tag=tag,
        stages=tuple(ReportedStage("dockerfile", stage, "sha256:1") for stage in stages),
    )


def test_stages_and_the_index_of_images(a: Shelf) -> None:
    repo = a.storage.address
    index = stage_id(9).digest
    one = image("final.example.com/shop", index, f"{repo}:{stage_id(1)}", f"{repo}:{stage_id(2)}")
    two = image(repo, str(stage_id(3)))  # as reports in env format have it
    found = reported_stages([one, two], a.storage)
    assert [str(stage) for stage in found] == [str(stage_id(1)), str(stage_id(2)), index, str(stage_id(3))]


def test_another_repository(a: Shelf) -> None:
    with pytest.raises(BuildError, match=f"image web of the report is r/other:v1, which is not in {a.storage.address}"):
        reported_stages([image("r/other", "v1", f"r/other:{stage_id(1)}")], a.storage)
