"""werf-giterminism.yaml, and which directives need its permission."""

from __future__ import annotations

import os

import pytest

from pywerf.config.giterminism import Allowed, check_permissions, parse_giterminism
from pywerf.config.werf_yaml.project import parse_config
from pywerf.errors import ConfigError, GiterminismError

EVERYTHING = """\
giterminismConfigVersion: "1"
cli: {allowCustomTags: true}
config:
  allowUncommitted: true
  allowUncommittedTemplates: [.werf/dev]
  goTemplateRendering: {allowEnvVariables: [CI, /APP_.*/], allowUncommittedFiles: [local/*]}
  secrets: {allowEnvVariables: [TOKEN], allowFiles: [~/.npmrc], allowValueIds: [raw]}
  stapel: {allowFromLatest: true, git: {allowBranch: true}, mount: {allowBuildDir: true, allowFromPaths: [/data]}}
  dockerfile: {allowUncommitted: [Dockerfile.dev], allowUncommittedDockerignoreFiles: [.dockerignore], \
allowContextAddFiles: [web/dist]}
helm: {allowUncommittedFiles: [charts]}
includes: {allowIncludesUpdate: true}
somethingNew: 1
"""


def test_everything_is_read() -> None:
    assert parse_giterminism(EVERYTHING) == Allowed(
        custom_tags=True,
        uncommitted_config=True,
        uncommitted_templates=(".werf/dev",),
        env_variables=("CI", "/APP_.*/"),
        uncommitted_files=("local/*",),
        secret_env_variables=("TOKEN",),
        secret_files=(os.path.expanduser("~/.npmrc"),),
        secret_value_ids=("raw",),
        from_latest=True,
        git_branch=True,
        mount_build_dir=True,
        mount_from_paths=("/data",),
        uncommitted_dockerfiles=("Dockerfile.dev",),
        uncommitted_dockerignores=(".dockerignore",),
        context_add_files=("web/dist",),
        uncommitted_charts=("charts",),
        includes_update=True,
    )


def test_keys_that_nobody_knows_are_warned_of() -> None:
    text = """\
giterminismConfigVersion: 1
somethingNew: {deep: {keys: 1}}
config:
  allowUncomittedTemplates: [a]
  allowEnvVariables: [CI]
  dockerfile:
    allowContextAddFile: [web/dist]
  secrets: {allowfiles: [b]}
"""
    told: list[str] = []
    assert parse_giterminism(text, "g.yaml", told.append) == Allowed()
    assert told == [
        "g.yaml:2: unknown key somethingNew: it permits nothing",
        (
            "g.yaml:4: unknown key config.allowUncomittedTemplates (did you mean allowUncommittedTemplates?): "
            "it permits nothing"
        ),
        (
            "g.yaml:5: unknown key config.allowEnvVariables (did you mean "
            "config.goTemplateRendering.allowEnvVariables or config.secrets.allowEnvVariables?): it permits nothing"
        ),
        (
            "g.yaml:7: unknown key config.dockerfile.allowContextAddFile (did you mean allowContextAddFiles?): "
            "it permits nothing"
        ),
        "g.yaml:8: unknown key config.secrets.allowfiles (did you mean allowFiles?): it permits nothing",
    ]
    parse_giterminism(EVERYTHING, warn=told.append)
    assert len(told) == 6  # the last line of it


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("config: {}", "nothing is not a version"),
        ("giterminismConfigVersion: 2", "2 is not a version"),
        ("giterminismConfigVersion: 1\nconfig: []", "config: a map is expected, not a list"),
        ("giterminismConfigVersion: 1\nconfig: {allowUncommitted: x}", "true or false is expected"),
        ("giterminismConfigVersion: 1\nconfig: {allowUncommittedTemplates: ['[']}", "a class without end"),
        ("giterminismConfigVersion: 1\nconfig: {secrets: {allowValueIds: [/(/]}}", "is not a regular expression"),
        ("", "one document is expected, not 0"),
    ],
)
def test_what_is_wrong_is_told(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why.replace("[", r"\[")):
        parse_giterminism(text)


def test_names_and_regexes_match_whole_names() -> None:
    allowed = Allowed(env_variables=("CI", "/APP_.*/"))
    names = ("CI", "CI_JOB", "APP_X", "MY_APP_X", "")
    assert [allowed.names(allowed.env_variables, name) for name in names] == [True, False, True, False, False]


STAPEL = "image: a\nfrom: x\n"
DOCKERFILE = "image: a\ndockerfile: D\n"


@pytest.mark.parametrize(
    ("image", "what", "allowed"),
    [
        (DOCKERFILE + "context: w\ncontextAddFiles: [d/x]", "contextAddFiles: d/x", {"context_add_files": ("w/d",)}),
        (DOCKERFILE + "secrets: [{env: T}]", "the secret env: T", {"secret_env_variables": ("T",)}),
        (DOCKERFILE + "secrets: [{src: /x/y}]", "the secret src: /x/y", {"secret_files": ("/x/*",)}),
        (DOCKERFILE + "secrets: [{id: i, value: v}]", "the id i", {"secret_value_ids": ("i",)}),
        (STAPEL + "fromLatest: true", "fromLatest of image a", {"from_latest": True}),
        (STAPEL + "git: [{url: u, to: /a}]", "from the default branch", {"git_branch": True}),
        (STAPEL + "git: [{url: u, to: /a, branch: b}]", "from branch b", {"git_branch": True}),
        (STAPEL + "mount: [{from: build_dir, to: /a}]", "mount of build_dir", {"mount_build_dir": True}),
        (STAPEL + "mount: [{fromPath: /x/y, to: /a}]", "mount of /x/y", {"mount_from_paths": ("/x",)}),
    ],
)  # fmt: skip
def test_features_need_their_permission(image: str, what: str, allowed: dict[str, object]) -> None:
    config = parse_config(f"project: p\nconfigVersion: 1\n---\n{image}\n")
    with pytest.raises(GiterminismError, match="potential external dependency") as caught:
        check_permissions(config, Allowed())
    assert what in caught.value.message
    assert "the same commit has to give the same images" in (caught.value.hint or "")
    check_permissions(config, Allowed(**allowed))  # type: ignore[arg-type]


def test_what_depends_on_the_commit_alone_needs_none() -> None:
    config = parse_config(
        f"project: p\nconfigVersion: 1\n---\n{STAPEL}"
        "git: [{url: u, to: /a, tag: v1}]\nmount: [{from: tmp_dir, to: /x}]\n"
    )
    check_permissions(config, Allowed())
