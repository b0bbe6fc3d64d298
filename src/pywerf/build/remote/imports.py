"""`--cache-from`: finds records in remote caches. What is broken or out of reach is told once, and left out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from pywerf.build.remote.document import StepRecord
from pywerf.build.remote.place import Loaded, Place, place_of
from pywerf.oci.image_io import ImageSource
from pywerf.oci.platform import Platform
from pywerf.oci.reference import Reference
from pywerf.registry.transports import TransportName
from pywerf.util.promise import Promise, run_in_thread

if TYPE_CHECKING:
    from pywerf.build.remote.spec import CacheSpec
    from pywerf.build.session import Session

__all__ = ["DocumentCache", "Found", "RemoteCache", "RepositoryCache", "open_cache"]


class Found(msgspec.Struct, frozen=True):
    """A record, and where its layer can be had: `origin` in a registry, None in a folder."""

    record: StepRecord
    source: ImageSource
    origin: Reference | None
    cache: RemoteCache


class RemoteCache(Protocol):
    """One `--cache-from`. No method raises; from its first failure on it is empty."""

    name: str

    @property
    def usable(self) -> bool:
        """Whether nothing has failed yet."""

    def may_have(self, definition: str, shape: str) -> bool:
        """Whether it could have a record of this op, of this shape if one is given."""

    def find(self, key: str) -> Found | None:
        """The record of a key or an alias."""

    def created(self, draft: str) -> str:
        """When the image of a draft was first made, or empty."""

    def disable(self, error: Exception) -> None:
        """It is no good: say so, and do not use it any more. Idempotent."""


class _Breakable:
    def __init__(self, session: Session, name: str) -> None:
        self.name = name
        self._session = session
        self._lock = threading.Lock()
        self._broken = False

    @property
    def usable(self) -> bool:
        """See RemoteCache."""
        return not self._broken

    def disable(self, error: Exception) -> None:
        """See RemoteCache."""
        with self._lock:
            if self._broken:
                return
            self._broken = True
        self._session.reporter.message("warning", f"the cache {self.name} is not used: {error}")


class DocumentCache(_Breakable):
    """A cache in one document, read at the start in the background."""

    def __init__(self, session: Session, place: Place, platforms: Sequence[Platform] = ()) -> None:
        super().__init__(session, place.name)
        self._place = place
        self._platforms = platforms
        self._index: Promise[_Index | None] = run_in_thread(self._load, f"cache {place.name}")

    @property
    def loaded(self) -> Loaded | None:
        """What was found; None when there is nothing, or nothing usable."""
        index = self._index.result()
        return None if index is None or not self.usable else index.loaded

    def may_have(self, definition: str, shape: str) -> bool:
        """See RemoteCache."""
        index = self._index.result()
        if index is None or not self.usable:
            return False
        shapes = index.shapes.get(definition)
        return shapes is not None and (not shape or shape in shapes or "" in shapes)

    def find(self, key: str) -> Found | None:
        """See RemoteCache."""
        index = self._index.result()
        record = None if index is None or not self.usable else index.keys.get(key)
        if index is None or record is None:
            return None
        return Found(record, index.loaded.source, index.loaded.origin, self)

    def created(self, draft: str) -> str:
        """See RemoteCache."""
        index = self._index.result()
        return "" if index is None or not self.usable else index.loaded.document.images.get(draft, "")

    def _load(self) -> _Index | None:
        reporter = self._session.reporter
        step = self._session.next_step()
        reporter.step_started(step, f"[internal] import cache {self.name}")
        try:
            loaded = self._place.load(self._platforms)
        except Exception as error:  # whatever it is: a cache never fails a build
            reporter.step_finished(step, "cancelled")
            self.disable(error)
            return None
        reporter.step_finished(step, "done")
        if loaded is None:
            reporter.message("info", f"the cache {self.name} is empty yet")
            return None
        if loaded.foreign:
            reporter.message("warning", f"the cache {self.name} is not used: it is {loaded.foreign}")
            return None
        if loaded.refused:
            reporter.message("warning", f"the cache {self.name}: {loaded.refused} entries are damaged and left out")
        return _Index(loaded)


class _Index:
    """A document by key, and by definition."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.keys: dict[str, StepRecord] = {}
        self.shapes: dict[str, set[str]] = {}
        for record in loaded.document.records:
            self.shapes.setdefault(record.definition, set()).add(record.shape)
            if record.alias:
                self.keys.setdefault(record.alias, record)
        for record in loaded.document.records:
            self.keys[record.key] = record


class RepositoryCache(_Breakable):
    """buildah's form: each record under a tag of its own in a repository, asked for when a step comes to it."""

    def __init__(self, session: Session, spec: CacheSpec) -> None:
        super().__init__(session, spec.ref)
        self._ref = spec.ref

    def may_have(self, definition: str, shape: str) -> bool:
        """See RemoteCache: only a key can be asked for."""
        return self.usable

    def find(self, key: str) -> Found | None:
        """See RemoteCache. One HEAD where there is nothing."""
        if not self.usable:
            return None
        loaded = self._load(key)
        if loaded is None:
            return None
        for record in loaded.document.records:
            if key in (record.key, record.alias):
                return Found(record, loaded.source, loaded.origin, self)
        where = f"{self.name}:{key[:12]}"
        self._session.reporter.message("warning", f"{where}: no valid record of a step, it is done again")
        return None

    def _load(self, key: str) -> Loaded | None:
        place = Place(self._session, TransportName("name", reference=f"{self._ref}:{key}"), f"{self.name}:{key[:12]}")
        try:
            return None if place.digest() is None else place.load()
        except Exception as error:  # whatever it is: a cache never fails a build
            self.disable(error)
            return None

    def created(self, draft: str) -> str:
        """See RemoteCache."""
        loaded = self._load(draft.partition(":")[2]) if self.usable else None
        return "" if loaded is None else loaded.document.images.get(draft, "")


def open_cache(session: Session, spec: CacheSpec, platforms: Sequence[Platform]) -> RemoteCache:
    """The cache of a flag, for images of these platforms. Raises nothing because of what is there."""
    if spec.kind == "repository":
        return RepositoryCache(session, spec)
    return DocumentCache(session, place_of(session, spec), platforms)
