"""Opens a project: what commit is built, what werf.yaml says, and what each image is built from.

project = open_project(options, reporter)
for name in project.images(("web*", "!web-old")): …
image = project.config.image(name)
data, shown = project.dockerfile(image)
tree = project.context(image)          # a FileTree: git's files, without what .dockerignore leaves out
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pywerf.build.project.find import find_project
from pywerf.build.project.reading import ConfigFiles
from pywerf.build.project.selection import select_images
from pywerf.config.giterminism import Allowed, check_permissions, forbidden, parse_giterminism
from pywerf.config.werf_yaml.meta import check_project_name
from pywerf.config.werf_yaml.model import DockerfileImage, Image, ProjectConfig, shown_name
from pywerf.config.werf_yaml.project import parse_config
from pywerf.errors import ConfigError, ContextError, GitError, UsageError
from pywerf.source.git_project import GitProject
from pywerf.util.globs import covers

if TYPE_CHECKING:
    from pywerf.build.project.options import ProjectOptions
    from pywerf.source.git_context import CommitContext
    from pywerf.source.git_tree import GitTree
    from pywerf.util.events import Reporter

__all__ = ["CONFIG_NAMES", "INCLUDES", "LOCK", "Project", "find_config", "open_files", "open_project"]

CONFIG_NAMES = ("werf.yaml", "werf.yml")
INCLUDES, LOCK = "werf-includes.yaml", "werf-includes.lock"


class Project:
    """An opened project. Methods may be called from several threads, one at a time for each image.

    `directory` is the project's, `git` its repository, `commit` the head commit (with --dev the service commit), `tree`
    that commit's files from the root of the work tree on. `source` is the text of werf.yaml, `rendered` what its
    templates make of it, `config_path` its name in the project directory, `allowed` what werf-giterminism.yaml permits.
    """

    def __init__(
        self,
        options: ProjectOptions,
        git: GitProject,
        commit: str,
        tree: GitTree,
        files: ConfigFiles,
        allowed: Allowed,
        reporter: Reporter,
    ) -> None:
        self.options = options
        self.git = git
        self.directory = git.directory
        self.commit = commit
        self.tree = tree
        self.files = files
        self.allowed = allowed
        self.reporter = reporter
        self.config_path = ""
        self.source = ""
        self.rendered = ""
        self.render_path = ""
        self.config: ProjectConfig

    def images(self, patterns: Sequence[str] = (), *, final_only: bool = False) -> tuple[str, ...]:
        """The names that patterns of the command line choose, in the order of werf.yaml. Raises UsageError."""
        return select_images(self.config, patterns, final_only=final_only)

    def dockerfile(self, image: DockerfileImage) -> tuple[bytes, str]:
        """The text of an image's Dockerfile, and its path in the project. Raises GiterminismError, GitError."""
        path = posixpath.normpath(posixpath.join(image.context, image.dockerfile))
        return self.files.read(path, self.allowed.dockerfile), path

    def context(self, image: DockerfileImage, dockerfile: bytes | None = None) -> CommitContext:
        """The build context. With the text of its `dockerfile`, changes that it would take are errors.

        Raises GiterminismError for changes of the work tree that matter, ContextError, PatternError.
        """
        from pywerf.build.project.image_context import open_image_context

        return open_image_context(self, image, dockerfile)

    def needed(self, image: Image) -> DockerfileImage:
        """The image as one that can be built. Raises ConfigError for what cannot be built yet."""
        if isinstance(image, DockerfileImage):
            return image
        raise ConfigError(
            f"{self.config_path}:{image.line}: image {shown_name(image.name)} is a Stapel image (from, shell, git), "
            "which cannot be built yet",
            hint="give it a dockerfile",
        )


def _staged(image: Image) -> Image:
    from msgspec.structs import replace

    return replace(image, staged=True) if isinstance(image, DockerfileImage) else image


def find_config(options: ProjectOptions, directory: str) -> str | None:
    """The path of werf.yaml in the project directory; None when there is none. One that is named is not looked for."""
    if options.config:
        return posixpath.normpath(options.config)
    return next((name for name in CONFIG_NAMES if os.path.lexists(os.path.join(directory, name))), None)


def open_project(options: ProjectOptions, reporter: Reporter, git: GitProject | None = None) -> Project:
    """Open the project that the options name, in its repository. Raises WerfError of many kinds.

    Nothing in the work tree is changed; with `dev` a commit is made on a branch of its own.
    """
    project = _opened(options, reporter, git or find_project(options))
    options, files = project.options, project.files
    _render(project)
    name = options.project_name
    if name:
        why = check_project_name(name)
        if why:
            raise UsageError(f"--project-name {name}: {why}")
    from msgspec.structs import replace

    config = _parsed(project)
    if name:
        config = replace(config, meta=replace(config.meta, project=name))
    if options.platforms:
        config = replace(config, images=tuple(replace(image, platforms=options.platforms) for image in config.images))
    if options.staged:
        config = replace(config, images=tuple(map(_staged, config.images)))
    project.config = config
    if not files.loose:
        check_permissions(config, project.allowed)
    return project


