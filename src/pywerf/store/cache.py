"""The records of the build cache: what a step's content-based key led to."""

from __future__ import annotations

import time
from collections.abc import Iterable

import msgspec

from pywerf.store.database import Database

__all__ = ["CacheRecord", "CacheStore"]

_COLUMNS = "key, definition, shape, components, result, created, last_used, size"
_TOUCH_AFTER = 3600.0  # seconds: a younger mark of use is near enough


class CacheRecord(msgspec.Struct, frozen=True):
    """One result. Times in seconds since the epoch, `size` in bytes of what the result holds.

    `definition` is the digest of what was asked, without its parent; `shape` that of what can be known of the
    inputs without reading them; `components` (JSON) is what the key was made of, so that a miss can be
    explained; `result` (JSON) is the engine's. Every digest and snapshot id that stands in the result as a JSON
    string is kept from being collected for as long as the record lives.
    """

    key: str
    definition: str
    shape: str
    components: bytes
    result: bytes
    created: float
    last_used: float
    size: int


class CacheStore:
    """The records of the cache. Any thread and any process may call."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str) -> CacheRecord | None:
        """The record of a key, or None."""
        row = self._database.row(f"SELECT {_COLUMNS} FROM cache WHERE key = ?", (key,))
        return None if row is None else CacheRecord(*row)

    def has_definition(self, definition: str) -> bool:
        """Whether anything like this was ever asked: when not, no key needs to be computed."""
        return self._database.row("SELECT 1 FROM cache WHERE definition = ? LIMIT 1", (definition,)) is not None

    def has_shape(self, shape: str) -> bool:
        """Whether there is a record of that shape."""
        return self._database.row("SELECT 1 FROM cache WHERE shape = ? LIMIT 1", (shape,)) is not None

    def candidates(self, definition: str, limit: int = 10) -> list[CacheRecord]:
        """The newest records of a definition: what a miss is compared with."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM cache WHERE definition = ? ORDER BY created DESC LIMIT ?", (definition, limit)
        )
        return [CacheRecord(*row) for row in rows]

    def list(self) -> list[CacheRecord]:
        """All records, the one used longest ago first."""
        return [CacheRecord(*row) for row in self._database.rows(f"SELECT {_COLUMNS} FROM cache ORDER BY last_used")]

    def put(self, record: CacheRecord) -> None:
        """Store or replace a record. Atomic."""
        values = msgspec.structs.astuple(record)
        with self._database.write() as connection:
            connection.execute(f"INSERT OR REPLACE INTO cache ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def touch(self, keys: Iterable[str]) -> None:
        """Mark as used now; writes only where the last mark is older than an hour."""
        now = time.time()
        wanted = list(keys)
        for start in range(0, len(wanted), 500):
            part = wanted[start : start + 500]
            marks = ",".join("?" * len(part))
            stale = self._database.rows(
                f"SELECT key FROM cache WHERE last_used < ? AND key IN ({marks})", (now - _TOUCH_AFTER, *part)
            )
            if stale:
                with self._database.write() as connection:
                    connection.executemany(
                        "UPDATE cache SET last_used = ? WHERE key = ?", [(now, *row) for row in stale]
                    )

    def remove(self, keys: Iterable[str]) -> int:
        """Remove records; returns how many there were."""
        with self._database.write() as connection:
            return connection.executemany("DELETE FROM cache WHERE key = ?", [(key,) for key in keys]).rowcount

    def prune(self, *, unused_for: float | None = None, keep: int | None = None) -> int:
        """Remove what was not used for so many seconds, and all but the `keep` last used; returns how many."""
        removed = 0
        with self._database.write() as connection:
            if unused_for is not None:
                removed += connection.execute(
                    "DELETE FROM cache WHERE last_used <= ?", (time.time() - unused_for,)
                ).rowcount
            if keep is not None:
                removed += connection.execute(
                    "DELETE FROM cache WHERE key NOT IN (SELECT key FROM cache ORDER BY last_used DESC LIMIT ?)",
                    (keep,),
                ).rowcount
        return removed
