"""Reads the section of an image with a Dockerfile."""

from __future__ import annotations

from pywerf.config.werf_yaml.documents import Section
from pywerf.config.werf_yaml.image_common import common_values, image_names, relative_path
from pywerf.config.werf_yaml.model import DockerfileImage, Meta
from pywerf.config.werf_yaml.schema import DOCKERFILE

__all__ = ["read_dockerfile_image"]


def read_dockerfile_image(section: Section, meta: Meta) -> list[DockerfileImage]:
    """The image, once for each of its names. Raises ConfigError."""
    section.check_keys(DOCKERFILE)
    names = image_names(section)
    common = common_values(section, meta, stapel=False)
    args = section.pairs("args")
    for dependency in section.sections("dependencies"):
        for item in dependency.sections("imports"):
            target = item.text("targetBuildArg")
            if target in dict(args):
                item.fail("targetBuildArg", f"the build arg {target} is in args, too")
    _check_targets(section)
    image = DockerfileImage(
        name=names[0],
        dockerfile=relative_path(section, "dockerfile", section.required("dockerfile"), inside="the context"),
        context=relative_path(section, "context", section.text("context")),
        context_add_files=_context_add_files(section),
        target=section.text("target"),
        args=args,
        add_host=_add_host(section),
        ssh=section.text("ssh"),
        staged=section.flag("staged", meta.staged),
        **common,
    )
    from msgspec.structs import replace

    return [replace(image, name=name) for name in names]


def _check_targets(section: Section) -> None:
    seen: set[str] = set()
    for dependency in section.sections("dependencies"):
        for item in dependency.sections("imports"):
            target = item.text("targetBuildArg")
            if target in seen:
                item.fail("targetBuildArg", f"the build arg {target} is there twice")
            seen.add(target)


def _context_add_files(section: Section) -> tuple[str, ...]:
    if section.has("contextAddFile") and section.has("contextAddFiles"):
        section.fail("contextAddFile", "is the old name of contextAddFiles: use one of them")
    key = "contextAddFile" if section.has("contextAddFile") else "contextAddFiles"
    return tuple(relative_path(section, key, path, inside="the context") for path in section.strings(key))


def _add_host(section: Section) -> tuple[str, ...]:
    hosts = section.strings("addHost")
    for host in hosts:
        name, colon, address = host.partition(":")
        if not (name and colon and address):
            section.fail("addHost", f"{host} is not HOST:IP")
    return hosts
