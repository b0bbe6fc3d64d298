"""Reads what images of both kinds have: names, secrets, dependencies, paths."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any, cast, get_args

from pywerf.config.werf_yaml.documents import Section
from pywerf.config.werf_yaml.image_spec import merge_image_specs, read_image_spec
from pywerf.config.werf_yaml.meta import platforms
from pywerf.config.werf_yaml.model import (
    NAMELESS,
    BasicAuth,
    Dependency,
    DependencyImport,
    DependencyValue,
    Meta,
    Secret,
)

__all__ = [
    "absolute_path",
    "before_or_after",
    "common_values",
    "image_names",
    "read_basic_auth",
    "relative_globs",
    "relative_path",
]


def image_names(section: Section, key: str = "image") -> tuple[str, ...]:
    """The names of an image: one, several, or the nameless one for null."""
    if not section.has(key):
        return (NAMELESS,)
    names = section.strings(key)
    if not names:
        section.fail(key, "a name is needed")
    for name in names:
        if names.count(name) > 1:
            section.fail(key, f"{name} is there twice")
        if not name:
            section.fail(key, "a name must not be empty", hint="image: null is the image without a name")
    return names


def common_values(section: Section, meta: Meta, *, stapel: bool) -> Mapping[str, Any]:
    """The fields of ImageConfig, but for the name."""
    final = section.flag("final", True)
    own = section.section("imageSpec")
    spec = None if own is None else read_image_spec(own)
    return {
        "line": section.line,
        "final": final,
        "platforms": platforms(section, "platform") or meta.platforms,
        "cache_version": section.text("cacheVersion") or meta.cache_version,
        "secrets": _secrets(section),
        "network": section.text("network"),
        "dependencies": tuple(_dependency(item, stapel) for item in section.sections("dependencies")),
        "image_spec": merge_image_specs(meta.image_spec if final else None, spec),
    }


def _secrets(section: Section) -> tuple[Secret, ...]:
    found: list[Secret] = []
    for item in section.sections("secrets"):
        kind = item.exactly_one("env", "src", "value")
        value = item.required(kind) if kind != "value" else item.text(kind)
        if kind == "value":
            name = item.required("id", hint="a secret with value has no other name")
        else:
            name = item.text("id") or (value if kind == "env" else posixpath.basename(value))
        if any(other.id == name for other in found):
            item.fail("id" if item.has("id") else kind, f"the secret {name} is there twice")
        found.append(Secret(name, **{kind: value}))
    return tuple(found)


def _dependency(section: Section, stapel: bool) -> Dependency:
    image = section.required("image")
    before, after = "", ""
    if stapel:
        before, after = before_or_after(section)
    else:
        for key in ("before", "after"):
            if section.has(key):
                section.fail(key, "an image with a Dockerfile has no such stages", hint="leave it out")
    wanted, other = ("targetEnv", "targetBuildArg") if stapel else ("targetBuildArg", "targetEnv")
    imports: list[DependencyImport] = []
    for item in section.sections("imports"):
        kind = item.required("type")
        if kind not in get_args(DependencyValue):
            item.fail("type", f"{kind} is none of {', '.join(get_args(DependencyValue))}")
        if item.has(other):
            what = "a Stapel image" if stapel else "an image with a Dockerfile"
            item.fail(other, f"{what} takes {wanted}")
        target = item.required(wanted)
        imports.append(
            DependencyImport(
                cast(DependencyValue, kind),
                target_build_arg="" if stapel else target,
                target_env=target if stapel else "",
            )
        )
    return Dependency(image, tuple(imports), before, after)


def before_or_after(section: Section) -> tuple[str, str]:
    """`before` and `after`, one of which is install or setup."""
    key = section.exactly_one("before", "after")
    stage = section.text(key)
    if stage not in ("install", "setup"):
        section.fail(key, f"{stage} is neither install nor setup")
    return (stage, "") if key == "before" else ("", stage)


def relative_path(section: Section, key: str, path: str, *, inside: str = "") -> str:
    """A clean relative path; with `inside` one that does not leave what that word names."""
    if path.startswith("/"):
        section.fail(key, f"{path}: a relative path is needed")
    cleaned = posixpath.normpath(path) if path else ""
    if inside and (cleaned == ".." or cleaned.startswith("../")):
        section.fail(key, f"{path} lies outside of {inside}")
    return "" if cleaned == "." else cleaned


def absolute_path(section: Section, key: str, default: str = "") -> str:
    """A clean absolute path; required without a default."""
    path = section.text(key, default) if default else section.required(key)
    if not path.startswith("/"):
        section.fail(key, f"{path}: an absolute path is needed")
    return "/" + posixpath.normpath(path).lstrip("/")


def relative_globs(section: Section, key: str) -> tuple[str, ...]:
    """A list of globs that are relative."""
    found = section.strings(key)
    for pattern in found:
        if pattern.startswith("/"):
            section.fail(key, f"{pattern}: a relative pattern is needed")
    return found


def read_basic_auth(section: Section) -> BasicAuth:
    """User and the source of a password, for a git repository."""
    password = section.section("password")
    if password is None:
        section.fail("password", "is required", hint="password: {env: NAME}")
    kind = password.exactly_one("env", "src", "file", "value")
    return BasicAuth(section.required("username"), **{"src" if kind == "file" else kind: password.required(kind)})
