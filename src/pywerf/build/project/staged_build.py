"""Builds one instruction of a staged image, on the image of the instruction before it."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.dockerfile_build import dockerfile_steps
from pywerf.build.project.caches import bring_from_caches
from pywerf.build.project.staged_config import apply_step, finish_step, without_triggers
from pywerf.build.project.staged_dockerfile import step_args, step_dockerfile
from pywerf.build.project.storage.model import PROJECT_LABEL, source_label
from pywerf.errors import ImageNotFound, WerfError
from pywerf.frontend.dockerfile.parser import parse

if TYPE_CHECKING:
    from pywerf.backend.contract import Backend, DockerfileBuild
    from pywerf.build.project.repos import Repos
    from pywerf.build.project.results import BuiltPlatform
    from pywerf.build.project.staged_plan import StagedPlan, Step
    from pywerf.build.project.storage.model import StageDescription
    from pywerf.frontend.dockerfile.ast import Dockerfile
    from pywerf.oci.platform import Platform

__all__ = ["build_step", "derived_config", "source_labels"]

_numbers = itertools.count()


def source_labels(step: Step, parts: Mapping[int, BuiltPlatform]) -> dict[str, str]:
    """The labels that name the stages from which an instruction takes files."""
    return {source_label(parts[number].last.id): str(parts[number].last.id) for number in step.needs}


def derived_config(config: bytes, step: Step, plan: StagedPlan, labels: Mapping[str, str]) -> bytes:
    """The config of an image after an instruction that only changes it."""
    return apply_step(config, step, labels, epoch=plan.passed.get("SOURCE_DATE_EPOCH", ""))


def build_step(
    step: Step,
    plan: StagedPlan,
    dockerfile: Dockerfile,
    build: DockerfileBuild,
    platform: Platform,
    before: StageDescription | None,
    parts: Mapping[int, BuiltPlatform],
    repos: Repos,
    backend: Backend,
) -> str:
    """Build it on `before` (None: on the base image that the step names); the image's id in the backend.

    `build` has all that is not of this instruction alone: context, secrets, labels. Raises what builders raise.
    """
    project = repos.project
    for other in (*((before,) if before is not None else ()), *(parts[number].last for number in step.needs)):
        bring_from_caches(repos, other.id, backend)
    with ExitStack() as stack:
        sources = {
            source.part: stack.enter_context(
                _usable(backend, parts[source.part].last.name, source.platform, project, strip=source.triggers)
            )
            for source in step.sources
        }
        pull = build.pull and before is None
        if before is not None:
            name = before.name
        else:
            name = step.base or "scratch"
            if pull and sources:  # the parts' images are not to be pulled
                backend.transfer.pull(name, platform=step.platform)
                pull = False
        base = stack.enter_context(_usable(backend, name, step.platform, project, strip=step.strip, pull=pull))
        data = step_dockerfile(dockerfile, step, base, sources, platform)
        one = msgspec.structs.replace(
            build,
            dockerfile=data,
            target="",
            build_args=step_args(step, plan.passed),
            pull=pull and base == name,
            steps=dockerfile_steps(parse(data, build.name)),
            checks=False,
        )
        made = str(backend.builder.build(one))
        if step.triggers or (step.args and backend.name == "buildah"):
            finished = str(backend.configs.rewrite(made, lambda config: finish_step(config, step), tags=()))
            if finished != made:
                with contextlib.suppress(WerfError):
                    if not backend.images.inspect(made).names:
                        backend.images.remove([made])
            made = finished
    return made


@contextmanager
def _usable(
    backend: Backend, name: str, platform: Platform, project: str, *, strip: bool, pull: bool = False
) -> Iterator[str]:
    """A name for an image by which FROM does not run its ONBUILD triggers: its own, or one of a copy without them."""
    if not strip:
        yield name
        return
    try:
        if pull:
            raise ImageNotFound(name)
        backend.images.inspect(name)
    except ImageNotFound:
        backend.transfer.pull(name, platform=platform)
    own = f"{project}-without-triggers:{os.getpid()}-{next(_numbers)}"
    backend.configs.rewrite(name, lambda config: without_triggers(config, {PROJECT_LABEL: project}), tags=(own,))
    try:
        yield own
    finally:
        with contextlib.suppress(WerfError):
            backend.images.remove([own])
