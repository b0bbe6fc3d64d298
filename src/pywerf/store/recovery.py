"""After the machine was started anew: what a loss of power may have damaged is looked at once.

Blobs, snapshots and records are written without fsync(2): a killed process loses nothing by that, a machine
that loses power loses what its kernel had not written yet (some 30 seconds at most, by default). The database
remembers the kernel's boot id; the first opening after another boot looks at what was written in the last
two minutes of the former.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pywerf.oci.digest import Digest
from pywerf.store.blobs import BlobStore

if TYPE_CHECKING:
    import sqlite3

__all__ = ["WINDOW", "boot_id", "recover"]

WINDOW = 120.0  # seconds before the last sign of life


def boot_id() -> str:
    """The kernel's id of this boot (random(4)); empty where there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def recover(connection: sqlite3.Connection, blobs: BlobStore, last_activity: float) -> list[Digest]:
    """Drop the blobs that are damaged, and the records that may stand on damaged files; returns the blobs.

    `last_activity` is when the database was last written to (seconds since the epoch). Idempotent.
    """
    found = list(blobs.list())
    since = max([last_activity, *(modified for _, _, modified in found)]) - WINDOW
    damaged = []
    for digest, _, modified in found:
        if modified >= since and not _is_whole(blobs, digest):
            blobs.delete(digest)
            damaged.append(digest)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for digest in damaged:
            connection.execute(
                "UPDATE layers SET blob = NULL, blob_type = NULL, blob_size = NULL WHERE blob = ?", (str(digest),)
            )
            connection.execute(
                "DELETE FROM names WHERE image IN (SELECT id FROM images WHERE id = ?1 OR manifest = ?1)",
                (str(digest),),
            )
            connection.execute("DELETE FROM images WHERE id = ?1 OR manifest = ?1", (str(digest),))
        # Files of snapshots have no digest to compare with: steps are done again, layers unpacked again. Where the
        # snapshot is all there is of a layer it stays: a push makes its tar anew and compares the diff_id.
        connection.execute("DELETE FROM cache WHERE created >= ?", (since,))
        connection.execute("UPDATE layers SET snapshot = NULL WHERE created >= ? AND blob IS NOT NULL", (since,))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return damaged


def _is_whole(blobs: BlobStore, digest: Digest) -> bool:
    if digest.algorithm != "sha256":
        import hashlib

        state = hashlib.new(digest.algorithm)
        for chunk in blobs.chunks(digest):
            state.update(chunk)
        return state.hexdigest() == digest.hex
    return Digest.of_chunks(blobs.chunks(digest)) == digest
