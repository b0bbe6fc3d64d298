"""Reads the meta section of werf.yaml."""

from __future__ import annotations

from typing import cast

from pywerf.config.werf_yaml.documents import Section
from pywerf.config.werf_yaml.image_spec import read_image_spec
from pywerf.config.werf_yaml.model import (
    CleanupConfig,
    DeployConfig,
    GitWorktree,
    KeepLimit,
    KeepPolicy,
    Meta,
    Operator,
)
from pywerf.config.werf_yaml.schema import META
from pywerf.errors import InvalidPlatform
from pywerf.oci.platform import Platform
from pywerf.util.go_duration import parse_duration

__all__ = ["check_project_name", "platforms", "read_meta"]

MAX_PROJECT_NAME = 50


def read_meta(section: Section) -> Meta:
    """The meta section. Raises ConfigError."""
    section.check_keys(META)
    version = section.text("configVersion")
    if version != "1":
        section.fail("configVersion", f"{version or 'nothing'} is not a version that is known", hint="configVersion: 1")
    project = section.required("project", hint="project: NAME")
    why = check_project_name(project)
    if why:
        section.fail("project", f"{project}: {why}")
    build = section.section("build")
    spec = None if build is None else build.section("imageSpec")
    return Meta(
        project=project,
        line=section.line,
        cache_version="" if build is None else build.text("cacheVersion"),
        platforms=() if build is None else platforms(build, "platform"),
        staged=False if build is None else build.flag("staged"),
        image_spec=None if spec is None else read_image_spec(spec),
        deploy=_deploy(section.section("deploy")),
        cleanup=_cleanup(section.section("cleanup")),
        git_worktree=_git_worktree(section.section("gitWorktree")),
    )


def check_project_name(name: str) -> str:
    """What is wrong with a project's name; "" if nothing."""
    allowed = "abcdefghijklmnopqrstuvwxyz0123456789-"
    if len(name) > MAX_PROJECT_NAME:
        return f"a project's name has at most {MAX_PROJECT_NAME} characters, this one {len(name)}"
    if not name or any(character not in allowed for character in name) or name[0] == "-" or name[-1] == "-":
        return "a project's name is made of lower-case letters, digits, and hyphens inside"
    return ""


def platforms(section: Section, key: str) -> tuple[str, ...]:
    """Platforms in their normal form, each once. Raises ConfigError."""
    found: list[str] = []
    for item in section.strings(key):
        if "," in item:
            section.fail(key, f"{item}: one item is one platform", hint="write a list: [linux/amd64, linux/arm64]")
        try:
            found.append(str(Platform.parse(item)))
        except InvalidPlatform as error:
            section.fail(key, error.message, hint=error.hint)
    return tuple(dict.fromkeys(found))


def _deploy(section: Section | None) -> DeployConfig:
    if section is None:
        return DeployConfig()
    default = DeployConfig()
    for key in ("helmChartDir", "helmRelease", "namespace"):
        if key in section.entries and not section.text(key):
            section.fail(key, "must not be empty")
    chart = section.section("helmChartConfig")
    return DeployConfig(
        section.text("helmChartDir", default.helm_chart_dir),
        section.text("helmRelease", default.helm_release),
        section.flag("helmReleaseSlug", True),
        section.text("namespace", default.namespace),
        section.flag("namespaceSlug", True),
        "" if chart is None else chart.text("appVersion"),
    )


def _cleanup(section: Section | None) -> CleanupConfig:
    if section is None:
        return CleanupConfig()
    policies = section.sections("keepPolicies")
    return CleanupConfig(
        section.flag("disable"),
        section.flag("disableKubernetesBasedPolicy"),
        section.flag("disableGitHistoryBasedPolicy"),
        section.flag("disableBuiltWithinLastNHoursPolicy"),
        section.number("keepImagesBuiltWithinLastNHours", 2, least=0),
        tuple(_keep_policy(policy) for policy in policies) if section.has("keepPolicies") else None,
    )


def _keep_policy(section: Section) -> KeepPolicy:
    references = section.section("references")
    if references is None:
        section.fail("references", "is required", hint="references: {branch: main}")
    kind = references.exactly_one("branch", "tag")
    name = references.required(kind)
    if name.startswith("/"):
        _check_regex(references, kind, name)
    return KeepPolicy(
        branch=name if kind == "branch" else "",
        tag=name if kind == "tag" else "",
        limit=_limit(references.section("limit")),
        images=_limit(section.section("imagesPerReference")),
    )


def _check_regex(section: Section, key: str, pattern: str) -> None:
    from pywerf.config.template.sprig.regexes import compiled
    from pywerf.config.template.values import FunctionError

    if len(pattern) < 2 or not pattern.endswith("/"):
        section.fail(key, f"{pattern}: a regular expression ends in a slash, too")
    try:
        compiled(pattern[1:-1])
    except FunctionError as error:
        section.fail(key, f"{pattern} is not a regular expression: {error}")


def _limit(section: Section | None) -> KeepLimit | None:
    if section is None:
        return None
    within = None
    text = section.text("in")
    if text:
        try:
            within = parse_duration(text) / 1_000_000_000
        except ValueError as error:
            section.fail("in", str(error), hint="a duration is written as 168h or 1h30m")
    operator = section.text("operator", "And")
    if operator not in ("And", "Or"):
        section.fail("operator", f"{operator} is neither And nor Or")
    last = section.number("last", -1, least=-1) if section.has("last") else None
    return KeepLimit(last, within, cast(Operator, operator))


def _git_worktree(section: Section | None) -> GitWorktree:
    if section is None:
        return GitWorktree()
    return GitWorktree(
        section.flag("forceShallowClone"),
        section.flag("allowUnshallow", True),
        section.flag("allowFetchOriginBranchesAndTags", True),
    )
