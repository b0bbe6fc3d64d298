"""File systems while they are built: a ref is a layer on top of another ref.

A layer's digest may still be in the making while the next step already runs on its snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from pywerf.oci.chain import chain_id
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.snapshot.base import Snapshot
from pywerf.util.promise import Promise

__all__ = ["LayerInfo", "LazyLayer", "Ref"]


class LayerInfo(msgspec.Struct, frozen=True):
    """What a step did to the file system: `diff_id` and `size` of its layer's tar.

    `empty`: it changed nothing, there is no layer. `created` is when it was done (RFC 3339).
    `descriptor` is the layer in the form that it came in (compressed, from a registry), if any.
    """

    diff_id: Digest
    size: int
    empty: bool = False
    created: str = ""
    descriptor: Descriptor | None = None


class LazyLayer(Protocol):
    """A layer that somebody else says there is: it comes when its files are needed, and is verified then."""

    def chunks(self) -> Iterator[bytes]:
        """Its blob from the beginning, kept in the store in passing. Raises what the place that has it raises."""

    def verified(self) -> None:
        """Called when it has been unpacked, and is what it was said to be."""

    def refuse(self, error: Exception) -> None:
        """Called when it could not be had, or is something else; the error is raised after it."""


class Ref:
    """A file system. `info` is promised; `snapshot` is there when it has been unpacked or written.

    `fetch`, when set, brings the blobs of this ref and of those below it into the store.
    `lazy`, when set, is where this ref's own layer comes from if the store has it neither as blob nor as snapshot.
    """

    __slots__ = ("_chain_id", "fetch", "info", "lazy", "parent", "snapshot")

    def __init__(
        self,
        parent: Ref | None,
        info: Promise[LayerInfo],
        *,
        snapshot: Snapshot | None = None,
        fetch: Callable[[], None] | None = None,
        lazy: LazyLayer | None = None,
    ) -> None:
        self.parent = parent
        self.info = info
        self.snapshot = snapshot
        self.fetch = fetch
        self.lazy = lazy
        self._chain_id: Digest | None = None

    @property
    def chain_id(self) -> Digest | None:
        """The OCI chain id, None for an empty file system. Waits for the layers' digests."""
        if self._chain_id is None:
            todo: list[Ref] = []  # no recursion: there may be more steps than Python has frames
            ref: Ref | None = self
            while ref is not None and ref._chain_id is None:
                todo.append(ref)
                ref = ref.parent
            below = None if ref is None else ref._chain_id
            for item in reversed(todo):
                info = item.info.result()
                below = item._chain_id = below if info.empty else chain_id(below, info.diff_id)
        return self._chain_id

    @property
    def identity(self) -> str:
        """The content as a component of cache keys."""
        chain = self.chain_id
        return str(chain) if chain is not None else "scratch"

    def stack(self) -> list[Ref]:
        """This ref and all below it, bottom first, empty layers included."""
        refs: list[Ref] = []
        ref: Ref | None = self
        while ref is not None:
            refs.append(ref)
            ref = ref.parent
        refs.reverse()
        return refs

    def layers(self) -> list[Ref]:
        """The refs that have a layer, bottom first. Waits for the layers' digests."""
        return [ref for ref in self.stack() if not ref.info.result().empty]
