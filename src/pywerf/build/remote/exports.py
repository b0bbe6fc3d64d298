"""`--cache-to`: writes the records of a build, and their layers, to remote caches."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from pywerf.build.remote.document import CacheDocument, LayerBlob, MountRecord, StepRecord, blobs_of, merge
from pywerf.build.remote.place import Place, place_of
from pywerf.build.remote.uploads import Target
from pywerf.build.transfer import layer_pusher
from pywerf.errors import BuildError, DigestMismatch, InvalidDocument, RegistryError
from pywerf.oci.digest import Digest
from pywerf.registry.transports import TransportName

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pywerf.build.bases import Found
    from pywerf.build.remote.spec import CacheSpec
    from pywerf.build.session import Session
    from pywerf.oci.descriptor import Descriptor
    from pywerf.oci.image_io import ImageDestination
    from pywerf.oci.reference import Reference

__all__ = ["CacheExport", "open_export", "write_merged"]

_TRIES = 6
_SETTLED, _LONGEST = 0.05, 2.0  # seconds
_AT_ONCE = 4


class CacheExport(Protocol):
    """One `--cache-to` with layers. `target` is where those go while the build runs."""

    spec: CacheSpec
    target: Target

    def write(self, records: Sequence[StepRecord], images: dict[str, str]) -> None:
        """Write the records, `layer` of which says only whether there is one. Raises BuildError, RegistryError, …"""


class _Exporting:
    def __init__(self, session: Session, spec: CacheSpec, near: Sequence[Reference]) -> None:
        self.spec = spec
        self.session = session
        self.near = near
        self.target = Target(self._open)
        self._destination: ImageDestination | None = None
        self._lock = threading.Lock()

    def place(self) -> Place:
        return place_of(self.session, self.spec)

    @property
    def destination(self) -> ImageDestination:
        with self._lock:
            if self._destination is None:
                self._destination = self.place().destination(self.near)
            return self._destination

    def _open(self) -> Callable[[Found, int], Descriptor]:
        session, target = self.session, self.target
        step = session.next_step()
        session.reporter.step_started(step, f"exporting layers to the cache {self.spec.name}")
        target.on_close = lambda done: session.reporter.step_finished(step, "done" if done else "cancelled")
        return layer_pusher(
            self.session,
            self.destination,
            compression=self.spec.compression,
            level=self.spec.level,
            step=step,
        )

    def _with_layers(self, records: Sequence[StepRecord]) -> tuple[StepRecord, ...]:
        """The records with their layers as they are here. Raises the first error of sending them."""
        self.target.close()
        if self.target.errors:
            raise self.target.errors[0]
        sent = self.target.sent
        return tuple(
            record
            if record.layer is None
            else msgspec.structs.replace(record, layer=LayerBlob.of(sent[Digest.parse(record.diff_id)]))
            for record in records
        )


class DocumentExport(_Exporting):
    """One document under one name; what others have written there stays."""

    def write(self, records: Sequence[StepRecord], images: dict[str, str]) -> None:
        """See CacheExport."""
        ours = CacheDocument(1, records=self._with_layers(records), images=images)
        write_merged(self.session, self.place(), self.destination, ours)


class RepositoryExport(_Exporting):
    """buildah's form: every record under tags of its own, its key and its alias, every image under its draft.

    What is there stays as it is.
    """

    def place(self, tag: str = "pywerf") -> Place:
        return Place(self.session, TransportName("name", reference=f"{self.spec.ref}:{tag}"), f"{self.spec.ref}:{tag}")

    def write(self, records: Sequence[StepRecord], images: dict[str, str]) -> None:
        """See CacheExport."""
        from pywerf.registry.parallel import run_all

        def put(tag: str, document: CacheDocument) -> None:
            place = self.place(tag)
            if place.digest() is None:
                place.write(place.destination(), document)

        documents = {
            tag: CacheDocument(1, records=(record,))
            for record in self._with_layers(records)
            for tag in (record.key, record.alias)
            if tag
        }
        for draft, created in images.items():
            documents[draft.partition(":")[2]] = CacheDocument(1, images={draft: created})
        run_all([lambda _, item=item: put(*item) for item in documents.items()], _AT_ONCE)  # type: ignore[misc]  # the default binds the loop's value


def open_export(session: Session, spec: CacheSpec, near: Sequence[Reference]) -> CacheExport:
    """The export of a flag; `near` are repositories that layers may be mounted from. Asks nothing yet."""
    return RepositoryExport(session, spec, near) if spec.kind == "repository" else DocumentExport(session, spec, near)


def write_merged(session: Session, place: Place, destination: ImageDestination, ours: CacheDocument) -> None:
    """Write a document into a place where others write too: nobody's records are lost.

    A registry has no locks: when somebody else was there between our reading and our writing, or has written over ours
    a moment later, it is done again.
    Raises BuildError when something else than a cache is there.
    """
    with place.locked():
        for _ in range(_TRIES):
            theirs, digest = _read(session, place)
            merged = merge(ours, theirs)
            if merged is None:
                return
            if place.digest() != digest:
                continue
            began = time.monotonic()
            try:
                written = place.write(destination, merged)
            except RegistryError as error:
                if theirs is None or error.status not in (400, 404):
                    raise
                # layers of others may have been removed from the registry: their records are of no use then
                written = place.write(destination, _without_lost(destination, merged))
            if not place.is_folder:
                # somebody may have looked before we wrote, and write after our look: wait as long as we took ourselves
                time.sleep(min(_SETTLED + time.monotonic() - began, _LONGEST))
            if place.digest() == written:
                return
    session.reporter.message(
        "warning", f"the cache {place.name}: others write there all the time, some records may be missing"
    )


def _read(session: Session, place: Place) -> tuple[CacheDocument | None, Digest | None]:
    """What is there, and the digest of its manifest; no document where it is not a readable one."""
    try:
        there = place.load()
    except (InvalidDocument, DigestMismatch) as error:
        session.reporter.message("warning", f"what is at {place.name} is damaged, and replaced: {error}")
        return None, place.digest()
    if there is None:
        return None, None
    if there.foreign or there.inline:
        raise BuildError(
            f"{place.name} is not a cache but {there.foreign or 'an image'}: it is not written over",
            hint="choose another name",
        )
    return there.document, there.digest


def _without_lost(destination: ImageDestination, document: CacheDocument) -> CacheDocument:
    there = {str(layer.digest) for layer in blobs_of(document) if destination.has_blob(layer)}
    records: tuple[StepRecord, ...] = tuple(
        record for record in document.records if record.layer is None or record.layer.digest in there
    )
    mounts: tuple[MountRecord, ...] = tuple(mount for mount in document.mounts if mount.layer.digest in there)
    return msgspec.structs.replace(document, records=records, mounts=mounts)
