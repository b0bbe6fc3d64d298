"""Removing images, and collecting what nothing needs any more."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

import msgspec

from pywerf.build.names import local_candidates
from pywerf.build.session import WORK
from pywerf.errors import ImageInUse
from pywerf.oci.digest import Digest

if TYPE_CHECKING:
    from pywerf.build.session import Session
    from pywerf.store.gc import GcReport
    from pywerf.store.images import ImageRecord

__all__ = ["RemovedEvent", "collect", "dangling", "listed_in", "prune", "remove_images"]

_WEEK = 7 * 86400.0


class RemovedEvent(msgspec.Struct, frozen=True):
    """One thing that went: a name (`untagged`) or an image (`deleted`: its id in hexadecimal)."""

    kind: Literal["untagged", "deleted"]
    what: str


def remove_images(
    session: Session, images: Sequence[str], *, force: bool, prune: bool, everything: bool
) -> list[RemovedEvent]:
    """`rmi`. All are looked up before the first one goes. Raises ImageNotFound, ImageInUse."""
    if everything or prune:
        records = session.store.images.list() if everything else dangling(session)
        # indexes first: an image that one lists cannot go before it
        work = [partial(_delete, session, record, force=force) for record in sorted(records, key=_is_single)]
    else:
        found = [(name, session.find_image(name)) for name in images]
        work = [partial(_remove_one, session, name, record, force=force) for name, record in found]
    events: list[RemovedEvent] = []
    try:
        for one in work:
            events += one()
    finally:
        collect(session)
    return events


def _is_single(record: ImageRecord) -> bool:
    return not record.is_index


def _remove_one(session: Session, name: str, record: ImageRecord, *, force: bool) -> list[RemovedEvent]:
    """What `rmi NAME` does to the image that the name meant at the beginning."""
    images = session.store.images
    named = next((item for item in local_candidates(name) if item in record.names), None)
    current = images.get(record.id)
    if current is None or (named is not None and named not in current.names):
        return []  # went with an earlier one of the list
    if named is not None and len(current.names) > 1:
        images.untag(named)
        return [RemovedEvent("untagged", named)]
    if named is None and len(current.names) > 1 and not force:
        raise ImageInUse(
            f"{name}: the image has several names ({', '.join(current.names)})", hint="remove it with --force"
        )
    return _delete(session, current, force=force)


def _delete(session: Session, record: ImageRecord, *, force: bool) -> list[RemovedEvent]:
    """Remove an image with all its names; of an index also the images that nobody has another name for."""
    images = session.store.images
    if images.get(record.id) is None:
        return []  # went with its index
    members = set(_listed_by(session, record))
    events = [RemovedEvent("untagged", name) for name in record.names]
    images.remove(record.id, force=force)
    events.append(RemovedEvent("deleted", record.id.hex))
    if members:
        for one in dangling(session):
            if str(one.manifest_digest) in members:
                images.remove(one.id, force=True)
                events.append(RemovedEvent("deleted", one.id.hex))
    return events


def prune(
    session: Session, *, everything: bool, unused_for: float | None = None, keep_bytes: int | None = None
) -> GcReport:
    """Remove images without a name, and what nobody needs; `everything`: the build cache and all unnamed layers too.

    `unused_for`: only what was not used for so many seconds, images and cache; `keep_bytes`: of the cache the last
    used results stay as long as they take no more.
    """
    latest = None if unused_for is None else time.time() - unused_for
    for record in dangling(session, latest):
        session.store.images.remove(record.id, force=True)
    if unused_for is None and keep_bytes is None:
        unused_for = 0.0 if everything else _WEEK
    return collect(session, cache_for=unused_for, cache_bytes=keep_bytes)


def dangling(session: Session, before: float | None = None) -> list[ImageRecord]:
    """The images without a name, which came before a time (seconds since the epoch; None: any).

    The images of an index that has a name are none of them: they have no names of their own.
    """
    listed = set(_members(session))
    return [
        record
        for record in session.store.images.list()
        if not record.names and (before is None or record.added <= before) and str(record.manifest_digest) not in listed
    ]


def listed_in(session: Session, image: str) -> list[str]:
    """The indexes (their ids in hexadecimal) that list an image, which is named by its id."""
    record = session.store.images.get(Digest.sha256(image))
    if record is None:
        return []
    manifest = str(record.manifest_digest)
    return [other.id.hex for other in session.store.images.list() if manifest in _listed_by(session, other)]


def _members(session: Session) -> Iterator[str]:
    """The manifests that indexes with a name list."""
    for record in session.store.images.list():
        if record.names:
            yield from _listed_by(session, record)


def _listed_by(session: Session, record: ImageRecord) -> Iterator[str]:
    """The manifests in an index; none for an image."""
    from pywerf.oci.manifest import Index, parse_manifest

    blobs = session.store.blobs
    if record.is_index and blobs.has(record.manifest_digest) is not None:
        index = parse_manifest(blobs.read(record.manifest_digest), record.media_type)
        if isinstance(index, Index):
            yield from (str(item.digest) for item in index.manifests)


def collect(
    session: Session,
    *,
    cache_for: float | None = None,
    cache_bytes: int | None = None,
    free_bytes: int | None = None,
    dry_run: bool = False,
) -> GcReport:
    """Collect garbage; cache records not used for `cache_for` seconds (None: keep all) go with their layers.

    `cache_bytes` and `free_bytes` let go the least recently used ones, as in `store.gc.collect`.

    While another process builds, pulls or runs something in this store, nothing is collected.
    """
    from pywerf.store.gc import GcReport
    from pywerf.store.gc import collect as collect_store

    driver = session.snapshots.driver
    with session.store.unleased(*WORK) as free:
        if not free:
            session.reporter.message("info", "another werf works in this store: what nobody needs is removed later")
            return GcReport()
        return collect_store(
            session.store,
            keep_cache_for=cache_for,
            keep_cache_bytes=cache_bytes,
            free_bytes=free_bytes,
            dry_run=dry_run,
            remove_snapshot=lambda name, id: driver.remove(id) if name == driver.name else None,
        )
