"""Reads configuration from the head commit, or from the work tree where that is permitted, and checks for changes."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NoReturn

from pywerf.config.giterminism import PRINCIPLE
from pywerf.errors import GiterminismError, GitError, TemplateError
from pywerf.util.filetree import MAX_SYMLINKS, FileTree, Node, join
from pywerf.util.globs import compile_glob, literal_prefix

if TYPE_CHECKING:
    from pywerf.build.project.includes import IncludedFiles
    from pywerf.source.git_project import Change, GitProject

__all__ = ["ConfigFiles", "changed_error", "read_committed"]

Permitted = Callable[[str], bool]
Place = tuple[Literal["commit", "disk"], str]

MAX_FILE = 64 << 20
_LINKS = f"links are followed inside of the work tree only: {PRINCIPLE}"


def nothing(path: str) -> bool:
    """The permission for no path."""
    return False


class ConfigFiles:
    """The files of a project by their paths in the project directory.

    They are those of `tree` (the whole head commit); with `loose`, those of the work tree. `checked` false: the commit
    is the work tree's state, there is nothing to compare it with.
    """

    def __init__(self, git: GitProject, tree: FileTree, *, loose: bool = False, checked: bool = True) -> None:
        self.git = git
        self.tree = tree
        self.loose = loose
        self.checked = checked
        self.includes: IncludedFiles | None = None
        """Files that stand where the project has none."""

    def read(self, path: str, permitted: Permitted = nothing) -> bytes:
        """A file's content. Raises GiterminismError when it is not committed as it is, GitError when it is nowhere."""
        kind, place = self._locate(path, permitted)
        if kind == "disk":
            included = None if self._is_on_disk(place) else self._included(path)
            return self._read_disk(path, place) if included is None else included
        node = self.tree.lstat(place)
        if node is None or node.kind != "file":
            included = None if node is not None or self._is_hidden(place) else self._included(path)
            if included is not None:
                return included
            self._missing(path, place)
        self._check([place], path)
        return _content(self.tree, place, node)

    def exists(self, path: str, permitted: Permitted = nothing) -> bool:
        """Whether there is a file or directory, as `read` would look for it."""
        return self.node(path, permitted) is not None

    def is_dir(self, path: str, permitted: Permitted = nothing) -> bool:
        """Whether there is a directory."""
        return self.node(path, permitted) == "dir"

    def node(self, path: str, permitted: Permitted = nothing) -> str | None:
        """`file`, `dir`, or None."""
        kind, place = self._locate(path, permitted)
        if kind == "disk":
            whole = os.path.join(self.git.root, place)
            found = "dir" if os.path.isdir(whole) else "file" if os.path.isfile(whole) else None
        else:
            node = self.tree.lstat(place)
            found = None if node is None else "dir" if node.kind == "dir" else "file"
        if found is not None or self.includes is None:
            return found
        name = posixpath.normpath(path.lstrip("/"))
        return "file" if self.includes.find(name) is not None else "dir" if self.includes.is_dir(name) else None

    def glob(self, pattern: str, permitted: Permitted = nothing) -> list[str]:
        """The paths of files that match, sorted. Raises GiterminismError for matches that are not committed."""
        pattern = posixpath.normpath(pattern) if pattern else ""
        if pattern.startswith(("/", "../")) or pattern == "..":
            raise GiterminismError(f"the pattern {pattern} leaves the project directory")
        try:
            matches = compile_glob(pattern)
        except ValueError as error:
            raise TemplateError(f"not a pattern: {error}") from error
        folder = literal_prefix(pattern)
        found: set[str] = set()
        if not self.loose:
            found.update(path for path in self._committed(folder) if matches(path))
        if self.loose or permitted is not nothing:
            found.update(path for path in self._on_disk(folder) if matches(path) and (self.loose or permitted(path)))
        if self.includes is not None:
            found.update(path for path in self.includes.paths(folder) if matches(path))
        if self.checked and not self.loose:
            self.check_changes(lambda path: matches(path) and not permitted(path), f"they match {pattern}")
        return sorted(found)

    def local_paths(self) -> list[str]:
        """The paths of all files of the project itself."""
        return sorted(self._on_disk("") if self.loose else self._committed(""))

    # changes

    def check_changes(self, matters: Callable[[str], bool], why: str = "") -> None:
        """Raise GiterminismError when the work tree has changes at paths (in the project) that matter."""
        found: list[tuple[str, Change]] = []
        for change in self.git.changes():
            path = self._shown(change.path)
            if path is not None and matters(path):
                found.append((path, change))
        if found:
            raise changed_error(found, why)

    def _check(self, places: Iterable[str], path: str) -> None:
        if not self.checked:
            return
        found = [(self._relative(place), change) for place in places if (change := self.git.change_of(place))]
        if found:
            raise changed_error(found)

    def _shown(self, place: str) -> str | None:
        """A path of the work tree as one of the project; None outside."""
        prefix = self.git.subdir
        if not prefix:
            return place
        return place[len(prefix) + 1 :] if place.startswith(prefix + "/") else None

    def _relative(self, place: str) -> str:
        return posixpath.relpath(place, self.git.subdir or ".")

    # places

    def _locate(self, path: str, permitted: Permitted) -> Place:
        """Where a file is read from: a place of the commit, or of the work tree (both relative to its root)."""
        place = posixpath.normpath(posixpath.join(self.git.subdir, path.lstrip("/")))
        if place == ".." or place.startswith("../"):
            raise GiterminismError(f"{path} lies outside of the git work tree")
        if self.loose or (permitted is not nothing and permitted(posixpath.normpath(path))):
            return "disk", self._resolved_on_disk(path, place, permitted)
        links, target = self._follow(path, "" if place == "." else place)
        self._check(links, path)
        return "commit", target

    def _resolved_on_disk(self, path: str, place: str, permitted: Permitted) -> str:
        whole = os.path.realpath(os.path.join(self.git.root, place))
        if whole != self.git.root and not whole.startswith(self.git.root.rstrip("/") + "/"):
            raise GiterminismError(f"{path} is a link to {whole}, which lies outside of the git work tree", hint=_LINKS)
        target = os.path.relpath(whole, self.git.root)
        if not self.loose and target != place and os.path.lexists(whole):
            inside = self._shown(target)
            if (inside is None or not permitted(inside)) and self.git.change_of(target) is not None:
                raise GiterminismError(
                    f"{path} is a link to {self._relative(target)}, which is neither committed nor permitted",
                    hint=f"commit it, or permit it as well. The rule behind it: {PRINCIPLE}",
                )
        return target

    def _follow(self, path: str, place: str) -> tuple[list[str], str]:
        """The symlinks on the way, and what they come to, in the commit."""
        links: list[str] = []
        done: list[str] = []
        todo = [name for name in reversed(place.split("/")) if name]
        while todo:
            name = todo.pop()
            if name == ".":
                continue
            if name == "..":
                if not done:
                    raise GiterminismError(f"{path} is a link that leads out of the git work tree", hint=_LINKS)
                done.pop()
                continue
            done.append(name)
            here = "/".join(done)
            node = self.tree.lstat(here)
            if node is None or node.kind != "symlink":
                continue
            links.append(here)
            target = self.tree.readlink(here)
            if target.startswith("/"):
                raise GiterminismError(
                    f"{path} is a link to {target}, which lies outside of the git work tree", hint=_LINKS
                )
            if len(links) > MAX_SYMLINKS:
                raise GiterminismError(f"{path}: too many levels of symbolic links")
            done.pop()
            todo.extend(name for name in reversed(target.split("/")) if name)
        return links, "/".join(done)

    # reading

    def _included(self, path: str) -> bytes | None:
        found = None if self.includes is None else self.includes.find(posixpath.normpath(path.lstrip("/")))
        return None if found is None else found[1]

    def _is_on_disk(self, place: str) -> bool:
        return os.path.lexists(os.path.join(self.git.root, place))

    def _is_hidden(self, place: str) -> bool:
        """Whether a file that is not committed stands there: it would win, so it has to be told of."""
        return self.checked and self._is_on_disk(place)

    def _missing(self, path: str, place: str) -> NoReturn:
        """The error for a file that is not in the commit."""
        shown = self._relative(place)
        linked = shown != posixpath.normpath(path.lstrip("/"))
        if self.checked and self._is_on_disk(place):
            change = self.git.change_of(place)
            if change is not None:
                raise changed_error([(shown, change)], f"{path} is a link to it" if linked else "")
            if not os.path.isdir(os.path.join(self.git.root, place)):
                raise GiterminismError(
                    f"{shown} is not in the commit: .gitignore excludes it",
                    hint=f"git add --force {shown}; {PRINCIPLE}",
                )
        raise GitError(
            f"{path} is a link to {shown}, which is not in the commit" if linked else f"{path} is not in the commit",
            hint=f"commit it, or permit in werf-giterminism.yaml that it is not. The rule behind it: {PRINCIPLE}",
        )

    def _read_disk(self, path: str, place: str) -> bytes:
        whole = os.path.join(self.git.root, place)
        try:
            with open(whole, "rb") as file:
                data = file.read(MAX_FILE + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            hint = (
                None if self.loose else f"it is permitted to come from the work tree. The rule behind it: {PRINCIPLE}"
            )
            raise GitError(f"{path}: not found in the project directory", hint=hint) from error
        except OSError as error:
            raise GitError(f"{path}: {error.strerror}") from error
        if len(data) > MAX_FILE:
            raise GitError(f"{path}: larger than {MAX_FILE >> 20} MiB")
        return data

    def _committed(self, folder: str) -> Iterable[str]:
        """The files of the commit below a directory of the project."""
        top = posixpath.normpath(posixpath.join(self.git.subdir, folder)) if self.git.subdir or folder else ""
        node = self.tree.lstat(top) if top else _TOP
        if node is None or node.kind != "dir":
            return
        stack = [folder]
        while stack:
            current = stack.pop()
            for item in self.tree.scandir(join(self.git.subdir, current) if current else self.git.subdir):
                path = join(current, item.name)
                if item.kind == "dir":
                    stack.append(path)
                elif item.kind == "file" or self.node(path) == "file":
                    yield path

    def _on_disk(self, folder: str) -> Iterable[str]:
        top = os.path.join(self.git.directory, folder)
        for current, folders, files in os.walk(top):
            folders[:] = sorted(name for name in folders if name != ".git")
            for name in files:
                yield os.path.relpath(os.path.join(current, name), self.git.directory)


_TOP = Node("", "dir", 0o755, 0, 0, 0, 0)


def _content(tree: FileTree, place: str, node: Node) -> bytes:
    if node.size > MAX_FILE:
        raise GitError(f"{place}: larger than {MAX_FILE >> 20} MiB")
    fd = tree.open(place)
    with open(fd, "rb") as file:
        return file.read()


def changed_error(found: Sequence[tuple[str, Change]], why: str = "") -> GiterminismError:
    """The error for changes that would be ignored silently: (path as shown, change) of each."""
    texts = {
        "untracked": "not committed yet",
        "changed": "changed since the commit",
        "submodule": "a submodule at another commit than the recorded one: commit that, and push it",
        "dirty submodule": "a submodule with changes in it: commit or discard them there, and push them",
    }
    lines = [f"  {path} ({texts[change.kind]})" for path, change in found[:20]]
    if len(found) > 20:
        lines.append(f"  and {len(found) - 20} more")
    reason = f" ({why})" if why else ""
    return GiterminismError(
        f"the build reads the commit, and the work tree differs from it where it matters{reason}:\n" + "\n".join(lines),
        hint=f"commit the changes, or build them with --dev; {PRINCIPLE}",
    )


def read_committed(tree: FileTree, place: str) -> bytes:
    """A file of a commit; empty when it is not there."""
    node = tree.lstat(place)
    return b"" if node is None or node.kind != "file" else _content(tree, place, node)
