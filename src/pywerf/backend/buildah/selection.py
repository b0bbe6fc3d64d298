"""What a COPY takes: its sources, wildcards expanded, in the order in which they were named."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Iterable, Iterator

from pywerf.backend.buildah.files import Files
from pywerf.errors import BuildError
from pywerf.graph.op import CopyOp
from pywerf.oci.digest import Digest
from pywerf.source.digests import FileDigests, content_digest
from pywerf.source.patterns import PatternMatcher, glob, has_wildcard
from pywerf.util.filetree import FileTree, Node, join, resolve, walk
from pywerf.util.suggest import nearest

__all__ = ["Selected", "content_of", "digest_of_selection", "known_content", "select", "shape_of"]

_Test = Callable[[str], bool]
_Chosen = Callable[[str, Node], bool]
_ROOT = Node("", "dir", 0o755, 0, 0, 0, 0)
_MISSING = "check the path, and that .dockerignore does not leave it out"


class Selected:
    """One source: `path` is its place in the tree (symlinks followed), `written` that before, `name` its last name.

    Of a directory what `excluded` matches is left out, and when `chosen` is there, all that it does not choose.
    """

    __slots__ = ("_chosen", "_entries", "_excluded", "name", "node", "path", "written")

    def __init__(
        self,
        path: str,
        node: Node,
        written: str,
        excluded: _Test | None = None,
        chosen: _Chosen | None = None,
    ) -> None:
        self.path = path
        self.node = node
        self.written = written
        self.name = posixpath.basename(written)
        self._excluded = excluded
        self._chosen = chosen
        self._entries: list[tuple[str, Node]] | None = None

    def entries(self, tree: FileTree) -> list[tuple[str, Node]]:
        """(path below the source, node) of all in a source directory that is not excluded, in order."""
        if self._entries is None:
            found = walk(tree, self.path)
            excluded = self._excluded
            if excluded is not None:
                # by moby's rule a later `!` pattern takes something back in; then the directories above it are needed
                found = _with_parents(found, lambda path, node: not excluded(path))
            if self._chosen is not None:
                found = _with_parents(found, self._chosen)
            self._entries = list(found)
        return self._entries


def _with_parents(found: Iterable[tuple[str, Node]], stays: _Chosen) -> Iterator[tuple[str, Node]]:
    """What `stays`, and the directories that it is in, each before what is in it."""
    waiting: list[tuple[str, Node]] = []  # directories that only count when something in them stays
    for path, node in found:
        while waiting and not path.startswith(f"{waiting[-1][0]}/"):
            waiting.pop()
        if stays(path, node):
            yield from waiting
            waiting.clear()
            yield path, node
        elif node.kind == "dir":
            waiting.append((path, node))


def select(tree: FileTree, op: CopyOp, where: str) -> list[Selected]:
    """The sources of a COPY in `tree`; `where` names the tree in errors. Raises BuildError when one is missing.

    A wildcard may match nothing, as BuildKit has it.
    """
    excluded = PatternMatcher(op.exclude).matches_or_parent_matches if op.exclude else None
    if op.parents:
        return list(_with_paths(tree, op.sources, excluded, where))
    found: list[Selected] = []
    for source in op.sources:
        cleaned = posixpath.normpath("/" + source).lstrip("/")
        wild = has_wildcard(cleaned)
        matches = glob(tree, cleaned) if wild else [cleaned]
        for match in matches:
            path = resolve(tree, match)
            node = tree.lstat(path) if path else _ROOT
            if node is None:
                raise _missing(tree, match, where)
            if excluded is None or node.kind == "dir" or not excluded(posixpath.basename(match)):
                found.append(Selected(path, node, match, excluded))
    return found


def _missing(tree: FileTree, path: str, where: str) -> BuildError:
    """The error for a source that is not there; it names what is there and nearly called the same."""
    folder, rest = "", path
    while rest:
        name, _, rest = rest.partition("/")
        node = tree.lstat(resolve(tree, join(folder, name)))
        if node is None:
            here = join(folder, name)
            if tree.lstat(resolve(tree, here, follow_last=False)) is not None:
                hint = f"/{here} is a symlink, and what it leads to, /{resolve(tree, here)}, is not there"
                return BuildError(f'"/{path}": not found in {where}', hint=hint)
            names = [item.name for item in _entries(tree, folder)]
            similar = next((item for item in names if item.lower() == name.lower()), "") or nearest(name, names)
            near = f" (did you mean /{join(join(folder, similar), rest).rstrip('/')}?)" if similar else ""
            return BuildError(f'"/{path}": not found in {where}{near}', hint=_MISSING)
        folder = join(folder, name)
    return BuildError(f'"/{path}": not found in {where}', hint=_MISSING)


def _entries(tree: FileTree, folder: str) -> list[Node]:
    try:
        return tree.scandir(resolve(tree, folder) if folder else "")
    except OSError:
        return []  # no directory


def _with_paths(tree: FileTree, sources: Iterable[str], excluded: _Test | None, where: str) -> Iterator[Selected]:
    """COPY --parents: what the sources name, each with the directories that it is in.

    A source is a directory, `/./` and a pattern, or a pattern alone. Here `**` stands for any number of directories.
    """
    patterns: dict[str, tuple[Node, list[str]]] = {}
    for source in sources:
        before, pivot, after = source.partition("/./")
        pattern = posixpath.normpath("/" + (after if pivot else source)).lstrip("/")
        bases = [posixpath.normpath("/" + before).lstrip("/")] if pivot else [""]
        if has_wildcard(bases[0]):
            bases = glob(tree, bases[0])
        for base in bases:
            folder = resolve(tree, base)
            node = tree.lstat(folder) if folder else _ROOT
            if node is None or node.kind != "dir":
                raise _missing(tree, base, where)
            literal = bool(pattern) and not has_wildcard(pattern) and not has_wildcard(before)
            if literal and tree.lstat(join(folder, pattern)) is None:
                raise _missing(tree, join(base, pattern), where)
            patterns.setdefault(folder, (node, []))[1].append(pattern)
    for folder, (node, wanted) in patterns.items():
        yield Selected(folder, node, folder, excluded, None if "" in wanted else _chooser(wanted))


def _chooser(patterns: list[str]) -> _Chosen:
    matches = PatternMatcher(patterns).matches_or_parent_matches
    return lambda path, node: matches(path)


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
    return digest_of_selection(selected, source.tree, op, digests=source.digests)


def digest_of_selection(
    selected: list[Selected], tree: FileTree, op: CopyOp, *, digests: FileDigests | None = None
) -> Digest:
    """`content_of` files in any tree; without `digests` nothing is remembered."""
    return content_digest(
        tree,
        _places(selected),
        digests=digests,
        owners=op.keep_owner and op.owner is None,
        listed={item.path: _listing(item, tree) for item in selected},
    )


def known_content(selected: list[Selected], source: Files, op: CopyOp) -> Digest | None:
    """`content_of` files that were not touched since they were looked at; None when that is to be found out."""
    if source.digests is None:
        return None
    tree = source.tree
    return source.digests.known_digest(
        tree,
        _places(selected),
        owners=op.keep_owner and op.owner is None,
        listed={item.path: _listing(item, tree) for item in selected},
    )


def _places(selected: list[Selected]) -> list[tuple[str, str]]:
    return [(item.written, item.path) for item in selected]