def open_files(options: ProjectOptions, reporter: Reporter) -> ConfigFiles:
    """The files that a project's configuration is made with. Raises WerfError."""
    return _opened(options, reporter, find_project(options)).files


def _opened(options: ProjectOptions, reporter: Reporter, git: GitProject) -> Project:
    """The project without its configuration."""
    if options.tell_directory:
        reporter.message("info", f"project directory: {git.directory}")
    commit = _commit(git, options, reporter)
    tree = git.tree(commit)
    loose = options.loose_giterminism
    if loose:
        reporter.message("warning", "--loose-giterminism: the configuration is read from the work tree, unchecked")
    files = ConfigFiles(git, tree, loose=loose, checked=not options.dev and not loose)
    allowed = Allowed() if loose else _allowed(files, options, reporter)
    if options.allow_includes_update and not loose and not allowed.includes_update:
        raise forbidden(
            "--allow-includes-update",
            "the newest commits of other repositories decide what is built",
            "includes.allowIncludesUpdate: true",
        )
    if any(files.exists(name) or os.path.lexists(os.path.join(git.directory, name)) for name in (INCLUDES, LOCK)):
        from pywerf.build.project.includes import open_includes

        files.includes = open_includes(files, home=options.home_dir, update=options.allow_includes_update)
    return Project(options, git, commit, tree, files, allowed, reporter)


def _commit(git: GitProject, options: ProjectOptions, reporter: Reporter) -> str:
    if not options.dev:
        return git.head()
    from pywerf.source.git_dev import dev_commit

    if os.environ.get("CI"):
        reporter.message("warning", "--dev in CI: what is built belongs to no commit that others have")
    try:
        ignored = covers(options.dev_ignore) if options.dev_ignore else None
    except ValueError as error:
        raise UsageError(f"--dev-ignore: {error}") from error
    commit, warnings = dev_commit(git, branch=options.dev_branch, ignored=ignored)
    for line in warnings:
        reporter.message("warning", line)
    return commit


def _allowed(files: ConfigFiles, options: ProjectOptions, reporter: Reporter) -> Allowed:
    path = options.giterminism_config
    if files.node(path) is None:
        if files.checked and os.path.lexists(os.path.join(files.git.directory, path)):
            files.read(path)  # the error that it is not committed
        if path != "werf-giterminism.yaml":
            files.read(path)  # one that was named must be there
        return Allowed()
    return parse_giterminism(_text(files.read(path), path), path, lambda text: reporter.message("warning", text))


def _render(project: Project) -> None:
    from pywerf.build.project.rendering import Rendering

    files, allowed, options = project.files, project.allowed, project.options
    path = find_config(options, project.directory)
    if path is None:
        path = next((name for name in CONFIG_NAMES if files.node(name) is not None), None)
    if path is None:
        raise GitError(
            f"no {' or '.join(CONFIG_NAMES)} in {project.directory}",
            hint="go to the project's directory, or name it with --dir; --config names another file",
        )
    project.config_path = path
    data = files.read(path, lambda _: True) if allowed.uncommitted_config else files.read(path)
    folder = posixpath.normpath(options.config_templates_dir)
    permitted = allowed.template
    found = (
        files.glob(f"{folder}/**/*.tmpl", permitted)
        if allowed.uncommitted_templates
        else files.glob(f"{folder}/**/*.tmpl")
    )
    templates = {name[len(folder) + 1 :]: files.read(name, permitted) for name in found}
    rendering = Rendering(
        files,
        allowed,
        options,
        commit=project.commit,
        committed=project.git.committer(project.commit),
        tell=lambda text: project.reporter.message("info", text),
    )
    project.source = data.decode("utf-8", "replace")
    project.rendered = rendering.render(data, path, templates)
    if options.config_render_path:
        _write(options.config_render_path, project.rendered)
        project.render_path = options.config_render_path


def _parsed(project: Project) -> ProjectConfig:
    """The configuration that the rendered text is; errors tell where that text can be seen when it is another one."""
    shown = project.config_path if project.rendered == project.source else f"{project.config_path} (rendered)"
    try:
        return parse_config(project.rendered, project.render_path or shown, proposed_name=project.git.proposed_name)
    except ConfigError as error:
        if project.rendered != project.source and not project.render_path and error.hint is None:
            error.hint = "the line is one of the rendered text, which --config-render-path FILE keeps"
        raise


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"--config-render-path {path}: {error.strerror}") from error


def _text(data: bytes, path: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ContextError(f"{path} is not text in UTF-8") from error
