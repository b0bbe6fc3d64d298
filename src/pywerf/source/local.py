"""A folder of the file system as a build context: what its ignore file leaves, and nothing outside of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NoReturn

from pywerf.errors import ContextError
from pywerf.linux.dirtree import DirectoryHandles, layer_xattrs, node_of, open_file, sort_nodes
from pywerf.util.filetree import Kind, Node, join

if TYPE_CHECKING:
    from pywerf.source.dockerignore import IgnoreRules

__all__ = ["LocalTree"]

_KINDS: Final[dict[int, Kind]] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
_OPEN_DIR: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# What a path that leads nowhere fails with: missing, a file on the way, a symlink on the way.
_NOWHERE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_MAX_DEPTH: Final = 64  # descriptors that a walk holds on its way down


class LocalTree:
    """A FileTree over the folder `root`, without what `ignore` leaves out.

    Every path is opened name by name without following symlinks: nothing outside of the folder is reached,
    whoever changes it meanwhile. A directory that is ignored is there nevertheless when something in it is
    not. One tree is one look at a folder: make a new one for each build. Its methods may be called from
    several threads. What cannot be read is a ContextError that names the path.
    """

    __slots__ = ("_handles", "_reached", "ignore", "root")

    def __init__(self, root: str, ignore: IgnoreRules | None = None) -> None:
        self.root = os.path.realpath(root)
        self.ignore = ignore
        self._reached: dict[str, bool] = {}
        self._handles = DirectoryHandles((self.root,))
        try:
            self._handles.get("")
        except OSError as error:
            hint = "the build context is a folder, a tar archive, a URL or - for stdin"
            raise ContextError(f"cannot open the build context {root}: {error.strerror}", hint=hint) from error

    def lstat(self, path: str) -> Node | None:
        """The file at `path`, or None when there is none or it is ignored."""
        node = self._lstat(path)
        if node is None or (self.ignore is not None and self._hidden(path, node.kind == "dir")):
            return None
        return node

    def scandir(self, path: str) -> list[Node]:
        """The files of a directory that are not ignored, sorted by the bytes of their names."""
        rules = self.ignore
        state = rules.state_of(path) if rules is not None else -1
        if rules is not None and path and rules.ignores(state) and not self._something_stays(path, state):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        try:
            fd = self._open_folder(path)
        except OSError as error:
            if error.errno in _NOWHERE:
                number = errno.ENOTDIR if self._lstat(path) is not None else errno.ENOENT
                raise OSError(number, os.strerror(number), path) from error
            self._fail(path, error)
        try:
            nodes = self._entries(fd, path)
        finally:
            os.close(fd)
        if rules is None:
            return nodes
        prefix = f"{path}/" if path else ""
        stays = rules.files(prefix.count("/"), state)
        return [
            node
            for node in nodes
            if (
                not self._folder_hidden(prefix + node.name, state)
                if node.kind == "dir"
                else stays
                if isinstance(stays, bool)
                else stays(prefix + node.name)
            )
        ]

    def readlink(self, path: str) -> str:
        """The target of a symlink, as it stands there."""
        parent, _, name = path.rpartition("/")
        try:
            return os.readlink(name, dir_fd=self._handles.get(parent).fd)
        except OSError as error:
            self._fail(path, error)

    def open(self, path: str) -> int:
        """A descriptor of a regular file; the caller closes it."""
        parent, _, name = path.rpartition("/")
        try:
            return open_file(name, self._handles.get(parent).fd)
        except OSError as error:
            self._fail(path, error)

    def xattrs(self, path: str) -> dict[str, bytes]:
        """security.capability and user.* of a file; {} where the file system has none."""
        parent, _, name = path.rpartition("/")
        try:
            # Only the last name is looked up, in the open directory: nothing is followed (proc(5), /proc/self/fd).
            return layer_xattrs(f"/proc/self/fd/{self._handles.get(parent).fd}/{name or '.'}")
        except OSError as error:
            self._fail(path, error)

    def walk(self, path: str = "") -> Iterator[tuple[str, Node]]:
        """(path relative to the directory `path`, node) of all that is inside of it, in component order.

        Component order: names sorted by their bytes, a directory before what is in it. The directory itself is
        not among them. Directories that are ignored as a whole are not read. What vanishes meanwhile is left out.
        """
        rules = self.ignore
        if rules is None:
            return self._walk(path)
        found = self._walk_filtered(path, rules.state_of(path), rules)
        if not path:
            return found
        skip = len(path) + 1
        return ((here[skip:], node) for here, node in found)

    def _walk(self, path: str) -> Iterator[tuple[str, Node]]:
        levels = _Levels(self)
        try:
            nodes: Iterator[Node] = iter(levels.enter(path))
            prefix = ""
            above: list[tuple[Iterator[Node], str]] = []
            while True:
                for node in nodes:
                    here = prefix + node.name
                    yield here, node
                    if node.kind == "dir":
                        above.append((nodes, prefix))
                        nodes = iter(levels.enter(join(path, here)))
                        prefix = here + "/"
                        break
                else:
                    levels.leave()
                    if not above:
                        return
                    nodes, prefix = above.pop()
        finally:
            levels.close()

    def _walk_filtered(self, path: str, state: int, rules: IgnoreRules) -> Iterator[tuple[str, Node]]:
        """As `_walk`, with paths from the tree's root: that is what the rules are about."""
        levels = _Levels(self)
        waiting: list[tuple[str, Node]] = []  # ignored directories: they appear with the first that is not
        above: list[tuple[Iterator[Node], str, int, bool | Callable[[str], bool]]] = []
        try:
            nodes: Iterator[Node] = iter(levels.enter(path))
            prefix = f"{path}/" if path else ""
            stays = rules.files(prefix.count("/"), state)
            while True:
                for node in nodes:
                    here = prefix + node.name
                    if node.kind != "dir":
                        if stays is False or (stays is not True and not stays(here)):
                            continue
                        if waiting:
                            yield from waiting
                            waiting.clear()
                        yield here, node
                        continue
                    inner = rules.child_state(here, state)
                    if rules.ignores(inner):
                        if not rules.enters(here, inner):
                            continue
                        waiting.append((here, node))
                    else:
                        if waiting:
                            yield from waiting
                            waiting.clear()
                        yield here, node
                    above.append((nodes, prefix, state, stays))
                    nodes, prefix, state = iter(levels.enter(here)), here + "/", inner
                    stays = rules.files(prefix.count("/"), state)
                    break
                else:
                    levels.leave()
                    if not above:
                        return
                    if waiting and waiting[-1][0] == prefix[:-1]:
                        waiting.pop()
                    nodes, prefix, state, stays = above.pop()
        finally:
            levels.close()

    def _hidden(self, path: str, is_dir: bool) -> bool:
        if self.ignore is None or not path:
            return False
        state = self.ignore.state_of(path)
        return self.ignore.ignores(state) and not (is_dir and self._something_stays(path, state))

    def _folder_hidden(self, path: str, parent_state: int) -> bool:
        assert self.ignore is not None
        state = self.ignore.child_state(path, parent_state)
        return self.ignore.ignores(state) and not self._something_stays(path, state)

    def _something_stays(self, path: str, state: int) -> bool:
        """Whether there is anything in an ignored directory that is not ignored."""
        assert self.ignore is not None
        if not self.ignore.enters(path, state):
            return False
        known = self._reached.get(path)
        if known is None:
            known = next(self._walk_filtered(path, state, self.ignore), None) is not None
            self._reached[path] = known
        return known

    def _lstat(self, path: str) -> Node | None:
        parent, _, name = path.rpartition("/")
        try:
            folder = self._handles.get(parent)
            found = os.lstat(name, dir_fd=folder.fd) if name else os.fstat(folder.fd)
        except OSError as error:
            if error.errno in _NOWHERE:
                return None
            self._fail(path, error)
        return node_of(name, found)

    def _open_folder(self, path: str) -> int:
        """A descriptor for reading the directory's names. Raises OSError."""
        return os.open(".", _OPEN_DIR, dir_fd=self._handles.get(path).fd)

    def _entries(self, fd: int, path: str) -> list[Node]:
        try:
            with os.scandir(fd) as entries:
                found = list(entries)
            try:
                pairs = [(entry.name, entry.stat(follow_symlinks=False)) for entry in found]
            except FileNotFoundError:  # something vanished between the two: take what is left
                pairs = []
                for entry in found:
                    try:
                        pairs.append((entry.name, os.lstat(entry.name, dir_fd=fd)))
                    except FileNotFoundError:
                        continue
        except OSError as error:
            self._fail(path, error)
        kinds = _KINDS
        return sort_nodes(
            [
                Node(
                    name,
                    kinds[(mode := found.st_mode) & 0o170000],
                    mode & 0o7777,
                    found.st_uid,
                    found.st_gid,
                    found.st_size,
                    found.st_mtime_ns,
                    found.st_rdev,
                    found.st_ino,
                    found.st_dev,
                    found.st_nlink,
                    found.st_ctime_ns,
                )
                for name, found in pairs
            ]
        )

    def _fail(self, path: str, error: OSError) -> NoReturn:
        hint = None
        if error.errno in (errno.EACCES, errno.EPERM):
            hint = f"make it readable, or leave it out: a line {path!r} in .dockerignore"
        where = f"{path} in {self.root}" if path else self.root
        raise ContextError(f"cannot read {where}: {error.strerror}", hint=hint) from error


