"""What a COPY takes: its sources, wildcards expanded, in the order in which they were named."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable

from pywerf.backend.buildah.copy_plan import walk
from pywerf.backend.buildah.files import Files
from pywerf.errors import BuildError
from pywerf.graph.op import CopyOp
from pywerf.oci.digest import Digest
from pywerf.source.digests import content_digest
from pywerf.source.patterns import PatternMatcher, glob, has_wildcard
from pywerf.util.filetree import FileTree, Node, resolve

__all__ = ["Selected", "content_of", "select", "shape_of"]

_MISSING = "check the path, and that .dockerignore does not leave it out"


class Selected:
    """One source: `path` is its place in the tree (symlinks followed), `written` that before, `name` its last name."""

    __slots__ = ("_entries", "_excluded", "name", "node", "path", "written")

    def __init__(self, path: str, node: Node, written: str, excluded: Callable[[str], bool] | None) -> None:
        self.path = path
        self.node = node
        self.written = written
        self.name = posixpath.basename(written)
        self._excluded = excluded
        self._entries: list[tuple[str, Node]] | None = None

    def entries(self, tree: FileTree) -> list[tuple[str, Node]]:
        """(path below the source, node) of all in a source directory that is not excluded, in order."""
        if self._entries is None:
            excluded = self._excluded
            if excluded is None:
                self._entries = list(walk(tree, self.path))
            else:
                self._entries = [item for item in walk(tree, self.path) if not excluded(item[0])]
        return self._entries


def select(tree: FileTree, op: CopyOp, where: str) -> list[Selected]:
    """The sources of a COPY in `tree`; `where` names the tree in errors. Raises BuildError when one is missing.

    A wildcard may match nothing, as BuildKit has it.
    """
    excluded = PatternMatcher(op.exclude).matches_or_parent_matches if op.exclude else None
    found: list[Selected] = []
    for source in op.sources:
        cleaned = posixpath.normpath("/" + source).lstrip("/")
        wild = has_wildcard(cleaned)
        matches = glob(tree, cleaned) if wild else [cleaned]
        for match in matches:
            path = resolve(tree, match)
            node = tree.lstat(path) if path else Node("", "dir", 0o755, 0, 0, 0, 0)
            if node is None:
                raise BuildError(f'"/{cleaned}": not found in {where}', hint=_MISSING)
            if excluded is None or node.kind == "dir" or not excluded(posixpath.basename(match)):
                found.append(Selected(path, node, match, excluded))
    return found


def shape_of(selected: list[Selected], tree: FileTree, op_digest: str) -> str:
    """A digest of names, kinds, modes and sizes: other shape, other content; nothing is read for it."""
    import msgspec

    listing = [
        (
            item.written,
            _shape(item.path, item.node),
            [_shape(*entry) for entry in item.entries(tree)] if item.node.kind == "dir" else [],
        )
        for item in selected
    ]
    try:
        encoded = msgspec.msgpack.encode(listing)
    except UnicodeEncodeError:  # names that are not UTF-8
        encoded = repr(listing).encode("utf-8", "surrogateescape")
    return hashlib.sha256(op_digest.encode() + encoded).hexdigest()


def _shape(path: str, node: Node) -> tuple[str, str, int, int]:
    return (path, node.kind, node.mode, node.size if node.kind == "file" else 0)


def _listing(item: Selected, tree: FileTree) -> list[tuple[str, Node]]:
    """The source as it was seen when it was selected, and all that is in it: what is changed later is not meant."""
    entries = item.entries(tree) if item.node.kind == "dir" else []
    return [("", item.node), *entries] if item.path else entries


def content_of(selected: list[Selected], source: Files, op: CopyOp) -> Digest:
    """The digest of what is copied: contents, modes, owners (unless they are set anyway); no times."""
    tree = source.tree
    return content_digest(
        tree,
        [(item.written, item.path) for item in selected],
        digests=source.digests,
        owners=op.keep_owner and op.owner is None,
        listed={item.path: _listing(item, tree) for item in selected},
    )
