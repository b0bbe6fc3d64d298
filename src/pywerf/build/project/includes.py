"""Files of other repositories, as werf-includes.yaml names them, where a project's configuration looks for its own.

Their commits are those of werf-includes.lock, or with `--allow-includes-update` the newest. The repositories are
mirrored in the home directory, and not asked for commits that are there.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pywerf.config.includes import (
    INCLUDES,
    LOCK,
    UPDATE,
    Include,
    lock_text,
    locked_commits,
    parse_includes,
    parse_lock,
)
from pywerf.errors import ConfigError, ContextError, GitError, UsageError
from pywerf.source.git_url import redact
from pywerf.util.filetree import join, resolve
from pywerf.util.globs import compile_glob
from pywerf.util.home import werf_home

if TYPE_CHECKING:
    from pywerf.build.project.options import ProjectOptions
    from pywerf.build.project.reading import ConfigFiles
    from pywerf.config.werf_yaml.model import BasicAuth
    from pywerf.source.git_access import GitCredentials
    from pywerf.source.git_tree import GitTree

__all__ = ["IncludedFiles", "listed", "newest_commits", "open_includes", "read_includes", "update_lock", "write_lock"]


class IncludedFiles:
    """The included files by their paths in the project; of several with one path the last entry's counts."""

    def __init__(self, includes: Sequence[Include], trees: Sequence[GitTree]) -> None:
        self._entries = [
            (include, tree, include.filter()) for include, tree in zip(reversed(includes), reversed(trees), strict=True)
        ]

    def find(self, path: str) -> tuple[Include, bytes] | None:
        """The entry that a file comes from, and its content; None when no entry has it."""
        for include, tree, passes in self._entries:
            inner = _below(path, include.to)
            if inner is None or not inner or not passes(inner):
                continue
            place = resolve(tree, join(include.add, inner) if include.add else inner)
            node = tree.lstat(place)
            if node is not None and node.kind == "file":
                with open(tree.open(place), "rb") as file:
                    return include, file.read()
        return None

    def is_dir(self, path: str) -> bool:
        """Whether a file is included below a directory."""
        return next(self.paths(path), None) is not None

    def paths(self, folder: str = "") -> Iterator[str]:
        """The paths of the files below a directory, each once."""
        seen: set[str] = set()
        for include, tree, passes in self._entries:
            for inner in _files(tree, include.add):
                path = join(include.to, inner) if include.to else inner
                if path not in seen and (not folder or path.startswith(folder + "/")) and passes(inner):
                    seen.add(path)
                    yield path


def _files(tree: GitTree, folder: str) -> Iterator[str]:
    """Files, and links to files, below a directory of a commit; relative to it."""
    for path, node in tree.walk(folder):
        if node.kind == "file":
            yield path
        elif node.kind == "symlink":
            target = tree.lstat(resolve(tree, join(folder, path) if folder else path))
            if target is not None and target.kind == "file":
                yield path


def _below(path: str, folder: str) -> str | None:
    if not folder:
        return path
    return path[len(folder) + 1 :] if path.startswith(folder + "/") else None


def read_includes(files: ConfigFiles) -> tuple[Include, ...]:
    """The entries of the committed werf-includes.yaml; none when there is no such file. Raises WerfError."""
    text = _text(files, INCLUDES)
    return () if text is None else parse_includes(text)


def open_includes(files: ConfigFiles, *, home: str = "", update: bool = False) -> IncludedFiles | None:
    """The included files; None when a project has none. `update`: branches and tags are looked up anew.

    Raises ConfigError for what is wrong in the files, GiterminismError when they are not committed, ContextError when
    a repository cannot be had.
    """
    includes = read_includes(files)
    if not includes:
        _text(files, LOCK)  # an uncommitted one is an error, too
        return None
    if update:
        commits = newest_commits(includes, home)
    else:
        text = _text(files, LOCK)
        if text is None:
            raise ConfigError(f"{INCLUDES} needs {LOCK}, which is not in the commit", hint=UPDATE)
        commits = locked_commits(includes, parse_lock(text))
    trees = [_tree(include, commit, home) for include, commit in zip(includes, commits, strict=True)]
    return IncludedFiles(includes, trees)


def listed(files: ConfigFiles, pattern: str = "") -> list[tuple[str, str]]:
    """(path, `local` or the URL that it is included from) of the files that a configuration can be made with."""
    try:
        matches = compile_glob(posixpath.normpath(pattern)) if pattern else None
    except ValueError as error:
        raise UsageError(f"{pattern} is no pattern: {error}") from error
    found = dict.fromkeys(files.local_paths(), "local")
    if files.includes is not None:
        for path in files.includes.paths():
            if path not in found and path not in (INCLUDES, LOCK, "werf-giterminism.yaml"):
                entry = files.includes.find(path)
                assert entry is not None
                found[path] = entry[0].git
    return [(path, found[path]) for path in sorted(found) if matches is None or matches(path)]


