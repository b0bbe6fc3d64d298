"""Files from outside an image: the build context, named contexts, downloads. What COPY reads from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pywerf.backend.buildah.ref import Ref
from pywerf.util.filetree import FileTree

if TYPE_CHECKING:
    from pywerf.source.digests import FileDigests

__all__ = ["Files", "Result"]


class Files:
    """A tree of files under a name for people. `identity` names its content when that is known without reading

    (a commit, a checksum); `digests` remembers what has been read of it.
    """

    __slots__ = ("digests", "identity", "name", "tree")

    def __init__(self, name: str, tree: FileTree, *, identity: str = "", digests: FileDigests | None = None) -> None:
        self.name = name
        self.tree = tree
        self.identity = identity
        self.digests = digests


class Opened(Protocol):
    """What opens the contexts of a build by name, when a step needs them."""

    def __call__(self, name: str) -> Files: ...


Result = Ref | Files
