"""The build context of an image with a Dockerfile, out of the commit; and which changes of the work tree matter."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable
from typing import TYPE_CHECKING

from pywerf.config.werf_yaml.model import DockerfileImage, shown_name
from pywerf.errors import ContextError
from pywerf.source.dockerignore import IgnoreRules
from pywerf.source.git_context import CommitContext, lfs_pointers
from pywerf.source.local import LocalTree

if TYPE_CHECKING:
    from pywerf.build.project.project import Project
    from pywerf.source.git_tree import GitTree

__all__ = ["open_image_context"]


def open_image_context(project: Project, image: DockerfileImage, dockerfile: bytes | None) -> CommitContext:
    """See Project.context."""
    folder = posixpath.normpath(posixpath.join(project.git.subdir, image.context))
    folder = "" if folder == "." else folder
    if folder == ".." or folder.startswith("../"):
        raise ContextError(f"image {shown_name(image.name)}: context {image.context} lies outside of the git work tree")
    tree = _below(project, image, folder)
    rules = _rules(project, image)
    if dockerfile is not None and project.files.checked:
        _check_changes(project, image, rules, folder, dockerfile)
    if rules is not None and rules.ignored(image.dockerfile) and tree.lstat(image.dockerfile) is not None:
        project.reporter.message(
            "warning", f"image {shown_name(image.name)}: .dockerignore leaves the Dockerfile out; it is kept"
        )
    added = image.context_add_files
    work_tree = None
    if added:
        top = os.path.join(project.git.root, folder)
        work_tree = LocalTree(top)
        for path in added:
            if not os.path.lexists(os.path.join(top, path)):
                raise ContextError(
                    f"image {shown_name(image.name)}: contextAddFiles: {path} is not in {os.path.join(top)}",
                    hint="it comes from the work tree, and must be there when the build begins",
                )
    context = CommitContext(tree, rules, kept=image.dockerfile, added=added, work_tree=work_tree)
    if _uses_lfs(project):
        _warn_of_pointers(project, image, context)
    return context


def _below(project: Project, image: DockerfileImage, folder: str) -> GitTree:
    if not folder:
        return project.tree
    try:
        return project.tree.below(folder)
    except ContextError as error:
        raise ContextError(
            f"image {shown_name(image.name)}: the context {image.context or '.'} is not in the commit",
            hint="git add it, and commit; an empty directory cannot be in a commit",
        ) from error


def _rules(project: Project, image: DockerfileImage) -> IgnoreRules | None:
    """The rules of DOCKERFILE.dockerignore, else of .dockerignore in the context."""
    for name in (f"{image.dockerfile}.dockerignore", ".dockerignore"):
        path = posixpath.normpath(posixpath.join(image.context, name))
        permitted = project.allowed.dockerignore
        named = bool(project.allowed.uncommitted_dockerignores)
        if project.files.node(path, permitted) is not None if named else project.files.node(path) is not None:
            data = project.files.read(path, permitted) if named else project.files.read(path)
            return IgnoreRules.parse(data, path)
        if project.files.checked and os.path.lexists(os.path.join(project.directory, path)):
            place = posixpath.normpath(posixpath.join(project.git.subdir, path))
            if project.git.change_of(place) is not None:
                project.files.read(path)  # the error that it is not committed
    return None


def _check_changes(
    project: Project, image: DockerfileImage, rules: IgnoreRules | None, folder: str, dockerfile: bytes
) -> None:
    """Raise GiterminismError for changes in the context that the image would take, if it read the work tree."""
    prefix = f"{folder}/" if folder else ""
    changes = [change for change in project.git.changes() if change.path.startswith(prefix)]
    if not changes:
        return
    takes = _taken(dockerfile)
    added = image.context_add_files
    matters: list[str] = []
    for change in changes:
        path = change.path[len(prefix) :]
        if any(path == each or path.startswith(each + "/") for each in added):
            continue
        if rules is not None and rules.ignored(path) and path != image.dockerfile:
            continue
        if takes(path):
            matters.append(change.path)
    if matters:
        from pywerf.build.project.reading import changed_error

        found = [
            (posixpath.relpath(change.path, project.git.subdir or "."), change)
            for change in changes
            if change.path in matters
        ]
        raise changed_error(found, f"image {shown_name(image.name)} takes them from its context")


def _taken(dockerfile: bytes) -> Callable[[str], bool]:
    """Whether some COPY, ADD or bind mount of the Dockerfile can take a path of the context.

    All stages count, and a source with a variable in it can be anything: rather one change too many is told.
    """
    from pywerf.build.project.context_sources import context_sources
    from pywerf.source.patterns import PatternMatcher

    sources = context_sources(dockerfile)
    if sources is None or "" in sources:
        return lambda path: True
    if not sources:
        return lambda path: False
    matcher = PatternMatcher(sorted(sources))
    return lambda path: (
        matcher.matches_or_parent_matches(path) or any(source.startswith(path + "/") for source in sources)
    )


def _uses_lfs(project: Project) -> bool:
    """Whether the .gitattributes at the root speak of LFS: else nobody looks for pointers."""
    from pywerf.build.project.reading import read_committed

    return b"filter=lfs" in read_committed(project.tree, ".gitattributes")


def _warn_of_pointers(project: Project, image: DockerfileImage, context: CommitContext) -> None:
    found = lfs_pointers(context)
    if found:
        shown = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
        project.reporter.message(
            "warning",
            f"image {shown_name(image.name)}: the commit has pointers of Git LFS in the place of these files: {shown}",
        )
