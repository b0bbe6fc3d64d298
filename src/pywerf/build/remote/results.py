"""What the solver asks of remote caches, and what they get to know of a build: RemoteResults for one attempt."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from pywerf.backend.buildah.files import Result
from pywerf.backend.buildah.ref import LayerInfo, Ref
from pywerf.build.bases import remember_origin
from pywerf.build.remote.document import LayerBlob, StepRecord
from pywerf.build.remote.lazy import CachedLayer
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.solver.cache import cache_key
from pywerf.util.promise import Promise

if TYPE_CHECKING:
    from pywerf.backend.buildah.engine import Engine
    from pywerf.build.remote.imports import Found, RemoteCache
    from pywerf.build.remote.uploads import LayerUploads, Target
    from pywerf.build.session import Session
    from pywerf.graph.vertex import Vertex
    from pywerf.store.cache import CacheRecord

__all__ = ["Offer", "Results"]

_KEPT_COMPONENTS = 16 << 10  # characters


class Offer(msgspec.Struct, frozen=True):
    """What a step came to in this build: for the caches that are written."""

    vertex: str  # its definition
    record: StepRecord  # its layer, if any, is there by diff_id only
    ref: Ref


class Results:
    """See RemoteResults. `offers` has what the build came to so far, by the definition of the step.

    `targets` gives the places that want the layer of a step; None: nothing is wanted at all.
    """

    def __init__(
        self,
        session: Session,
        engine: Engine,
        caches: Sequence[RemoteCache],
        *,
        salt: str,
        max_age: float | None,
        uploads: LayerUploads,
        targets: Callable[[Vertex], tuple[Target, ...]] | None,
    ) -> None:
        self._session = session
        self._engine = engine
        self._caches = caches
        self._salt = salt
        self._max_age = max_age
        self._uploads = uploads
        self._targets = targets
        self._lock = threading.Lock()
        self.offers: dict[str, Offer] = {}

    # what the solver asks

    def may_have(self, definition: str, shape: str = "") -> bool:
        """See RemoteResults."""
        return any(cache.may_have(definition, shape) for cache in self._caches)

    def shortcut(self, vertex: Vertex, inputs: tuple[Result | None, ...]) -> Result | None:
        """See RemoteResults: by the layers of other stages, where their files are not here."""
        if not any(isinstance(source, Ref) and _is_away(source) for source in inputs[1:]):
            return None
        alias = cache_key(vertex.op_digest, self._engine.identities(vertex, inputs), self._salt)
        return self._find(vertex, inputs, alias, None)

    def find(
        self, vertex: Vertex, inputs: tuple[Result | None, ...], key: str, keep: Callable[[Result, float], object]
    ) -> Result | None:
        """See RemoteResults."""
        return self._find(vertex, inputs, key, keep)

    def learned(self, vertex: Vertex, inputs: tuple[Result | None, ...], record: CacheRecord, result: Result) -> None:
        """See RemoteResults."""
        if self._targets is None:
            return
        assert isinstance(result, Ref)
        info = result.info.result()
        below = None if result.parent is None else result.parent.chain_id
        alias = ""
        if any(not _is_files(source) for source in inputs[1:]):
            alias = cache_key(vertex.op_digest, self._engine.identities(vertex, inputs), self._salt)
        self._offer(
            vertex,
            StepRecord(
                key=record.key,
                definition=record.definition,
                diff_id=str(info.diff_id),
                size=info.size,
                created=info.created,
                layer=None if info.empty else _unsent(info.diff_id),
                parent="" if below is None else str(below),
                alias=alias,
                shape=record.shape,
                components=_components(record.components),
                made=int(record.created),
                used=int(time.time()),
            ),
            result,
        )

    def created(self, draft: str) -> str:
        """When an image of that draft was first made, if a cache knows it."""
        return next(filter(None, (cache.created(draft) for cache in self._caches)), "")

    # how it is done

    def _find(
        self,
        vertex: Vertex,
        inputs: tuple[Result | None, ...],
        key: str,
        keep: Callable[[Result, float], object] | None,
    ) -> Ref | None:
        for cache in self._caches:
            if not cache.may_have(vertex.op_digest, ""):
                continue
            found = cache.find(key)
            if found is None or found.record.definition != vertex.op_digest:
                continue
            if self._max_age is not None and found.record.made < time.time() - self._max_age:
                continue
            return self._restore(vertex, inputs, found, keep)
        return None

    def _restore(
        self,
        vertex: Vertex,
        inputs: tuple[Result | None, ...],
        found: Found,
        keep: Callable[[Result, float], object] | None,
    ) -> Ref:
        record = found.record
        parent = inputs[0] if inputs else None
        assert parent is None or isinstance(parent, Ref)
        diff_id = Digest.parse(record.diff_id)
        info = LayerInfo(diff_id, record.size, record.layer is None, record.created)

        def verified() -> None:
            if keep is not None:
                keep(ref, float(record.made))

        if record.layer is None:
            ref = Ref(parent, Promise.of(info))
            verified()
        else:
            layer = record.layer.descriptor
            ref = self._here(parent, info) or self._lazily(parent, info, layer, found, verified)
            if ref.lazy is None:
                verified()
        below = None if parent is None else parent.chain_id
        self._offer(
            vertex,
            msgspec.structs.replace(record, parent="" if below is None else str(below), used=int(time.time())),
            ref,
        )
        return ref

    def _here(self, parent: Ref | None, info: LayerInfo) -> Ref | None:
        """The result, when our own store has this very layer on the same layers."""
        ref = Ref(parent, Promise.of(info))
        chain = ref.chain_id
        assert chain is not None
        store = self._session.store
        record = store.layers.get(chain)
        if record is None:
            return None
        whole = record.snapshot is not None and self._session.snapshots.driver.exists(record.snapshot)
        if not whole and (record.blob is None or store.blobs.has(record.blob.digest) is None):
            return None
        return Ref(parent, Promise.of(msgspec.structs.replace(info, size=record.size, descriptor=record.blob)))

    def _lazily(
        self, parent: Ref | None, info: LayerInfo, layer: Descriptor, found: Found, verified: Callable[[], object]
    ) -> Ref:
        if found.origin is not None:
            remember_origin(self._session.store, layer.digest, found.origin)
        lazy = CachedLayer(
            self._session,
            found.cache.name,
            found.source,
            layer,
            on_verified=verified,
            on_refused=found.cache.disable,
        )
        return Ref(parent, Promise.of(msgspec.structs.replace(info, descriptor=layer)), lazy=lazy)

    def _offer(self, vertex: Vertex, record: StepRecord, ref: Ref) -> None:
        if self._targets is None:
            return
        with self._lock:
            self.offers[vertex.definition] = Offer(vertex.definition, record, ref)
        if record.layer is not None:
            self._uploads.offer(ref, self._targets(vertex))

    def of(self, definitions: Collection[str] | None = None) -> list[Offer]:
        """The offers, of these steps only if they are given, in the order of the steps' definitions."""
        with self._lock:
            found: Mapping[str, Offer] = dict(self.offers)
        return [found[name] for name in sorted(found) if definitions is None or name in definitions]


def _is_away(ref: Ref) -> bool:
    """Whether the files of a ref would have to be fetched."""
    return any(item.snapshot is None and (item.lazy is not None or item.fetch is not None) for item in ref.stack())


def _is_files(source: object) -> bool:
    return source is not None and not isinstance(source, Ref)


def _unsent(diff_id: Digest) -> LayerBlob:
    """The place of a layer in a record until it has been sent."""
    return LayerBlob("", str(diff_id), 0)


def _components(data: bytes) -> dict[str, str]:
    """What the key was made of, for explanations on other machines: names and digests.

    Values of variables stay here: they may be nobody else's business. Nothing is kept where it is too much.
    """
    found = json.loads(data)
    kept = {name: value for name, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}
    return kept if sum(map(len, kept.values())) <= _KEPT_COMPONENTS else {}
