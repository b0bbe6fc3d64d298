"""What a build of a project comes to: for each image and platform its stages, and what the image is called.

results = build_project(…)
for image in results:
    image.name, image.final                  # of werf.yaml
    image.published                          # StageDescription: where users get it (final repo, else the repo)
    image.result                             # StageDescription in the main storage: last stage, or index; None when
                                             # there is no one such thing (several platforms in local storage)
    for one in image.platforms:              # BuiltPlatform, one a platform
        one.platform, one.published, one.content_digest, one.stages[-1].description.name
        for stage in one.stages:             # BuiltStage, in order
            stage.name, stage.description, stage.rebuilt, stage.seconds, stage.source
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pywerf.build.project.storage.model import StageDescription

__all__ = ["BuiltImage", "BuiltPlatform", "BuiltStage", "StageSource"]

StageSource = Literal["", "repo", "secondary", "cache-repo", "registry"]


class BuiltStage(msgspec.Struct, frozen=True):
    """A stage that was built, or found. `name` is that of section "Stages" of docs/stages.md (`dockerfile`, …).

    `description` is of the main storage. `rebuilt`: built in this run. `source` tells where its base came from when it
    was, `base_pulled` whether that had to be pulled; `seconds` is how long it took, 0 when it was found.
    """

    name: str
    description: StageDescription
    rebuilt: bool = False
    seconds: float = 0.0
    source: StageSource = ""
    base_pulled: bool = False


class BuiltPlatform(msgspec.Struct, frozen=True):
    """An image for one platform: its non-empty stages in order. `final` is its copy in the final repo, if any."""

    platform: str
    stages: tuple[BuiltStage, ...]
    content_digest: str = ""
    final: StageDescription | None = None

    @property
    def last(self) -> StageDescription:
        """The last stage, in the main storage: what the image is."""
        return self.stages[-1].description

    @property
    def published(self) -> StageDescription:
        """The last stage where users get it: in the final repo if there is one."""
        return self.final or self.last

    @property
    def rebuilt(self) -> bool:
        """Whether a stage was built in this run."""
        return any(stage.rebuilt for stage in self.stages)

    @property
    def seconds(self) -> float:
        """How long its stages took."""
        return sum(stage.seconds for stage in self.stages)


class BuiltImage(msgspec.Struct, frozen=True):
    """An image of werf.yaml that was built, or found. `kind` is dockerfile, staged or stapel.

    `index` joins the images of several platforms (None: one platform, or a storage that has none), `final_index` is its
    copy in the final repo.
    """

    name: str
    platforms: tuple[BuiltPlatform, ...]
    kind: Literal["dockerfile", "staged", "stapel"] = "dockerfile"
    final: bool = True
    index: StageDescription | None = None
    final_index: StageDescription | None = None
    seconds: float = 0.0
    custom_tags: tuple[str, ...] = ()

    @property
    def result(self) -> StageDescription | None:
        """What the image is in the main storage: an index, the one last stage, or None for several without an index."""
        if len(self.platforms) > 1:
            return self.index
        return self.platforms[0].last

    @property
    def published(self) -> StageDescription | None:
        """As `result`, where users get it: in the final repo if there is one."""
        if len(self.platforms) > 1:
            return self.final_index or self.index
        return self.platforms[0].published

    @property
    def rebuilt(self) -> bool:
        """Whether a stage was built in this run."""
        return any(one.rebuilt for one in self.platforms)

    def for_platform(self, platform: str) -> BuiltPlatform | None:
        """The image for a platform (as written in `platforms`), or None."""
        return next((one for one in self.platforms if one.platform == platform), None)