class _Levels:
    """The descriptors of a walk, one for each directory on the way down; the upper ones of a deep way are closed."""

    __slots__ = ("_fds", "_paths", "_tree")

    def __init__(self, tree: LocalTree) -> None:
        self._tree = tree
        self._fds: list[int] = []
        self._paths: list[str] = []

    def enter(self, path: str) -> list[Node]:
        """Go down into a directory; gives what is in it: nothing when it went away."""
        tree = self._tree
        fd = -1
        try:
            if not self._fds:
                fd = tree._open_folder(path)
            else:
                if self._fds[-1] < 0:
                    self._fds[-1] = tree._open_folder(self._paths[-1])
                fd = os.open(path.rpartition("/")[2], _OPEN_DIR, dir_fd=self._fds[-1])
        except OSError as error:
            if error.errno not in _NOWHERE:
                tree._fail(path, error)
        self._fds.append(fd)
        self._paths.append(path)
        if len(self._fds) > _MAX_DEPTH and self._fds[-_MAX_DEPTH] >= 0:
            os.close(self._fds[-_MAX_DEPTH])
            self._fds[-_MAX_DEPTH] = -1
        return tree._entries(fd, path) if fd >= 0 else []

    def leave(self) -> None:
        """Go up again."""
        fd = self._fds.pop()
        self._paths.pop()
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        """Close what is still open."""
        while self._fds:
            self.leave()
