"""What an image comes to before anything is built: its Dockerfile and context, and the stages that it consists of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from pywerf.backend.contract import DockerfileBuild
from pywerf.build.dockerfile_build import dockerfile_steps
from pywerf.build.project.digests import content_digest, image_spec_parts, stage_digest
from pywerf.build.project.dockerfile_digest import BaseOf, ContextMemo, DigestInput, dockerfile_parts
from pywerf.build.project.storage.model import StageDescription
from pywerf.config.werf_yaml.model import DockerfileImage, ImageSpec, shown_name
from pywerf.errors import BuildError, WerfError
from pywerf.frontend.dockerfile.ast import Dockerfile
from pywerf.frontend.dockerfile.parser import parse
from pywerf.oci.platform import Platform, host_platform

if TYPE_CHECKING:
    from pywerf.build.project.project import Project
    from pywerf.build.project.results import BuiltImage, BuiltPlatform
    from pywerf.build.project.staged_plan import BaseDigest, StagedPlan, Step

__all__ = [
    "PlannedImage",
    "PlannedStage",
    "PreparedImage",
    "named",
    "plan_image",
    "planned_part",
    "prepare",
    "stage_names",
]


class PreparedImage(msgspec.Struct, frozen=True):
    """An image without what depends on other images, platforms and the command line.

    `platforms` are in canonical form, this machine's when werf.yaml says nothing.
    """

    image: DockerfileImage
    dockerfile: Dockerfile
    build: DockerfileBuild
    platforms: tuple[Platform, ...]
    spec: ImageSpec | None = None

    @property
    def shown(self) -> str:
        """The name as output has it."""
        return shown_name(self.image.name)

    def build_args(self, built: Mapping[str, BuiltImage], platform: Platform) -> dict[str, str]:
        """The build args, with values of the images that it needs. Raises BuildError."""
        arguments = dict(self.image.args)
        for dependency in self.image.dependencies:
            needed = one_platform(built[dependency.image], platform).last
            for item in dependency.imports:
                arguments[item.target_build_arg] = self._value(dependency.image, needed, item.type)
        return arguments

    def dependencies(self, built: Mapping[str, BuiltImage], platform: Platform) -> list[StageDescription]:
        """The last stages of the images that it needs."""
        return [one_platform(built[item.image], platform).last for item in self.image.dependencies]

    def _value(self, name: str, needed: StageDescription, kind: str) -> str:
        if kind == "ImageDigest":
            if needed.manifest is None:
                raise BuildError(
                    f"image {self.shown}: {shown_name(name)} has no digest: it is not in a registry",
                    hint="name a repository with --repo, or import ImageID, which names a local image as well",
                )
            return str(needed.manifest)
        return {
            "ImageName": needed.name,
            "ImageRepo": needed.repo,
            "ImageTag": needed.tag,
            "ImageID": str(needed.image_id),
        }[kind]


class PlannedStage(msgspec.Struct, frozen=True):
    """A stage by what it is made from. `content_digest` is that of the image up to here.

    `step` is the instruction that it is, in a staged image.
    """

    name: str
    digest: str
    content_digest: str
    step: Step | None = None


class PlannedImage(msgspec.Struct, frozen=True):
    """The stages of an image for a platform, in order. `staged` has the stages of the Dockerfile of a staged image."""

    stages: tuple[PlannedStage, ...]
    staged: StagedPlan | None = None


def prepare(project: Project, name: str, *, with_spec: bool = True) -> PreparedImage:
    """Read all that an image consists of. Raises WerfError that names the image."""
    found = project.config.image(name)
    assert found is not None
    image = project.needed(found)
    try:
        data, path = project.dockerfile(image)
        dockerfile = parse(data, path)
        context = project.context(image, data)
        build = DockerfileBuild(
            dockerfile=data,
            name=path,
            context=context,
            target=image.target,
            build_args=dict(image.args),
            add_hosts=image.add_host,
            network=image.network,
            steps=dockerfile_steps(dockerfile),
        )
        platforms = tuple(dict.fromkeys(map(Platform.parse, image.platforms))) or (host_platform(),)
    except WerfError as error:
        raise named(error, shown_name(name)) from error
    return PreparedImage(image, dockerfile, build, platforms, image.image_spec if with_spec else None)


def stage_names(prepared: PreparedImage) -> tuple[str, ...] | None:
    """The names of the stages that an image consists of, in order; None: they are known when it is planned."""
    if prepared.image.staged:
        return None
    return ("dockerfile", *(("imageSpec",) if prepared.spec is not None else ()))


def plan_image(
    prepared: PreparedImage,
    platform: Platform,
    built: Mapping[str, BuiltImage],
    *,
    project: str,
    base: BaseOf,
    base_digest: BaseDigest,
    memo: ContextMemo,
    version: str = "v1",
) -> PlannedImage:
    """The stages of an image for a platform; the images that it needs are `built`. `version` is that of staged images.

    Raises WerfError that names the image.
    """
    try:
        if prepared.image.staged:
            from pywerf.build.project.staged_plan import plan_parts

            staged = plan_parts(_digest_input(prepared, platform, built, base, memo), base_digest, version=version)
            stages = planned_part(staged, staged.target)
        else:
            staged = None
            stages = (_dockerfile_stage(prepared, platform, built, base, memo),)
    except WerfError as error:
        raise named(error, prepared.shown) from error
    return PlannedImage((*stages, *_image_spec_stage(prepared, platform, stages[-1], project)), staged)


def planned_part(plan: StagedPlan, number: int) -> tuple[PlannedStage, ...]:
    """The stages of a stage of the Dockerfile."""
    return tuple(
        PlannedStage(one.step.name, one.digest, one.content_digest, one.step) for one in plan.parts[number].stages
    )


def _digest_input(
    prepared: PreparedImage, platform: Platform, built: Mapping[str, BuiltImage], base: BaseOf, memo: ContextMemo
) -> DigestInput:
    image, context = prepared.image, prepared.build.context
    assert context is not None
    return DigestInput(
        dockerfile=prepared.dockerfile,
        platform=platform,
        context=context,
        base=base,
        target=image.target,
        build_args=prepared.build_args(built, platform),
        memo=memo,
        cache_version=image.cache_version,
        add_hosts=tuple(image.add_host),
    )


def _dockerfile_stage(
    prepared: PreparedImage, platform: Platform, built: Mapping[str, BuiltImage], base: BaseOf, memo: ContextMemo
) -> PlannedStage:
    shown = str(platform)
    parts = dockerfile_parts(_digest_input(prepared, platform, built, base, memo))
    digest = stage_digest("dockerfile", parts, platform=shown)
    return PlannedStage("dockerfile", digest, content_digest("dockerfile", digest, platform=shown))


def _image_spec_stage(
    prepared: PreparedImage, platform: Platform, before: PlannedStage, project: str
) -> tuple[PlannedStage, ...]:
    if prepared.spec is None:
        return ()
    shown = str(platform)
    parts = image_spec_parts(prepared.spec, image=prepared.image.name, project=project)
    digest = stage_digest("imageSpec", parts, platform=shown, previous=before.digest)
    return (PlannedStage("imageSpec", digest, content_digest("imageSpec", digest, platform=shown)),)


def one_platform(image: BuiltImage, platform: Platform) -> BuiltPlatform:
    """An image for a platform; one that is built for a single platform is what there is."""
    return image.for_platform(str(platform)) or image.platforms[0]


def named(error: WerfError, image: str) -> WerfError:
    """The same error, which names the image."""
    prefix = f"image {image}: "
    if not error.message.startswith(prefix):
        error.message = prefix + error.message
    return error
