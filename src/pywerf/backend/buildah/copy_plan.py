"""What COPY, ADD and WORKDIR put into a file system: planned in memory, on top of a tree that is only read.

The rules are BuildKit's (fsutil copy): the contents of a source directory are copied, not itself; parents
that are missing are made 0755; a directory that is there keeps its owner and mode when it is the destination
itself, and takes the source's when it is met further down; a file replaces a file or a symlink, never a directory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from pywerf.errors import BuildError
from pywerf.util.filetree import FileTree, Node, join, resolve

__all__ = ["CopyPlan", "ModeChange", "Planned"]

ModeChange = Callable[[int, bool], int]


class Planned:
    """One entry of the layer to be. `tree` and `source` say where the data of a file and its xattrs are;

    `data` is the content itself when it is small and made up; `spool` (descriptor, offset) a place in a file.
    `link` is a number that entries which are one file (hard links) share, 0 for none; `parent` marks a
    directory that is only there because something in it changed.
    """

    __slots__ = (
        "data",
        "link",
        "node",
        "parent",
        "source",
        "spool",
        "target",
        "tree",
        "xattrs",
    )

    def __init__(
        self,
        node: Node,
        tree: FileTree | None = None,
        source: str = "",
        *,
        data: bytes | None = None,
        spool: tuple[int, int] | None = None,
        link: int = 0,
        target: str = "",
        parent: bool = False,
        xattrs: dict[str, bytes] | None = None,
    ) -> None:
        self.node = node
        self.tree = tree
        self.source = source
        self.data = data
        self.spool = spool
        self.link = link
        self.target = target
        self.parent = parent
        self.xattrs = xattrs


class _PlannedView:
    """The tree below with the planned entries on top: what path resolution has to look at."""

    __slots__ = ("_plan", "_prefix")

    def __init__(self, plan: CopyPlan, prefix: str = "") -> None:
        self._plan = plan
        self._prefix = prefix

    def lstat(self, path: str) -> Node | None:
        path = self._prefix + path
        entry = self._plan.entries.get(path)
        return entry.node if entry is not None else self._plan.below(path)

    def readlink(self, path: str) -> str:
        path = self._prefix + path
        entry = self._plan.entries.get(path)
        if entry is None:
            assert self._plan.lower is not None
            return self._plan.lower.readlink(path)
        if entry.tree is not None:
            return entry.tree.readlink(entry.source)
        return entry.target

    def scandir(self, path: str) -> list[Node]:
        raise NotADirectoryError(path)

    def open(self, path: str) -> int:
        raise FileNotFoundError(path)

    def xattrs(self, path: str) -> dict[str, bytes]:
        return {}


class CopyPlan:
    """Collects entries by path. `lower` is the file system that is copied into, None for an empty one.

    `owner` (uid, gid) is given to everything that is copied and made, None keeps the sources' owners (and
    makes new directories root's); `mode` changes modes of what is copied; `made_ns` is the time of directories made.
    """

    def __init__(
        self,
        lower: FileTree | None,
        *,
        owner: tuple[int, int] | None,
        mode: ModeChange | None,
        made_ns: int,
    ) -> None:
        self.lower = lower
        self.owner = owner
        self.mode = mode
        self.made_ns = made_ns
        self.entries: dict[str, Planned] = {}
        self.links = 0  # how many groups of hard links there are
        self._new: set[str] = set()  # directories that do not exist below: nothing in them does either
        self._view = _PlannedView(self)

    def below(self, path: str) -> Node | None:
        """What the file system below has at `path`."""
        if self.lower is None or path.rpartition("/")[0] in self._new:
            return None
        return self.lower.lstat(path)

    def resolve(self, path: str, *, root: str = "", follow_last: bool = True) -> str:
        """`path` with symlinks followed, those planned here included.

        With a `root`, a directory that is resolved already, `path` is one below it, and no link leads out of it.
        """
        if not root:
            return resolve(self._view, path, follow_last=follow_last)
        return join(root, resolve(_PlannedView(self, f"{root}/"), path, follow_last=follow_last)).rstrip("/")

    def lstat(self, path: str) -> Node | None:
        """What is at `path` once the plan is carried out."""
        return self._view.lstat(path)

    def make_directories(self, path: str) -> None:
        """`path` and its parents are directories: those missing are made 0755. Symlinks are not followed."""
        if not path or path in self.entries:
            self._must_be_directory(path)
            return
        folder = path.rpartition("/")[0]
        self.make_directories(folder)
        node = self.below(path)
        if node is None:
            uid, gid = self.owner or (0, 0)
            name = path.rpartition("/")[2]
            self.entries[path] = Planned(Node(name, "dir", 0o755, uid, gid, 0, self.made_ns))
            self._new.add(path)
        elif node.kind == "dir":
            self.entries[path] = Planned(node, self.lower, path, parent=True)
        else:
            raise BuildError(f"mkdir /{path}: not a directory")

    def copy_directory(
        self,
        tree: FileTree,
        source: str,
        entries: Iterable[tuple[str, Node]],
        target: str,
    ) -> None:
        """Copy what is in the directory `source` (`entries`: paths below it) to `target`, which is resolved."""
        self.make_directories(target)
        put = self.put
        prefix = f"{target}/" if target else ""
        origin = f"{source}/" if source else ""
        for path, node in entries:
            put(prefix + path, node, tree, origin + path)

    def copy_file(self, tree: FileTree, source: str, node: Node, target: str) -> None:
        """Copy one file that is no directory to `target`, resolved."""
        self.make_directories(target.rpartition("/")[0])
        self.put(target, node, tree, source)

    def put(
        self,
        path: str,
        node: Node,
        tree: FileTree | None,
        source: str,
        *,
        replace: bool = False,
        **how: object,
    ) -> None:
        """Plan one entry, whose parents are planned already.

        A file never takes the place of a directory, nor a directory that of a file, but with `replace`, as an archive
        that is unpacked does it: then what was there is gone with all that was in it.
        """
        kind = node.kind
        if kind == "socket":
            return
        if path.rpartition("/")[0] not in self._new or path in self.entries:
            there = self._view.lstat(path)
            if there is not None and (there.kind == "dir") != (kind == "dir"):
                if replace:
                    self._drop_below(path)
                    if kind == "dir":
                        self._new.add(path)
                elif kind == "dir":
                    raise BuildError(f"cannot copy to non-directory: /{path}")
                else:
                    raise BuildError(f"cannot replace directory with file: /{path}")
            if there is None and kind == "dir":
                self._new.add(path)
        elif kind == "dir":
            self._new.add(path)
        uid, gid = self.owner if self.owner is not None else (node.uid, node.gid)
        mode = node.mode
        if self.mode is not None and kind != "symlink":
            mode = self.mode(mode, kind == "dir")
        if uid != node.uid or gid != node.gid or mode != node.mode:
            node = msgspec.structs.replace(node, uid=uid, gid=gid, mode=mode)
        self.entries[path] = Planned(node, tree, source, **how)  # type: ignore[arg-type]  # Planned's own keywords

    def _drop_below(self, path: str) -> None:
        prefix = f"{path}/"
        for other in [other for other in self.entries if other.startswith(prefix)]:
            del self.entries[other]
        self._new = {other for other in self._new if other != path and not other.startswith(prefix)}

    def put_parents_of(self, path: str) -> None:
        """Plan the directories above `path`, those of the tree below as they are."""
        self.make_directories(path.rpartition("/")[0])

    def _must_be_directory(self, path: str) -> None:
        entry = self.entries.get(path)
        if entry is not None and entry.node.kind != "dir":
            raise BuildError(f"mkdir /{path}: not a directory")

    def sorted(self) -> list[tuple[str, Planned]]:
        """The entries in the order of a layer: by path, component by component."""
        items = list(self.entries.items())
        items.sort(key=_component_order)
        return items


def _component_order(item: tuple[str, Planned]) -> bytes:
    return item[0].replace("/", "\0").encode("utf-8", "surrogateescape")