def newest_commits(includes: Sequence[Include], home: str = "") -> tuple[str, ...]:
    """The commits that the branches and tags of the entries are at now. Raises ContextError, ConfigError."""
    from pywerf.source.git import GitRepository

    commits: list[str] = []
    for include in includes:
        try:
            repository = GitRepository(include.git, _mirrors(home), credentials=_credentials(include))
            commits.append(repository.fetch(include.ref))
        except ContextError as error:
            raise _placed(error, include) from error
    return tuple(commits)


def write_lock(directory: str, includes: Sequence[Include], commits: Sequence[str]) -> str:
    """Write werf-includes.lock in the project directory; its path. Raises GitError."""
    path = os.path.join(directory, LOCK)
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(lock_text(includes, commits))
    except OSError as error:
        raise GitError(f"{path}: {error.strerror}") from error
    return path


def update_lock(options: ProjectOptions) -> str:
    """Write the lock file for the werf-includes.yaml of the work tree; its path. Raises WerfError."""
    from pywerf.source.git_project import GitProject

    directory = GitProject(options.dir, options.git_work_tree).directory
    path = os.path.join(directory, INCLUDES)
    try:
        with open(path, encoding="utf-8") as file:
            includes = parse_includes(file.read())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {getattr(error, 'strerror', None) or 'is not text in UTF-8'}") from error
    return write_lock(directory, includes, newest_commits(includes, options.home_dir))


def _tree(include: Include, commit: str, home: str) -> GitTree:
    from pywerf.source.git import GitRepository, mirror_path
    from pywerf.source.git_objects import GitObjects
    from pywerf.source.git_tree import GitTree

    path = mirror_path(include.git, _mirrors(home))
    objects = GitObjects(path)
    if commit in objects:
        with suppress(OSError):
            os.utime(path)  # when it was last used, for whoever makes room
        tree = GitTree(objects, commit)
    else:
        try:
            repository = GitRepository(include.git, _mirrors(home), credentials=_credentials(include))
            # A shallow server may not give a commit that no ref points to: the ref that it was at is asked for first.
            if not include.commit and repository.fetch(include.ref) != commit:
                repository.fetch(commit)
            tree = repository.tree(repository.fetch(commit), submodules=False)
        except ContextError as error:
            raise _placed(error, include) from error
    if include.add:
        node = tree.lstat(include.add)
        if node is None or node.kind != "dir":
            raise ConfigError(
                f"{INCLUDES}:{include.line}: add: no directory {include.add} in commit {commit[:12]} of "
                f"{redact(include.git)}"
            )
    return tree


def _mirrors(home: str) -> str:
    return os.path.join(werf_home(home), "git-mirrors")


def _placed(error: ContextError, include: Include) -> ContextError:
    """The error with the entry's place, and hints for those who write includes."""
    hint = error.hint
    if "no branch, tag or commit" in error.message:
        hint = "git ls-remote shows the branches and tags"
    elif hint and "GIT_AUTH" in hint:
        hint = "basicAuth gives user and password for http and https; ssh takes the agent's keys"
    return ContextError(f"{INCLUDES}:{include.line}: {error.message}", hint=hint)


def _credentials(include: Include) -> GitCredentials | None:
    """What basicAuth says, for the entry's host alone."""
    from pywerf.source.git_access import GitCredentials

    if include.basic_auth is None:
        return None
    import base64

    pair = f"{include.basic_auth.username}:{_password(include, include.basic_auth)}"
    return GitCredentials(header=f"basic {base64.b64encode(pair.encode()).decode()}")


def _password(include: Include, auth: BasicAuth) -> str:
    where = f"{INCLUDES}:{include.line}: basicAuth"
    if auth.env is not None:
        if auth.env not in os.environ:
            raise ConfigError(f"{where}: the variable {auth.env} is not set")
        return os.environ[auth.env]
    if auth.src is not None:
        try:
            with open(os.path.expanduser(auth.src), encoding="utf-8") as file:
                return file.read().rstrip("\n")
        except OSError as error:
            raise ConfigError(f"{where}: {auth.src}: {error.strerror}") from error
    return auth.value or ""


def _text(files: ConfigFiles, name: str) -> str | None:
    """A file of the commit, whatever else is permitted; None when there is none anywhere."""
    if files.node(name) is None:
        if files.checked and os.path.lexists(os.path.join(files.git.directory, name)):
            files.read(name)  # the error that it is not committed
        return None
    try:
        return files.read(name).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name} is not text in UTF-8") from error
