"""The files of a git commit as a FileTree, read from the object database: nothing is checked out."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping

from pywerf.errors import ContextError
from pywerf.source.git_objects import GitObjects, commit_time, commit_tree, tree_entries
from pywerf.source.wildcards import clean
from pywerf.util.filetree import Kind, Node, join

__all__ = ["GitTree", "pinned_submodules"]

_TREE = 0o040000
_LINK = 0o120000
_SUBMODULE = 0o160000


class GitTree:
    """The tree of `commit` from the folder `subdir` on.

    Files have the modes 0644 and 0755, folders 0755, all belong to root and have the time of the commit
    (committer's time: unlike the time of a checkout it is the same at every build). Submodules are folders: empty,
    or with what `with_submodules` gave them. Methods may be called from several threads.
    """

    __slots__ = ("_root", "_seconds", "_submodules", "_trees", "commit", "objects", "subdir")

    def __init__(
        self,
        objects: GitObjects,
        commit: str,
        subdir: str = "",
        *,
        submodules: Mapping[str, GitTree] | None = None,
        same: GitTree | None = None,
    ) -> None:
        """`same`: another tree of the commit, which has read some of its objects already."""
        self.objects = objects
        self.commit = commit
        self.subdir = subdir
        self._submodules: dict[str, GitTree] = dict(submodules or {})  # by their path in the whole commit
        self._seconds: int
        self._root: str
        self._trees: dict[str, dict[str, tuple[int, str]]]  # by their path in the whole commit, too
        if same is None:
            _, data = objects.read(commit)
            self._seconds = commit_time(data)[0]
            self._root = commit_tree(data)
            self._trees = {"": tree_entries(objects.read(self._root)[1])}
        else:
            self._seconds, self._root, self._trees = same._seconds, same._root, same._trees
        if subdir and (self.lstat("") is None):
            raise ContextError(
                f"no folder {subdir!r} in commit {commit[:12]}",
                hint="the part of the URL behind # is BRANCH_OR_TAG_OR_COMMIT[:FOLDER]",
            )

    def with_submodules(self, submodules: Mapping[str, GitTree]) -> GitTree:
        """The same tree with trees in the places of its submodules, by their paths in the whole commit."""
        return GitTree(self.objects, self.commit, self.subdir, submodules=submodules, same=self)

    def below(self, subdir: str) -> GitTree:
        """The tree from a folder on. Raises ContextError when there is no such folder."""
        place, inner = self._enter(clean("/" + subdir)[1:])
        if inner is not None:
            return inner.below(place) if place else inner
        return GitTree(self.objects, self.commit, place, submodules=self._submodules, same=self)

    def lstat(self, path: str) -> Node | None:
        """See FileTree."""
        place, inner = self._enter(path)
        name = path.rpartition("/")[2]
        if inner is not None:
            node = inner.lstat(place)
            return node if place or node is None else self._node(name, _TREE, "")
        entry = self._entry(place)
        if entry is None or (not path and entry[0] != _TREE):
            return None
        return self._node(name, *entry)

    def scandir(self, path: str) -> list[Node]:
        """See FileTree."""
        place, inner = self._enter(path)
        if inner is not None:
            return inner.scandir(place)
        tree = self._tree(place)
        if tree is None:
            entry = self._entry(place)
            if entry is not None and entry[0] == _SUBMODULE:
                return []
            number = errno.ENOENT if entry is None else errno.ENOTDIR
            raise OSError(number, os.strerror(number), path)
        nodes = [self._node(name, mode, oid) for name, (mode, oid) in tree.items()]
        nodes.sort(key=lambda node: os.fsencode(node.name))  # git sorts a folder as if its name ended in a slash
        return nodes

    def readlink(self, path: str) -> str:
        """See FileTree."""
        place, inner = self._enter(path)
        if inner is not None:
            return inner.readlink(place)
        return os.fsdecode(self._blob(path, place, links=True))

    def open(self, path: str) -> int:
        """See FileTree: a descriptor of a file in memory."""
        place, inner = self._enter(path)
        if inner is not None:
            return inner.open(place)
        data = self._blob(path, place, links=False)
        fd = os.memfd_create("git", os.MFD_CLOEXEC)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def xattrs(self, path: str) -> dict[str, bytes]:
        """See FileTree: git knows none."""
        return {}

    def content_id(self, path: str) -> bytes:
        """The id of a file's blob: equal for equal content, known without reading."""
        place, inner = self._enter(path)
        if inner is not None:
            return inner.content_id(place)
        entry = self._entry(place)
        if entry is None or entry[0] in (_TREE, _SUBMODULE):
            raise ContextError(f"{path}: no file in commit {self.commit[:12]}")
        return b"git blob " + bytes.fromhex(entry[1])

    @property
    def tree_id(self) -> str:
        """The id of this tree's object: equal trees of equal commits of submodules have equal ids."""
        entry = self._entry(self.subdir)
        assert entry is not None
        return entry[1]

    def walk(self, path: str = "") -> Iterator[tuple[str, Node]]:
        """(path relative to the directory `path`, node) of all that is inside of it, in component order."""
        above: list[tuple[Iterator[Node], str]] = []
        nodes, prefix = iter(self._scandir_or_nothing(path)), ""
        while True:
            for node in nodes:
                here = prefix + node.name
                yield here, node
                if node.kind == "dir":
                    above.append((nodes, prefix))
                    nodes, prefix = iter(self.scandir(join(path, here))), here + "/"
                    break
            else:
                if not above:
                    return
                nodes, prefix = above.pop()

    def _scandir_or_nothing(self, path: str) -> list[Node]:
        node = self.lstat(path)
        return [] if node is None or node.kind != "dir" else self.scandir(path)

    def _enter(self, path: str) -> tuple[str, GitTree | None]:
        """The place in the whole commit, and None; or the place in a submodule, and its tree."""
        place = join(self.subdir, path) if path else self.subdir
        for at, tree in self._submodules.items():
            if place == at:
                return "", tree
            if place.startswith(at + "/"):
                return place[len(at) + 1 :], tree
        return place, None

    def _tree(self, place: str) -> dict[str, tuple[int, str]] | None:
        tree = self._trees.get(place)
        if tree is None:
            entry = self._entry(place)
            if entry is None or entry[0] != _TREE:
                return None
            tree = self._trees[place] = tree_entries(self._object(entry[1]))
        return tree

    def _entry(self, place: str) -> tuple[int, str] | None:
        """(mode, object id) of a path of the whole commit."""
        if not place:
            return _TREE, self._root
        names = place.split("/")
        if any(name in ("", ".", "..") for name in names):
            return None
        done = len(names) - 1
        while done and "/".join(names[:done]) not in self._trees:
            done -= 1
        tree = self._trees["/".join(names[:done])]
        for index in range(done, len(names)):
            entry = tree.get(names[index])
            if entry is None or index == len(names) - 1:
                return entry
            if entry[0] != _TREE:
                return None
            tree = self._trees["/".join(names[: index + 1])] = tree_entries(self._object(entry[1]))
        return None

    def _object(self, oid: str) -> bytes:
        try:
            return self.objects.read(oid)[1]
        except KeyError as error:
            raise ContextError(
                f"commit {self.commit[:12]}: the object {oid[:12]} is missing or damaged",
                hint="git fsck tells more; a partial clone has not all objects",
            ) from error

    def _node(self, name: str, mode: int, oid: str) -> Node:
        kind: Kind = "dir" if mode in (_TREE, _SUBMODULE) else "symlink" if mode == _LINK else "file"
        size = 0 if kind == "dir" else self.objects.size(oid)
        permissions = 0o777 if kind == "symlink" else 0o755 if kind == "dir" or mode & 0o100 else 0o644
        return Node(name, kind, permissions, 0, 0, size, self._seconds * 1_000_000_000)

    def _blob(self, path: str, place: str, *, links: bool) -> bytes:
        entry = self._entry(place)
        if entry is None:
            raise ContextError(f"{path}: no such file in commit {self.commit[:12]}")
        if entry[0] in (_TREE, _SUBMODULE) or (entry[0] == _LINK) != links:
            raise ContextError(f"{path}: not a {'symlink' if links else 'regular file'}")
        return self._object(entry[1])


def pinned_submodules(tree: GitTree) -> list[tuple[str, str, str]]:
    """(path, commit, URL as written) of the submodules of a commit that .gitmodules names and the tree pins."""
    from pywerf.source.git_modules import read_modules

    node = tree.lstat(".gitmodules")
    if node is None or node.kind != "file":
        return []
    fd = tree.open(".gitmodules")
    try:
        text = os.read(fd, node.size).decode("utf-8", "surrogateescape")
    finally:
        os.close(fd)
    found: list[tuple[str, str, str]] = []
    for path, url in read_modules(text):
        entry = tree._entry(path)
        if entry is not None and entry[0] == _SUBMODULE:
            found.append((path, entry[1], url))
    return found
