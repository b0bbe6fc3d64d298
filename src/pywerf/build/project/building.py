"""Builds the images of a project: sets of independent images, each from the commit, with what it needs of others."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from pywerf.backend.contract import DockerfileBuild, Secret
from pywerf.build.dockerfile_build import dockerfile_steps
from pywerf.config.werf_yaml.model import DockerfileImage, ImageSpec, shown_name
from pywerf.config.werf_yaml.model import Secret as SecretConfig
from pywerf.config.werf_yaml.project import build_sets
from pywerf.errors import BuildError, BuildStopped, ContextError, WerfError
from pywerf.frontend.dockerfile.parser import parse
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform
from pywerf.util.slug import slug

if TYPE_CHECKING:
    from pywerf.backend.contract import Backend
    from pywerf.build.project.project import Project
    from pywerf.util.events import Reporter

__all__ = ["BuiltImage", "ImageBuildOptions", "build_project", "dockerfile_build", "local_name"]


class ImageBuildOptions(msgspec.Struct, frozen=True):
    """What the command line says about the building of all images. `limit` 0 or less: no limit.

    `network` beats the image's own. `ssh` are agents as `--ssh` has them. `pull`: ask registries for newer bases.
    """

    parallel: bool = True
    limit: int = 5
    network: str = ""
    ssh: tuple[str, ...] = ()
    no_cache: bool = False
    pull: bool = False
    cache_from: tuple[str, ...] = ()


class BuiltImage(msgspec.Struct, frozen=True):
    """An image that was built: its name in werf.yaml, its full name and id in the backend, seconds that it took."""

    name: str
    reference: str
    id: Digest
    seconds: float
    final: bool = True

    def value(self, kind: str) -> str:
        """What `dependencies[].imports[]` of a type get of it (`ImageDigest` is only known of a registry)."""
        repo, _, tag = self.reference.rpartition(":")
        return {
            "ImageName": self.reference,
            "ImageRepo": repo,
            "ImageTag": tag,
            "ImageID": str(self.id),
        }[kind]


def local_name(project: str, image: str) -> str:
    """The name of an image in the backend: `PROJECT:IMAGE`, or `PROJECT:latest` for the nameless one."""
    return f"{project}:{slug(image, 'docker-tag') if image else 'latest'}"


def build_project(
    project: Project, backend: Backend, names: Sequence[str], options: ImageBuildOptions, reporter: Reporter
) -> list[BuiltImage]:
    """Build images, and what they need; in the order of werf.yaml. The first error stops what has not begun.

    Raises WerfError; its message names the image.
    """
    sets = build_sets(project.config, names)
    count = sum(map(len, sets))
    workers = _workers(options, max(map(len, sets), default=1))
    _tell_plan(sets, workers, reporter)
    built: dict[str, BuiltImage] = {}
    numbers = {name: number for number, name in enumerate((name for each in sets for name in each), 1)}
    # before anything is built: mistakes in other images should not come after minutes
    prepared = {name: _prepare(project, name) for each in sets for name in each}

    def build_one(name: str) -> BuiltImage:
        shown = shown_name(name)
        reporter.message("info", f"({numbers[name]}/{count}) image {shown}")
        image, build = prepared[name]
        began = time.monotonic()
        with ExitStack() as stack:
            whole = _with_values(project, image, build, options, built, stack)
            try:
                if image.image_spec is None:
                    digest = backend.builder.build(whole)
                else:
                    below = backend.builder.build(msgspec.structs.replace(whole, tags=()))
                    change = _change(project, image, image.image_spec, reporter)
                    digest = backend.configs.rewrite(str(below), change, tags=whole.tags)
            except WerfError as error:
                raise _named(error, shown) from error
        seconds = time.monotonic() - began
        reference = local_name(project.config.meta.project, name)
        reporter.message("info", f"image {shown} is {reference} ({digest.hex[:12]}), {seconds:.1f} seconds")
        return BuiltImage(name, reference, digest, seconds, image.final)

    for each in sets:
        for done in _run_all(build_one, each, workers):
            built[done.name] = done
    return [built[image.name] for image in project.config.images if image.name in built]


def dockerfile_build(project: Project, image: DockerfileImage) -> DockerfileBuild:
    """The build of an image without what depends on other images and on the command line.

    Raises GiterminismError, GitError, ContextError, DockerfileError, PatternError.
    """
    data, name = project.dockerfile(image)
    context = project.context(image, data)
    return DockerfileBuild(
        dockerfile=data,
        name=name,
        context=context,
        tags=(local_name(project.config.meta.project, image.name),),
        target=image.target,
        build_args=dict(image.args),
        labels={"werf": project.config.meta.project},
        add_hosts=image.add_host,
        network=image.network,
        platforms=tuple(map(Platform.parse, image.platforms)),
        steps=dockerfile_steps(parse(data, name)),
    )


def _prepare(project: Project, name: str) -> tuple[DockerfileImage, DockerfileBuild]:
    found = project.config.image(name)
    assert found is not None
    image = project.needed(found)
    if image.staged:
        raise BuildError(
            f"image {shown_name(name)}: staged builds are not supported yet",
            hint="leave out staged: the layers of a Dockerfile are cached one by one anyway",
        )
    for dependency in image.dependencies:
        if any(item.type == "ImageDigest" for item in dependency.imports):
            raise BuildError(
                f"image {shown_name(name)}: {shown_name(dependency.image)} has no digest: it is not in a registry",
                hint="import ImageID, which names a local image as well",
            )
    try:
        return image, dockerfile_build(project, image)
    except WerfError as error:
        raise _named(error, shown_name(name)) from error


def _with_values(
    project: Project,
    image: DockerfileImage,
    build: DockerfileBuild,
    options: ImageBuildOptions,
    built: dict[str, BuiltImage],
    stack: ExitStack,
) -> DockerfileBuild:
    """The build with values of the images that it needs, with secrets, and with what the command line says."""
    arguments = dict(build.build_args)
    for dependency in image.dependencies:
        for item in dependency.imports:
            arguments[item.target_build_arg] = built[dependency.image].value(item.type)
    return msgspec.structs.replace(
        build,
        build_args=arguments,
        secrets=tuple(_secret(secret, project.directory, image, stack) for secret in image.secrets),
        ssh=options.ssh or ((image.ssh,) if image.ssh else ()),
        network=options.network or build.network,
        no_cache=options.no_cache,
        pull=options.pull,
        cache_from=options.cache_from,
    )


def _change(project: Project, image: DockerfileImage, spec: ImageSpec, reporter: Reporter) -> Callable[[bytes], bytes]:
    """What imageSpec makes of a config."""
    from pywerf.build.project.image_spec import apply_image_spec

    shown, name = shown_name(image.name), project.config.meta.project

    def change(config: bytes) -> bytes:
        def warn(text: str) -> None:
            reporter.message("warning", f"image {shown}: {text}")

        return apply_image_spec(config, spec, image=image.name, project=name, warn=warn)

    return change


def _secret(secret: SecretConfig, directory: str, image: DockerfileImage, stack: ExitStack) -> Secret:
    where = f"image {shown_name(image.name)}: the secret {secret.id}"
    if secret.env is not None:
        if secret.env not in os.environ:
            raise BuildError(f"{where}: the variable {secret.env} is not set")
        return Secret(secret.id, env=secret.env)
    if secret.src is not None:
        path = os.path.join(directory, os.path.expanduser(secret.src))
        if not os.path.isfile(path):
            raise ContextError(f"{where}: {path}: no such file")
        return Secret(secret.id, path=path)
    # A file in memory that has no name, and ends with this build.
    fd = os.memfd_create("secret", os.MFD_CLOEXEC)
    stack.callback(os.close, fd)
    os.write(fd, (secret.value or "").encode())
    return Secret(secret.id, path=f"/proc/{os.getpid()}/fd/{fd}")


def _workers(options: ImageBuildOptions, widest: int) -> int:
    if not options.parallel:
        return 1
    return widest if options.limit <= 0 else min(options.limit, widest)


def _tell_plan(sets: Sequence[Sequence[str]], workers: int, reporter: Reporter) -> None:
    if sum(map(len, sets)) < 2:
        return
    reporter.message("info", f"building no more than {workers} images at the same time")
    for number, each in enumerate(sets):
        reporter.message("info", f"set #{number}: {', '.join(map(shown_name, each))}")


def _run_all(work: Callable[[str], BuiltImage], names: Sequence[str], workers: int) -> list[BuiltImage]:
    """The work for all names, some at once; the first error is raised when what had begun has ended."""
    if workers == 1 or len(names) == 1:
        return [work(name) for name in names]
    from concurrent.futures import ThreadPoolExecutor

    stopped = threading.Event()

    def run(name: str) -> BuiltImage:
        if stopped.is_set():
            raise BuildStopped
        try:
            return work(name)
        except BaseException:
            stopped.set()
            raise

    with ThreadPoolExecutor(workers, "image") as pool:
        futures = [pool.submit(run, name) for name in names]
        errors = [error for future in futures if (error := future.exception()) is not None]
    if errors:
        raise next((error for error in errors if not isinstance(error, BuildStopped)), errors[0])
    return [future.result() for future in futures]


def _named(error: WerfError, image: str) -> WerfError:
    """The same error, which names the image."""
    prefix = f"image {image}: "
    if not error.message.startswith(prefix):
        error.message = prefix + error.message
    return error
