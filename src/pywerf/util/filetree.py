"""File trees that can be read by path: folders, snapshots, git trees. What COPY and friends work on.

Paths are relative to the tree's root, with `/` between names, without `.`, `..`, leading or trailing
slash; the root is `""`. Names that are not UTF-8 are in Python's surrogateescape form (os.fsdecode).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, Protocol, TypeGuard

import msgspec

from pywerf.errors import ContextError

__all__ = [
    "ContentAddressed",
    "Excluded",
    "FileTree",
    "Kind",
    "Node",
    "Revisioned",
    "Walkable",
    "is_content_addressed",
    "is_revisioned",
    "is_walkable",
    "join",
    "resolve",
    "walk",
]

Kind = Literal["file", "dir", "symlink", "char", "block", "fifo", "socket"]
Excluded = Callable[[str], bool]
MAX_SYMLINKS = 40


class Node(msgspec.Struct, frozen=True, gc=False):
    """One file as lstat(2) sees it. `mode` is the permission bits (0o7777) alone; times in nanoseconds.

    `ino`, `dev` and `ctime_ns` are 0 where the tree has no such thing; `nlink` is 1 there.
    """

    name: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    rdev: int = 0
    ino: int = 0
    dev: int = 0
    nlink: int = 1
    ctime_ns: int = 0


class FileTree(Protocol):
    """A tree of files. No method follows a symlink, not even in the middle of a path: see `resolve`."""

    def lstat(self, path: str) -> Node | None:
        """The file at `path`, or None when there is none (or when something on the way is no directory)."""

    def scandir(self, path: str) -> list[Node]:
        """A directory's files, sorted by the bytes of their names. FileNotFoundError, NotADirectoryError."""

    def readlink(self, path: str) -> str:
        """The target of a symlink, as it stands there."""

    def open(self, path: str) -> int:
        """A descriptor of a regular file, for reading from its beginning; the caller closes it."""

    def xattrs(self, path: str) -> dict[str, bytes]:
        """The extended attributes that belong into a layer (security.capability, user.*); {} mostly."""


class ContentAddressed(FileTree, Protocol):
    """A tree that knows an identity of each file's content without reading it (git's blob ids)."""

    def content_id(self, path: str) -> bytes:
        """Equal for equal content, different otherwise; never equal to a content_id of another kind of tree."""


class Revisioned(FileTree, Protocol):
    """A tree whose whole content has a name that is known without reading (the id of a git tree, say).

    The name is equal only for equal content. What was found out about such a tree can be kept under it.
    """

    @property
    def revision(self) -> str:
        """The name; "" when there is none after all."""


class Walkable(FileTree, Protocol):
    """A tree that lists all below a directory at once, faster than one directory after another."""

    def walk(self, path: str = "") -> Iterator[tuple[str, Node]]:
        """(path relative to `path`, node) of all in it, in component order."""


# Not by isinstance with protocols checkable at run time: from Python 3.12 on that loads `inspect`, which takes longer
# than all of the rest here.
def is_content_addressed(tree: FileTree) -> TypeGuard[ContentAddressed]:
    """Whether the tree names contents without reading them."""
    return hasattr(tree, "content_id")


def is_revisioned(tree: FileTree) -> TypeGuard[Revisioned]:
    """Whether the whole tree may have a name that is known without reading."""
    return hasattr(tree, "revision")


def is_walkable(tree: FileTree) -> TypeGuard[Walkable]:
    """Whether the tree lists all below a directory at once."""
    return hasattr(tree, "walk")


def join(folder: str, name: str) -> str:
    """A path in a tree from a folder (maybe the root, `""`) and a name."""
    return f"{folder}/{name}" if folder else name


def resolve(tree: FileTree, path: str, *, follow_last: bool = True) -> str:
    """`path` (absolute or relative, `.` and `..` allowed) with every symlink followed inside the tree.

    What does not exist stays as written; `..` never leaves the root. Raises ContextError for a loop.
    """
    done: list[str] = []
    todo = [part for part in reversed(path.split("/")) if part and part != "."]
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            if done:
                done.pop()
            continue
        done.append(part)
        if not todo and not follow_last:
            break
        here = "/".join(done)
        node = tree.lstat(here)
        if node is None or node.kind != "symlink":
            continue
        links += 1
        if links > MAX_SYMLINKS:
            raise ContextError(f"{path}: too many levels of symbolic links")
        target = tree.readlink(here)
        done.pop()
        if target.startswith("/"):
            done.clear()
        todo.extend(part for part in reversed(target.split("/")) if part and part != ".")
    return "/".join(done)


def walk(tree: FileTree, top: str, excluded: Excluded | None = None) -> Iterator[tuple[str, Node]]:
    """(path below `top`, node) of all in the directory `top`, in component order: a directory before what is in it.

    What is `excluded` is left out, a directory with all that is in it.
    """
    if is_walkable(tree):
        if excluded is None:
            yield from tree.walk(top)
            return
        without = "/"  # the last directory that was left out, with a slash: no path begins with a mere slash
        for path, node in tree.walk(top):
            if path.startswith(without):
                continue
            if excluded(path):
                without = path + "/"
            else:
                yield path, node
        return
    stack: list[tuple[str, Iterator[Node]]] = [("", iter(tree.scandir(top)))]
    while stack:
        folder, nodes = stack[-1]
        for node in nodes:
            path = join(folder, node.name)
            if excluded is not None and excluded(path):
                continue
            yield path, node
            if node.kind == "dir":
                stack.append((path, iter(tree.scandir(join(top, path)))))
                break
        else:
            stack.pop()
