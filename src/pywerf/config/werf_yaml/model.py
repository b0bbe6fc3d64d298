"""What a werf.yaml says, as values. Directives keep their names in snake case; what is not given has its default."""

from __future__ import annotations

import functools
from typing import Literal

import msgspec

__all__ = [
    "NAMELESS",
    "BasicAuth",
    "CleanupConfig",
    "Dependency",
    "DependencyImport",
    "DependencyValue",
    "DeployConfig",
    "DockerDirectives",
    "DockerfileImage",
    "GitMapping",
    "GitWorktree",
    "Healthcheck",
    "Image",
    "ImageConfig",
    "ImageImport",
    "ImageSpec",
    "KeepLimit",
    "KeepPolicy",
    "Meta",
    "Mount",
    "ProjectConfig",
    "Secret",
    "Shell",
    "ShellStage",
    "StapelImage",
    "shown_name",
]

NAMELESS = ""
"""The name of an image without one; `~` in output."""

Pairs = tuple[tuple[str, str], ...]
Operator = Literal["And", "Or"]
StageName = Literal["beforeInstall", "install", "beforeSetup", "setup"]
DependencyValue = Literal["ImageName", "ImageTag", "ImageRepo", "ImageID", "ImageDigest"]


def shown_name(name: str) -> str:
    """An image's name as output has it."""
    return name or "~"


class Secret(msgspec.Struct, frozen=True):
    """`secrets[]`: exactly one of `env`, `src`, `value` is not None. `id` is as given, or its default."""

    id: str
    env: str | None = None
    src: str | None = None
    value: str | None = None

    def __repr__(self) -> str:  # the text is in werf.yaml, but need not be in a log
        return f"Secret({self.id!r})"


class DependencyImport(msgspec.Struct, frozen=True):
    """`dependencies[].imports[]`: which value of the image goes into which build arg or variable."""

    type: DependencyValue
    target_build_arg: str = ""
    target_env: str = ""


class Dependency(msgspec.Struct, frozen=True):
    """`dependencies[]`. `before` or `after` name a stage (Stapel only)."""

    image: str
    imports: tuple[DependencyImport, ...] = ()
    before: str = ""
    after: str = ""


class Healthcheck(msgspec.Struct, frozen=True):
    """`imageSpec.config.healthcheck`; times in seconds, None where nothing is said."""

    test: tuple[str, ...] = ()
    interval: int | None = None
    timeout: int | None = None
    start_period: int | None = None
    retries: int | None = None


