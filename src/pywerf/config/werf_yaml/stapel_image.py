"""Reads the section of a Stapel image: everything but what needs the other images."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from pywerf.config.werf_yaml.documents import Section
from pywerf.config.werf_yaml.image_common import (
    absolute_path,
    before_or_after,
    common_values,
    image_names,
    read_basic_auth,
    relative_globs,
)
from pywerf.config.werf_yaml.model import (
    DockerDirectives,
    GitMapping,
    ImageImport,
    Meta,
    Mount,
    Shell,
    ShellStage,
    StapelImage,
)
from pywerf.config.werf_yaml.overlaps import without_overlaps
from pywerf.config.werf_yaml.schema import DOCKERFILE, STAPEL

__all__ = ["read_stapel_image"]

_STAGES = ("beforeInstall", "install", "beforeSetup", "setup")


def read_stapel_image(section: Section, meta: Meta) -> list[StapelImage]:
    """The image, once for each of its names. Raises ConfigError."""
    _check_kind(section)
    artifact = section.has("artifact")
    if artifact:
        if "image" in section.entries:
            section.fail("artifact", "image and artifact exclude each other")
        for key in ("docker", "final", "dependencies"):
            if section.has(key):
                section.fail(key, "an artifact cannot have this", hint="use image with final: false")
        names: tuple[str, ...] = (section.required("artifact"),)
    else:
        names = image_names(section)
    common: dict[str, Any] = dict(common_values(section, meta, stapel=True))
    if artifact:
        own = section.section("imageSpec")
        common.update(final=False, image_spec=common["image_spec"] if own is not None else None)
    for first, second in (("shell", "ansible"), ("docker", "imageSpec")):
        if section.has(first) and section.has(second):
            section.fail(second, f"{first} and {second} exclude each other")
    base, base_is_image = _base(section)
    shell = section.section("shell")
    docker = section.section("docker")
    _check_env_targets(section)
    git, imports = without_overlaps(
        [(item, _git(item)) for item in section.sections("git")],
        [(item, _import(item)) for item in section.sections("import")],
    )
    image = StapelImage(
        name=names[0],
        base=base,
        base_is_image=base_is_image,
        from_latest=section.flag("fromLatest"),
        from_cache_version=section.text("fromCacheVersion"),
        artifact=artifact,
        disable_git_after_patch=artifact or section.flag("disableGitAfterPatch"),
        git=git,
        shell=None if shell is None else _shell(shell),
        ansible=section.has("ansible"),
        mounts=_mounts(section),
        imports=imports,
        docker=None if docker is None else _docker(docker),
        **common,
    )
    return [replace(image, name=name) for name in names]


def _check_kind(section: Section) -> None:
    """A document without `dockerfile` is a Stapel image, also when that key is only mistyped."""
    only_dockerfile = {key: f"{key} belongs to images with dockerfile" for key in DOCKERFILE if key not in STAPEL}
    if "from" not in section.entries and not any(key.startswith("from") for key in section.entries):
        from difflib import get_close_matches

        for key in section.entries:
            if key not in STAPEL and get_close_matches(key.lower(), ["dockerfile"], 1, 0.7):
                section.fail_at(section.entries[key][0], f"unknown key {key} (did you mean dockerfile?)")
    section.check_keys(STAPEL, only_dockerfile)


def _base(section: Section) -> tuple[str, bool]:
    """The base, and whether it is an image of werf.yaml by the key alone (`from` is looked up later)."""
    given = [key for key in ("from", "fromImage", "fromArtifact") if section.has(key)]
    if not given:
        section.fail_at(section.node, "from is required", hint="from: IMAGE, or dockerfile: PATH for another kind")
    if len(given) > 1:
        section.fail(given[1], f"{given[0]} and {given[1]} exclude each other")
    return section.required(given[0]), given[0] != "from"


def _git(section: Section) -> GitMapping:
    url = section.text("url")
    given = [key for key in ("branch", "tag", "commit") if section.has(key)]
    if given and not url:
        section.fail(given[0], "only a repository with url has this")
    if len(given) > 1:
        section.fail(given[1], f"{' and '.join(given)} exclude each other")
    auth = section.section("basicAuth")
    if auth is not None and not url.startswith(("http://", "https://")):
        section.fail("basicAuth", "is for http and https URLs")
    stages = section.section("stageDependencies")
    return GitMapping(
        to=absolute_path(section, "to"),
        add=absolute_path(section, "add", "/"),
        owner=section.text("owner"),
        group=section.text("group"),
        include_paths=relative_globs(section, "includePaths"),
        exclude_paths=relative_globs(section, "excludePaths"),
        stage_dependencies=()
        if stages is None
        else tuple((name, relative_globs(stages, name)) for name in _STAGES[1:] if stages.has(name)),
        url=url,
        branch=section.text("branch"),
        tag=section.text("tag"),
        commit=section.text("commit"),
        basic_auth=None if auth is None else read_basic_auth(auth),
        line=section.line,
    )


def _shell(section: Section) -> Shell:
    first, second, third, last = (
        ShellStage(section.strings(name), section.text(f"{name}CacheVersion")) for name in _STAGES
    )
    return Shell(first, second, third, last, section.text("cacheVersion"))


def _mounts(section: Section) -> tuple[Mount, ...]:
    found: list[Mount] = []
    for item in section.sections("mount"):
        to = absolute_path(item, "to")
        if any(other.to == to for other in found):
            item.fail("to", f"two mounts at {to}")
        if item.exactly_one("from", "fromPath") == "fromPath":
            found.append(Mount(to, "from_path", item.required("fromPath")))
            continue
        kind = item.text("from")
        if kind == "tmp_dir":
            found.append(Mount(to, "tmp_dir"))
        elif kind == "build_dir":
            found.append(Mount(to, "build_dir"))
        else:
            item.fail("from", f"{kind} is neither tmp_dir nor build_dir", hint="a path of the host is fromPath")
    return tuple(found)


def _import(section: Section) -> ImageImport:
    key = section.exactly_one("from", "image", "artifact")
    stage = section.text("stage")
    if stage and stage not in _STAGES:
        section.fail("stage", f"{stage} is none of {', '.join(_STAGES)}")
    before, after = before_or_after(section)
    add = absolute_path(section, "add")
    include = relative_globs(section, "includePaths")
    if add == "/" and not include:
        section.fail("add", "the whole of an image cannot be imported without includePaths")
    return ImageImport(
        source=section.required(key),
        add=add,
        to=absolute_path(section, "to", add),
        stage=stage,
        before=before,
        after=after,
        owner=section.text("owner"),
        group=section.text("group"),
        include_paths=include,
        exclude_paths=relative_globs(section, "excludePaths"),
        line=section.line,
    )


def _docker(section: Section) -> DockerDirectives:
    def command(key: str) -> str | tuple[str, ...] | None:
        if not section.has(key):
            return None
        return section.text(key) if section.entries[key][1].id == "scalar" else section.strings(key)

    return DockerDirectives(
        volume=section.strings("VOLUME"),
        expose=section.strings("EXPOSE"),
        env=section.pairs("ENV"),
        label=section.pairs("LABEL"),
        cmd=command("CMD"),
        entrypoint=command("ENTRYPOINT"),
        workdir=section.text("WORKDIR"),
        user=section.text("USER"),
        healthcheck=section.text("HEALTHCHECK"),
        exact_values=section.flag("exactValues"),
    )


def _check_env_targets(section: Section) -> None:
    seen: set[str] = set()
    for dependency in section.sections("dependencies"):
        for item in dependency.sections("imports"):
            target = item.text("targetEnv")
            if target in seen:
                item.fail("targetEnv", f"the variable {target} is there twice")
            seen.add(target)
