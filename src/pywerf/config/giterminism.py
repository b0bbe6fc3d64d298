"""werf-giterminism.yaml: what a project allows although it makes a build depend on more than the commit."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

import msgspec

from pywerf.config.werf_yaml.documents import ANY, Schema, Section, read_documents
from pywerf.config.werf_yaml.model import DockerfileImage, ProjectConfig, Secret, StapelImage, shown_name
from pywerf.errors import ConfigError, GiterminismError
from pywerf.util.globs import covers

__all__ = ["PRINCIPLE", "Allowed", "check_permissions", "parse_giterminism"]

PRINCIPLE = (
    "the same commit has to give the same images for everybody, so a build takes its configuration and its files "
    "from the commit, and nothing else without permission. werf-giterminism.yaml, which is committed as well, can give "
    "permissions; --dev builds the work tree as it is, --loose-giterminism does without the rules"
)


class Allowed(msgspec.Struct, frozen=True, dict=True):
    """The permissions. Globs are relative to the project directory."""

    custom_tags: bool = False
    uncommitted_config: bool = False
    uncommitted_templates: tuple[str, ...] = ()
    env_variables: tuple[str, ...] = ()
    uncommitted_files: tuple[str, ...] = ()
    secret_env_variables: tuple[str, ...] = ()
    secret_files: tuple[str, ...] = ()
    secret_value_ids: tuple[str, ...] = ()
    from_latest: bool = False
    git_branch: bool = False
    mount_build_dir: bool = False
    mount_from_paths: tuple[str, ...] = ()
    uncommitted_dockerfiles: tuple[str, ...] = ()
    uncommitted_dockerignores: tuple[str, ...] = ()
    context_add_files: tuple[str, ...] = ()
    uncommitted_charts: tuple[str, ...] = ()
    includes_update: bool = False

    def names(self, patterns: tuple[str, ...], name: str) -> bool:
        """Whether a name is among names and `/regexes/`."""
        import re

        return any(re.fullmatch(item[1:-1], name) is not None if _is_regex(item) else item == name for item in patterns)

    @functools.cached_property
    def template(self) -> Callable[[str], bool]:
        """Whether a template file may come from the work tree."""
        return _test(self.uncommitted_templates)

    @functools.cached_property
    def file(self) -> Callable[[str], bool]:
        """Whether `.Files` may take a file from the work tree."""
        return _test(self.uncommitted_files)

    @functools.cached_property
    def dockerfile(self) -> Callable[[str], bool]:
        """Whether a Dockerfile may come from the work tree."""
        return _test(self.uncommitted_dockerfiles)

    @functools.cached_property
    def dockerignore(self) -> Callable[[str], bool]:
        """Whether a .dockerignore may come from the work tree."""
        return _test(self.uncommitted_dockerignores)

    @functools.cached_property
    def context_file(self) -> Callable[[str], bool]:
        """Whether `contextAddFiles` may name a path (context and file joined)."""
        return _test(self.context_add_files)


_KEYS: Schema = {
    "giterminismConfigVersion": ANY,
    "cli": {"allowCustomTags": ANY},
    "config": {
        "allowUncommitted": ANY,
        "allowUncommittedTemplates": ANY,
        "goTemplateRendering": {"allowEnvVariables": ANY, "allowUncommittedFiles": ANY},
        "secrets": {"allowEnvVariables": ANY, "allowFiles": ANY, "allowValueIds": ANY},
        "stapel": {
            "allowFromLatest": ANY,
            "git": {"allowBranch": ANY},
            "mount": {"allowBuildDir": ANY, "allowFromPaths": ANY},
        },
        "dockerfile": {
            "allowUncommitted": ANY,
            "allowUncommittedDockerignoreFiles": ANY,
            "allowContextAddFiles": ANY,
        },
    },
    "helm": {"allowUncommittedFiles": ANY},
    "includes": {"allowIncludesUpdate": ANY},
}


def parse_giterminism(
    text: str, file: str = "werf-giterminism.yaml", warn: Callable[[str], None] = lambda text: None
) -> Allowed:
    """The permissions of a werf-giterminism.yaml. Raises ConfigError.

    Keys that nobody knows permit nothing, and are no error: the file may be for a newer version, too. `warn` is told of
    them, since they may be mistyped.
    """
    documents = read_documents(text, file)
    if len(documents) != 1:
        raise ConfigError(f"{file}: one document is expected, not {len(documents)}", hint="giterminismConfigVersion: 1")
    top = Section(documents[0], documents[0].root)
    for unknown in top.unknown_keys(_KEYS):
        warn(f"{unknown}: it permits nothing")
    version = top.text("giterminismConfigVersion")
    if version != "1":
        top.fail("giterminismConfigVersion", f"{version or 'nothing'} is not a version that is known", hint="write 1")

    def inner(section: Section | None, key: str) -> Section | None:
        return None if section is None else section.section(key)

    def flag(section: Section | None, key: str) -> bool:
        return section is not None and section.flag(key)

    def globs(section: Section | None, key: str, *, home: bool = False) -> tuple[str, ...]:
        found = () if section is None else section.strings(key)
        for pattern in found:
            assert section is not None
            try:
                covers([pattern])
            except ValueError as error:
                section.fail(key, str(error))
        return tuple(os.path.expanduser(pattern) for pattern in found) if home else found

    def names(section: Section | None, key: str) -> tuple[str, ...]:
        import re

        found = () if section is None else section.strings(key)
        for item in found:
            if _is_regex(item):
                try:
                    re.compile(item[1:-1])
                except re.error as error:
                    assert section is not None
                    section.fail(key, f"{item} is not a regular expression: {error}")
        return found

    config = top.section("config")
    rendering = inner(config, "goTemplateRendering")
    secrets = inner(config, "secrets")
    stapel = inner(config, "stapel")
    mount = inner(stapel, "mount")
    dockerfile = inner(config, "dockerfile")
    return Allowed(
        custom_tags=flag(top.section("cli"), "allowCustomTags"),
        uncommitted_config=flag(config, "allowUncommitted"),
        uncommitted_templates=globs(config, "allowUncommittedTemplates"),
        env_variables=names(rendering, "allowEnvVariables"),
        uncommitted_files=globs(rendering, "allowUncommittedFiles"),
        secret_env_variables=names(secrets, "allowEnvVariables"),
        secret_files=globs(secrets, "allowFiles", home=True),
        secret_value_ids=names(secrets, "allowValueIds"),
        from_latest=flag(stapel, "allowFromLatest"),
        git_branch=flag(inner(stapel, "git"), "allowBranch"),
        mount_build_dir=flag(mount, "allowBuildDir"),
        mount_from_paths=globs(mount, "allowFromPaths", home=True),
        uncommitted_dockerfiles=globs(dockerfile, "allowUncommitted"),
        uncommitted_dockerignores=globs(dockerfile, "allowUncommittedDockerignoreFiles"),
        context_add_files=globs(dockerfile, "allowContextAddFiles"),
        uncommitted_charts=globs(top.section("helm"), "allowUncommittedFiles"),
        includes_update=flag(top.section("includes"), "allowIncludesUpdate"),
    )


def check_permissions(config: ProjectConfig, allowed: Allowed) -> None:
    """Raise GiterminismError for the first directive of werf.yaml that needs a permission and has none."""
    for image in config.images:
        name = shown_name(image.name)
        for secret in image.secrets:
            _check_secret(secret, allowed, name)
        if isinstance(image, DockerfileImage):
            for path in image.context_add_files:
                whole = os.path.normpath(os.path.join(image.context, path))
                if not allowed.context_file(whole):
                    raise forbidden(
                        f"contextAddFiles: {path} of image {name}",
                        "the file comes from the work tree, not from the commit",
                        f"config.dockerfile.allowContextAddFiles: [{whole}]",
                    )
        else:
            _check_stapel(image, allowed, name)


def forbidden(what: str, why: str, permission: str) -> GiterminismError:
    """The error for a feature without its permission."""
    return GiterminismError(
        f"{what} is a potential external dependency: {why}",
        hint=f"werf-giterminism.yaml can permit it with {permission}. The rule behind it: {PRINCIPLE}",
    )


def _check_secret(secret: Secret, allowed: Allowed, image: str) -> None:
    why = "what is built may depend on something that is not in the commit"
    if secret.env is not None and not allowed.names(allowed.secret_env_variables, secret.env):
        permission = f"config.secrets.allowEnvVariables: [{secret.env}]"
        raise forbidden(f"the secret env: {secret.env} of image {image}", why, permission)
    if secret.src is not None and not _test(allowed.secret_files)(os.path.expanduser(secret.src)):
        raise forbidden(
            f"the secret src: {secret.src} of image {image}", why, f"config.secrets.allowFiles: [{secret.src}]"
        )
    if secret.value is not None and not allowed.names(allowed.secret_value_ids, secret.id):
        permission = f"config.secrets.allowValueIds: [{secret.id}]"
        raise forbidden(f"the secret with value and the id {secret.id} of image {image}", why, permission)


def _check_stapel(image: StapelImage, allowed: Allowed, name: str) -> None:
    if image.from_latest and not allowed.from_latest:
        raise forbidden(
            f"fromLatest of image {name}",
            "what the tag stands for today decides what is built",
            "config.stapel.allowFromLatest: true",
        )
    for mapping in image.git:
        if mapping.url and not mapping.tag and not mapping.commit and not allowed.git_branch:
            raise forbidden(
                f"git of image {name} from {f'branch {mapping.branch}' if mapping.branch else 'the default branch'}",
                "a branch moves on",
                "config.stapel.git.allowBranch: true",
            )
    for mount in image.mounts:
        if mount.kind == "build_dir" and not allowed.mount_build_dir:
            permission = "config.stapel.mount.allowBuildDir: true"
            raise forbidden(f"mount of build_dir of image {name}", "earlier builds leave files there", permission)
        if mount.kind == "from_path" and not _test(allowed.mount_from_paths)(os.path.expanduser(mount.path)):
            permission = f"config.stapel.mount.allowFromPaths: [{mount.path}]"
            raise forbidden(f"mount of {mount.path} of image {name}", "these are files of this machine", permission)


def _is_regex(text: str) -> bool:
    return len(text) > 1 and text.startswith("/") and text.endswith("/")


def _test(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    return covers(patterns)