class ImageSpec(msgspec.Struct, frozen=True):
    """`imageSpec`, or the global `build.imageSpec`. None: not given, the base's value stays. `/x/` are regexes."""

    author: str | None = None
    clear_history: bool = False
    cmd: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: Pairs = ()
    expose: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None
    labels: Pairs = ()
    stop_signal: str | None = None
    user: str | None = None
    working_dir: str | None = None
    remove_env: tuple[str, ...] = ()
    remove_labels: tuple[str, ...] = ()
    remove_volumes: tuple[str, ...] = ()
    clear_cmd: bool = False
    clear_entrypoint: bool = False
    clear_user: bool = False
    clear_working_dir: bool = False
    keep_essential_werf_labels: bool = False


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What both kinds of images have. `line`: where the document begins in the rendered werf.yaml.

    `platforms`, `cache_version` and `image_spec` are the image's own with those of `build` already merged in;
    `platforms` empty: the backend's.
    """

    name: str
    line: int = 0
    final: bool = True
    platforms: tuple[str, ...] = ()
    cache_version: str = ""
    secrets: tuple[Secret, ...] = ()
    network: str = ""
    dependencies: tuple[Dependency, ...] = ()
    image_spec: ImageSpec | None = None


class DockerfileImage(ImageConfig, frozen=True, kw_only=True):
    """An image with `dockerfile`. `context` is relative to the project ("" the project itself), clean;

    `dockerfile` and `context_add_files` are relative to the context.
    """

    dockerfile: str
    context: str = ""
    context_add_files: tuple[str, ...] = ()
    target: str = ""
    args: Pairs = ()
    add_host: tuple[str, ...] = ()
    ssh: str = ""
    staged: bool = False


class BasicAuth(msgspec.Struct, frozen=True):
    """`git[].basicAuth`: exactly one of the sources of the password is not None."""

    username: str
    env: str | None = None
    src: str | None = None
    value: str | None = None

    def __repr__(self) -> str:
        return f"BasicAuth({self.username!r})"


class GitMapping(msgspec.Struct, frozen=True):
    """`git[]`. `stage_dependencies` has the globs of a user stage by its name."""

    to: str
    add: str = "/"
    owner: str = ""
    group: str = ""
    include_paths: tuple[str, ...] = ()
    exclude_paths: tuple[str, ...] = ()
    stage_dependencies: tuple[tuple[str, tuple[str, ...]], ...] = ()
    url: str = ""
    branch: str = ""
    tag: str = ""
    commit: str = ""
    basic_auth: BasicAuth | None = None
    line: int = 0


class ShellStage(msgspec.Struct, frozen=True):
    """The commands of one user stage."""

    commands: tuple[str, ...] = ()
    cache_version: str = ""


class Shell(msgspec.Struct, frozen=True):
    """`shell`, or the stages of `ansible` by their checksums only."""

    before_install: ShellStage = ShellStage()
    install: ShellStage = ShellStage()
    before_setup: ShellStage = ShellStage()
    setup: ShellStage = ShellStage()
    cache_version: str = ""


class Mount(msgspec.Struct, frozen=True):
    """`mount[]`: `kind` tmp_dir or build_dir, or from_path with its `path`."""

    to: str
    kind: Literal["tmp_dir", "build_dir", "from_path"]
    path: str = ""


class ImageImport(msgspec.Struct, frozen=True):
    """`import[]`. `external`: `source` is an image of a registry. One of `before` and `after` is set."""

    source: str
    add: str
    to: str
    external: bool = False
    stage: str = ""
    before: str = ""
    after: str = ""
    owner: str = ""
    group: str = ""
    include_paths: tuple[str, ...] = ()
    exclude_paths: tuple[str, ...] = ()
    line: int = 0


class DockerDirectives(msgspec.Struct, frozen=True):
    """`docker` of a Stapel image. CMD and ENTRYPOINT: a string is the shell form, a tuple the exec form."""

    volume: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    env: Pairs = ()
    label: Pairs = ()
    cmd: str | tuple[str, ...] | None = None
    entrypoint: str | tuple[str, ...] | None = None
    workdir: str = ""
    user: str = ""
    healthcheck: str = ""
    exact_values: bool = False


class StapelImage(ImageConfig, frozen=True, kw_only=True):
    """An image with `from`. `base` is the name of an image of werf.yaml (`base_is_image`) or a reference."""

    base: str
    base_is_image: bool = False
    from_latest: bool = False
    from_cache_version: str = ""
    artifact: bool = False
    disable_git_after_patch: bool = False
    git: tuple[GitMapping, ...] = ()
    shell: Shell | None = None
    ansible: bool = False
    mounts: tuple[Mount, ...] = ()
    imports: tuple[ImageImport, ...] = ()
    docker: DockerDirectives | None = None


Image = DockerfileImage | StapelImage


class KeepLimit(msgspec.Struct, frozen=True):
    """`limit` and `imagesPerReference`: `last` -1 is all; `within` in seconds, None: not given."""

    last: int | None = None
    within: float | None = None
    operator: Operator = "And"


class KeepPolicy(msgspec.Struct, frozen=True):
    """`cleanup.keepPolicies[]`: exactly one of `branch` and `tag` is not empty (a name, or a `/regex/`)."""

    branch: str = ""
    tag: str = ""
    limit: KeepLimit | None = None
    images: KeepLimit | None = None


class CleanupConfig(msgspec.Struct, frozen=True):
    """`cleanup`. `keep_policies` None: the built-in ones."""

    disable: bool = False
    disable_kubernetes_based_policy: bool = False
    disable_git_history_based_policy: bool = False
    disable_built_within_last_n_hours_policy: bool = False
    keep_images_built_within_last_n_hours: int = 2
    keep_policies: tuple[KeepPolicy, ...] | None = None


class DeployConfig(msgspec.Struct, frozen=True):
    """`deploy`: read and checked, nothing is made of it."""

    helm_chart_dir: str = ".helm"
    helm_release: str = "[[ project ]]-[[ env ]]"
    helm_release_slug: bool = True
    namespace: str = "[[ project ]]-[[ env ]]"
    namespace_slug: bool = True
    app_version: str = ""


class GitWorktree(msgspec.Struct, frozen=True):
    """`gitWorktree`."""

    force_shallow_clone: bool = False
    allow_unshallow: bool = True
    allow_fetch_origin_branches_and_tags: bool = True


class Meta(msgspec.Struct, frozen=True):
    """The meta section. `cache_version`, `platforms`, `staged`, `image_spec` are those of `build`."""

    project: str
    line: int = 0
    cache_version: str = ""
    platforms: tuple[str, ...] = ()
    staged: bool = False
    image_spec: ImageSpec | None = None
    deploy: DeployConfig = DeployConfig()
    cleanup: CleanupConfig = CleanupConfig()
    git_worktree: GitWorktree = GitWorktree()


class ProjectConfig(msgspec.Struct, frozen=True, dict=True):
    """A whole werf.yaml: its images in the order of the file, an entry for each name."""

    meta: Meta
    images: tuple[Image, ...] = ()

    def image(self, name: str) -> Image | None:
        """The image of a name, or None."""
        return self._by_name.get(name)

    @functools.cached_property
    def _by_name(self) -> dict[str, Image]:
        return {image.name: image for image in self.images}
