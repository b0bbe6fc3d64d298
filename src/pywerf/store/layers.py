"""Layers: what is known of each chain of layers (OCI image-spec, config.md#layer-chainid)."""

from __future__ import annotations

import time

import msgspec

from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.store.database import Database

__all__ = ["LayerRecord", "LayerStore"]

_COLUMNS = "chain, parent, diff_id, size, blob, blob_type, blob_size, snapshot, created"


class LayerRecord(msgspec.Struct, frozen=True):
    """One layer on top of the chain `parent` (None: the bottom one).

    `size` is that of its uncompressed tar in bytes. `blob` is its stored blob, in whatever compression; `snapshot`
    the id of the snapshot with its files; either may be missing. `created` is in seconds since the epoch
    (0 in a new record: now).
    """

    chain_id: Digest
    parent: Digest | None
    diff_id: Digest
    size: int
    blob: Descriptor | None = None
    snapshot: str | None = None
    created: float = 0.0


class LayerStore:
    """The records of layers. Any thread and any process may call."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, chain_id: Digest) -> LayerRecord | None:
        """The record of a chain, or None."""
        row = self._database.row(f"SELECT {_COLUMNS} FROM layers WHERE chain = ?", (str(chain_id),))
        return None if row is None else _record(row)

    def by_diff_id(self, diff_id: Digest) -> list[LayerRecord]:
        """Every record of that layer, on whatever it stands; those with a blob first."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM layers WHERE diff_id = ? ORDER BY blob IS NULL, created", (str(diff_id),)
        )
        return [_record(row) for row in rows]

    def list(self) -> list[LayerRecord]:
        """All records, oldest first."""
        return [_record(row) for row in self._database.rows(f"SELECT {_COLUMNS} FROM layers ORDER BY created")]

    def put(self, record: LayerRecord) -> LayerRecord:
        """Merge with what is known: a known blob or snapshot stays. Returns what is recorded now. Atomic, idempotent.

        Of two processes that unpack one layer the first wins: the second finds the other's snapshot in the
        answer, and removes its own.
        """
        blob = record.blob
        with self._database.write() as connection:
            connection.execute(
                f"INSERT INTO layers ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (chain) DO UPDATE SET"
                " blob_type = CASE WHEN blob IS NULL THEN excluded.blob_type ELSE blob_type END,"
                " blob_size = CASE WHEN blob IS NULL THEN excluded.blob_size ELSE blob_size END,"
                " blob = coalesce(blob, excluded.blob), snapshot = coalesce(snapshot, excluded.snapshot),"
                " size = CASE WHEN excluded.size > 0 THEN excluded.size ELSE size END",
                (
                    str(record.chain_id),
                    None if record.parent is None else str(record.parent),
                    str(record.diff_id),
                    record.size,
                    None if blob is None else str(blob.digest),
                    None if blob is None else blob.media_type,
                    None if blob is None else blob.size,
                    record.snapshot,
                    record.created or time.time(),
                ),
            )
            row = connection.execute(f"SELECT {_COLUMNS} FROM layers WHERE chain = ?", (str(record.chain_id),))
            return _record(row.fetchone())

    def set_snapshot(self, chain_id: Digest, snapshot: str | None) -> None:
        """Replace the snapshot of a layer. Nothing happens when the chain is not known."""
        with self._database.write() as connection:
            connection.execute("UPDATE layers SET snapshot = ? WHERE chain = ?", (snapshot, str(chain_id)))

    def set_blob(self, chain_id: Digest, blob: Descriptor | None) -> None:
        """Replace the blob of a layer. Nothing happens when the chain is not known."""
        digest, media_type, size = (
            (None, None, None) if blob is None else (str(blob.digest), blob.media_type, blob.size)
        )
        with self._database.write() as connection:
            connection.execute(
                "UPDATE layers SET blob = ?, blob_type = ?, blob_size = ? WHERE chain = ?",
                (digest, media_type, size, str(chain_id)),
            )

    def forget(self, chain_id: Digest) -> None:
        """Remove the record; blob and snapshot are collected later. Idempotent."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM layers WHERE chain = ?", (str(chain_id),))


def _record(row: tuple[str, str | None, str, int, str | None, str, int, str | None, float]) -> LayerRecord:
    chain, parent, diff_id, size, blob, blob_type, blob_size, snapshot, created = row
    return LayerRecord(
        Digest.parse(chain),
        None if parent is None else Digest.parse(parent),
        Digest.parse(diff_id),
        size,
        None if blob is None else Descriptor(blob_type, Digest.parse(blob), blob_size),
        snapshot,
        created,
    )
