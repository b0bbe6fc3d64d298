"""Images: manifests and indexes by id and by name."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from pywerf.errors import DigestMismatch, ImageInUse, ImageNotFound, InvalidDocument, StoreError
from pywerf.oci.chain import chain_ids
from pywerf.oci.config import ImageConfig
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Index, Manifest, parse_manifest
from pywerf.oci.media_types import INDEXES
from pywerf.oci.platform import Platform
from pywerf.store.blobs import BlobStore
from pywerf.store.database import Database
from pywerf.store.layout import OciLayout

__all__ = ["ImageRecord", "ImageStore"]

_COLUMNS = "id, manifest, media_type, created, size, platform, labels, added"
_STORED = ("id", "manifest", "manifest_size", "media_type", "created", "size", "platform", "labels")
_HEX = frozenset("0123456789abcdef")
_SHORTEST_PREFIX = 3


class ImageRecord(msgspec.Struct, frozen=True):
    """One image, or an index of images.

    `id` is the digest of the config (of an index: of the index itself), `manifest_digest` that of the manifest
    or index, whose `media_type` tells which it is. `names` are as given, the first given first. `created` is the
    config's RFC 3339 time, or empty; `size` that of all layers in bytes, uncompressed where it is known;
    `platform` is None for an index; `added` is when it came into the store (seconds since the epoch).
    """

    id: Digest
    manifest_digest: Digest
    media_type: str
    names: tuple[str, ...]
    created: str
    size: int
    platform: Platform | None = None
    labels: dict[str, str] = {}
    added: float = 0.0

    @property
    def is_index(self) -> bool:
        """Whether this is an index (a manifest list) instead of one image."""
        return self.media_type in INDEXES


_Images = list[ImageRecord]  # inside the class `list` is its method


class ImageStore:
    """The images of a store. Any thread and any process may call; every method is atomic.

    Names are compared as they are: whoever takes them from a user makes full references of them first.
    """

    def __init__(self, database: Database, blobs: BlobStore, layout: OciLayout) -> None:
        self._database = database
        self._blobs = blobs
        self._layout = layout

    def put(
        self, manifest: bytes, media_type: str, config: bytes, names: Iterable[str] = (), size: int | None = None
    ) -> ImageRecord:
        """Store an image and give it names, which are taken from whoever had them. Idempotent.

        The blobs of its layers may be here or not. `size` is summed up from the layers when it is not
        given. Raises InvalidDocument, and DigestMismatch when `config` is not the manifest's.
        """
        parsed = parse_manifest(manifest, media_type)
        if not isinstance(parsed, Manifest):
            raise InvalidDocument("manifest: an index where the manifest of an image is expected")
        id = Digest.of(config)
        if parsed.config.digest != id:
            raise DigestMismatch("image config", str(parsed.config.digest), str(id))
        image = ImageConfig.from_json(config)
        if size is None:
            size = self._size_of(parsed, image)
        self._blobs.put(config)
        digest = self._blobs.put(manifest)
        row = (str(id), str(digest), len(manifest), parsed.media_type, image.created, size, str(image.platform))
        return self._put((*row, json.dumps(image.config.labels)), names)

    def put_index(
        self,
        index: bytes,
        media_type: str,
        names: Iterable[str] = (),
        size: int | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> ImageRecord:
        """Store an index (a manifest list), whose manifests may be here or not. Otherwise as `put`.

        An index has no config: `labels` are kept beside it.
        """
        parsed = parse_manifest(index, media_type)
        if not isinstance(parsed, Index):
            raise InvalidDocument("index: the manifest of an image where an index is expected")
        digest = self._blobs.put(index)
        if size is None:
            size = sum(item.size for item in parsed.manifests)
        row = (str(digest), str(digest), len(index), parsed.media_type, "", size, "", json.dumps(dict(labels or {})))
        return self._put(row, names)

    def get(self, id: Digest) -> ImageRecord | None:
        """The image of that id, or None."""
        found = self._select("WHERE id = ?", (str(id),))
        return found[0] if found else None

    def by_manifest(self, digest: Digest) -> ImageRecord | None:
        """The image whose manifest (or index) has that digest, or None."""
        found = self._select("WHERE manifest = ?", (str(digest),))
        return found[0] if found else None

    def list(self) -> list[ImageRecord]:
        """All images, the one that came last first."""
        return self._select("ORDER BY added DESC, id", ())

    def resolve(self, name: str) -> ImageRecord:
        """The image of a name, an id or the beginning of an id. Raises ImageNotFound, StoreError when ambiguous."""
        return self.resolve_first((name,))

    def resolve_first(self, candidates: Sequence[str]) -> ImageRecord:
        """The image that the first of the candidates names; only when none is a name they are tried as ids.

        An id is at least three hexadecimal digits from its beginning, with `sha256:` or without; the whole digest
        of a manifest counts, too. Raises ImageNotFound(first candidate); StoreError when an id is ambiguous.
        """
        for name in candidates:
            found = self._select("WHERE id = (SELECT image FROM names WHERE name = ?)", (name,))
            if found:
                return found[0]
        for name in candidates:
            by_id = self._by_id(name)
            if by_id is not None:
                return by_id
        raise ImageNotFound(candidates[0] if candidates else "", hint="see `werf buildah images`, or pull it first")

    def tag(self, id: Digest, name: str) -> None:
        """Give an image a further name, taken from whoever had it. Idempotent. Raises ImageNotFound.

        Nothing is written when it has the name.
        """
        if self._database.row("SELECT image FROM names WHERE name = ?", (name,)) == (str(id),):
            return
        with self._database.write() as connection:
            if connection.execute("SELECT 1 FROM images WHERE id = ?", (str(id),)).fetchone() is None:
                raise ImageNotFound(str(id))
            connection.execute(
                "INSERT INTO names (name, image, added) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET image = excluded.image, added = excluded.added"
                " WHERE image <> excluded.image",
                (name, str(id), time.time()),
            )
            self._layout.changed(connection)
        self._layout.publish()

    def untag(self, name: str) -> None:
        """Take a name away; the image stays. Raises ImageNotFound."""
        with self._database.write() as connection:
            if not connection.execute("DELETE FROM names WHERE name = ?", (name,)).rowcount:
                raise ImageNotFound(name)
            self._layout.changed(connection)
        self._layout.publish()

    def remove(self, id: Digest, *, force: bool = False) -> None:
        """Remove an image with all its names; what only it needed is collected later (`gc.collect`).

        Raises ImageNotFound; ImageInUse when an index in the store lists it, unless `force`.
        """
        record = self.get(id)
        if record is None:
            raise ImageNotFound(str(id))
        if not force:
            self._refuse_in_use(record)
        with self._database.write() as connection:
            connection.execute("DELETE FROM names WHERE image = ?", (str(id),))
            connection.execute("DELETE FROM images WHERE id = ?", (str(id),))
            self._layout.changed(connection)
        self._layout.publish()

    def _put(self, row: tuple[object, ...], names: Iterable[str]) -> ImageRecord:
        names = tuple(names)
        known = self._database.row(f"SELECT {', '.join(_STORED)} FROM images WHERE id = ?", (row[0],))
        if known == row:
            found = self._select("WHERE id = ?", (row[0],))
            if found and set(names) <= set(found[0].names):
                return found[0]  # as it is: a build that finds everything in its cache writes nothing
        now = time.time()
        with self._database.write() as connection:
            connection.execute(
                f"INSERT INTO images ({', '.join(_STORED)}, added)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET manifest = excluded.manifest, manifest_size = excluded.manifest_size,"
                " media_type = excluded.media_type, size = excluded.size",
                (*row, now),
            )
            connection.executemany(
                "INSERT INTO names (name, image, added) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET image = excluded.image, added = excluded.added"
                " WHERE image <> excluded.image",
                [(name, row[0], now + place * 1e-6) for place, name in enumerate(names)],
            )
            self._layout.changed(connection)
            record = _records(connection.execute(_select("WHERE id = ?"), (row[0],)).fetchall())[0]
        self._layout.publish()
        return record

    def _select(self, rest: str, parameters: Sequence[object]) -> _Images:
        return _records(self._database.rows(_select(rest), parameters))

    def _by_id(self, text: str) -> ImageRecord | None:
        prefix = text.removeprefix("sha256:")
        if len(prefix) < _SHORTEST_PREFIX or len(prefix) > 64 or not _HEX.issuperset(prefix):
            return None
        found = self._select("WHERE id >= ? AND id < ? LIMIT 3", (f"sha256:{prefix}", f"sha256:{prefix}g"))
        if not found and len(prefix) == 64:
            found = self._select("WHERE manifest = ?", (f"sha256:{prefix}",))
        if len(found) > 1:
            raise StoreError(
                f"{text} is the beginning of more than one image id: " + ", ".join(item.id.hex[:20] for item in found),
                hint="write more of its digits",
            )
        return found[0] if found else None

    def _refuse_in_use(self, record: ImageRecord) -> None:
        for other in self.list():
            if not other.is_index or other.id == record.id or self._blobs.has(other.manifest_digest) is None:
                continue
            index = parse_manifest(self._blobs.read(other.manifest_digest), other.media_type)
            if isinstance(index, Index) and any(item.digest == record.manifest_digest for item in index.manifests):
                name = other.names[0] if other.names else other.id.short
                raise ImageInUse(
                    f"image {record.id.short} is listed by the index {name}",
                    hint=f"remove {name} first, or use --force",
                )

    def _size_of(self, manifest: Manifest, image: ImageConfig) -> int:
        chains = [str(chain) for chain in chain_ids(image.diff_ids)]
        sizes = []
        for chain in chains:
            row = self._database.row("SELECT size FROM layers WHERE chain = ?", (chain,))
            if row is None:
                return sum(layer.size for layer in manifest.layers)
            sizes.append(row[0])
        return sum(sizes)


def _select(rest: str) -> str:
    """The query for images; their names come as one JSON list, in the order in which they were given."""
    names = "(SELECT json_group_array(name) FROM (SELECT name FROM names WHERE image = id ORDER BY added, name))"
    return f"SELECT {_COLUMNS}, {names} FROM images {rest}"


def _records(rows: Iterable[tuple[str, str, str, str, int, str, str, float, str]]) -> list[ImageRecord]:
    return [
        ImageRecord(
            Digest.parse(id),
            Digest.parse(manifest),
            media_type,
            tuple(json.loads(names)),
            created,
            size,
            Platform.parse(platform) if platform else None,
            json.loads(labels),
            added,
        )
        for id, manifest, media_type, created, size, platform, labels, added, names in rows
    ]
