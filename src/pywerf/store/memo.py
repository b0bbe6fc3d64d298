"""Remembered answers: small blobs by kind and key (digests of files, …) that may be forgotten at any time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pywerf.store.database import Database

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Memo"]

_TOUCH_AFTER = 3600.0


class Memo:
    """A map from (kind, key) to bytes, pruned by last use. Any thread and any process may call."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, kind: str, key: str) -> bytes | None:
        """The value, or None when it was never put, or pruned."""
        row = self._database.row("SELECT value, last_used FROM memo WHERE kind = ? AND key = ?", (kind, key))
        if row is None:
            return None
        now = time.time()
        if row[1] < now - _TOUCH_AFTER:
            with self._database.write() as connection:
                connection.execute("UPDATE memo SET last_used = ? WHERE kind = ? AND key = ?", (now, kind, key))
        value: bytes = row[0]
        return value

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Store or replace a value. Atomic."""
        with self._database.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO memo (kind, key, value, last_used) VALUES (?, ?, ?, ?)",
                (kind, key, value, time.time()),
            )

    def has(self, kind: str, key: str) -> bool:
        """Whether there is a value; its use is not marked."""
        return self._database.row("SELECT 1 FROM memo WHERE kind = ? AND key = ?", (kind, key)) is not None

    def keys(self, kind: str, limit: int = -1) -> list[str]:
        """The keys of a kind, the last one in the order of text first; at most `limit`."""
        rows = self._database.rows("SELECT key FROM memo WHERE kind = ? ORDER BY key DESC LIMIT ?", (kind, limit))
        return [row[0] for row in rows]

    def trim(self, kind: str, *, keep: int | None = None, keep_bytes: int | None = None) -> int:
        """Of one kind, keep the last `keep` keys in the order of text, and the last used ones up to `keep_bytes`."""
        removed = 0
        with self._database.write() as connection:
            if keep is not None:
                removed += connection.execute(
                    "DELETE FROM memo WHERE kind = ?1 AND key NOT IN"
                    " (SELECT key FROM memo WHERE kind = ?1 ORDER BY key DESC LIMIT ?2)",
                    (kind, keep),
                ).rowcount
            if keep_bytes is not None:
                rows = connection.execute(
                    "SELECT rowid, length(value) FROM memo WHERE kind = ? ORDER BY last_used DESC, rowid DESC", (kind,)
                )
                removed += _remove_over(connection, rows.fetchall(), keep_bytes)
        return removed

    def forget(self, kind: str, key: str | None = None) -> None:
        """Remove one value, or all of a kind. Idempotent."""
        with self._database.write() as connection:
            if key is None:
                connection.execute("DELETE FROM memo WHERE kind = ?", (kind,))
            else:
                connection.execute("DELETE FROM memo WHERE kind = ? AND key = ?", (kind, key))

    def prune(self, *, unused_for: float | None = None, keep_bytes: int | None = None) -> int:
        """Remove what was not used for so many seconds, then the least recently used over `keep_bytes`."""
        removed = 0
        with self._database.write() as connection:
            if unused_for is not None:
                removed += connection.execute(
                    "DELETE FROM memo WHERE last_used <= ?", (time.time() - unused_for,)
                ).rowcount
            if keep_bytes is not None:
                rows = connection.execute("SELECT rowid, length(value) FROM memo ORDER BY last_used DESC, rowid DESC")
                removed += _remove_over(connection, rows.fetchall(), keep_bytes)
        return removed


def _remove_over(connection: sqlite3.Connection, rows: list[tuple[int, int]], keep_bytes: int) -> int:
    """Remove those of the rows (rowid, size) that come after `keep_bytes`; returns how many."""
    total = 0
    gone = []
    for rowid, size in rows:
        total += size
        if total > keep_bytes:
            gone.append((rowid,))
    connection.executemany("DELETE FROM memo WHERE rowid = ?", gone)
    return len(gone)
