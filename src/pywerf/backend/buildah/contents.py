"""What steps take from contexts, other stages and images: looked up, listed and digested once a build."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from pywerf.backend.buildah.empty_tree import EmptyTree
from pywerf.backend.buildah.files import Files, Result
from pywerf.graph.op import CopyOp
from pywerf.util.filetree import is_revisioned

if TYPE_CHECKING:
    from pywerf.backend.buildah.ref import Ref
    from pywerf.backend.buildah.selection import Selected
    from pywerf.backend.buildah.snapshots import Snapshots
    from pywerf.store.store import Store

__all__ = ["Contents"]


class Contents:
    """The contents of one build's sources. Safe between threads. `span` times what is done."""

    def __init__(
        self, store: Store, snapshots: Snapshots, span: Callable[[str, str], AbstractContextManager[object]]
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._span = span
        self._lock = threading.Lock()
        self._digest_lock = threading.Lock()  # FileDigests serves one thread at a time
        self._digests: dict[tuple[str, int], str] = {}
        self._selections: dict[tuple[str, int], list[Selected]] = {}
        self._trees: dict[int, tuple[Ref | None, Files]] = {}  # keeps the refs alive, so that their ids stay theirs

    def files_of(self, source: Result | None) -> Files:
        """The files of an input; of an image or stage one tree a build."""
        if isinstance(source, Files):
            return source
        with self._lock:
            known = self._trees.get(id(source))
        if known is None:
            tree = self._snapshots.tree(source)
            # What a COPY reads need not be read again for its cache key, nor for the list of its files.
            from pywerf.source.digests import FileDigests

            digests = FileDigests(lambda: None, lambda data: None)
            known = (source, Files("the image", EmptyTree() if tree is None else tree, digests=digests))
            with self._lock:
                self._trees[id(source)] = known
        return known[1]

    def select(self, op: CopyOp, op_digest: str, source: Files) -> list[Selected]:
        """The sources of an op. Raises BuildError when one is missing."""
        key = (op_digest, id(source.tree))
        with self._lock:
            known = self._selections.get(key)
        if known is None:
            from pywerf.backend.buildah.selection import select

            known = select(source.tree, op, source.name)
            with self._lock:
                self._selections[key] = known
        return known

    def shape(self, op: CopyOp, op_digest: str, source: Files) -> str:
        """OpExecutor.shape: other shape, other content; nothing is read."""
        from pywerf.backend.buildah.selection import shape_of

        return shape_of(self.select(op, op_digest, source), source.tree, op_digest)

    def is_known(self, op: CopyOp, op_digest: str, source: Files) -> bool:
        """Whether the digest is remembered from an earlier build: then nothing is read for it."""
        from pywerf.backend.buildah.selection import known_content

        with self._digest_lock, self._span("digest", source.name):
            known = known_content(self.select(op, op_digest, source), source, op)
        if known is not None:
            with self._lock:
                self._digests[op_digest, id(source)] = str(known)
        return known is not None

    def digest(self, op: CopyOp, op_digest: str, source: Result | None) -> str:
        """The digest of what an op takes from a source: contents, modes, owners; no times."""
        key = (op_digest, id(source))
        with self._lock:
            known = self._digests.get(key)
        if known is None:
            known = self._made(op, op_digest, source)
            with self._lock:
                self._digests[key] = known
        return known

    def forget(self, source: Files) -> None:
        """A file was changed while we built: digests of what it was must not become keys of what it is."""
        with self._lock:
            for key in [key for key in self._digests if key[1] == id(source)]:
                del self._digests[key]

    def listing(self, op: CopyOp, op_digest: str, source: Result | None) -> bytes:
        """The files behind a digest, for whoever explains it later."""
        from pywerf.backend.buildah.listing import listing_of

        files = self.files_of(source)
        with self._digest_lock:
            return listing_of(self.select(op, op_digest, files), files, owners=op.keep_owner and op.owner is None)

    def _made(self, op: CopyOp, op_digest: str, source: Result | None) -> str:
        if isinstance(source, Files) and source.identity:
            return f"{source.identity} {op_digest[:16]}"
        memo_key = ""
        if not isinstance(source, Files):
            memo_key = f"{'scratch' if source is None else source.identity} {op_digest}"
        elif revision := _revision(source):
            memo_key = f"{revision} {op_digest}"
        if memo_key:
            kept = self._store.memo.get("selection", memo_key)
            if kept is not None:
                return kept.decode()
        files = self.files_of(source)
        with self._digest_lock, self._span("digest", files.name):
            from pywerf.backend.buildah.selection import content_of

            digest = content_of(self.select(op, op_digest, files), files, op)
        if memo_key:
            self._store.memo.put("selection", memo_key, str(digest).encode())
        return str(digest)


def _revision(files: Files) -> str:
    """What names all of a tree's content without reading it; "" when nothing does."""
    return files.tree.revision if is_revisioned(files.tree) else ""
