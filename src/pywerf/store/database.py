"""The store's sqlite database: connections, transactions, the schema, errors in our own words."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from pywerf.errors import StoreError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["SCHEMA_VERSION", "Database"]

_BUSY_TIMEOUT = 60_000  # milliseconds

# One entry a version of the schema: what leads to it from the one before.
_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE images (
        id TEXT PRIMARY KEY, manifest TEXT NOT NULL, manifest_size INTEGER NOT NULL, media_type TEXT NOT NULL,
        created TEXT NOT NULL, size INTEGER NOT NULL, platform TEXT NOT NULL, labels TEXT NOT NULL, added REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX images_manifest ON images (manifest);
    CREATE TABLE names (name TEXT PRIMARY KEY, image TEXT NOT NULL, added REAL NOT NULL) WITHOUT ROWID;
    CREATE INDEX names_image ON names (image);
    CREATE TABLE layers (
        chain TEXT PRIMARY KEY, parent TEXT, diff_id TEXT NOT NULL, size INTEGER NOT NULL,
        blob TEXT, blob_type TEXT, blob_size INTEGER, snapshot TEXT, created REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX layers_diff_id ON layers (diff_id);
    CREATE TABLE cache (
        key TEXT PRIMARY KEY, definition TEXT NOT NULL, shape TEXT NOT NULL, components BLOB NOT NULL,
        result BLOB NOT NULL, created REAL NOT NULL, last_used REAL NOT NULL, size INTEGER NOT NULL
    );
    CREATE INDEX cache_definition ON cache (definition, created);
    CREATE INDEX cache_shape ON cache (shape);
    CREATE TABLE memo (
        kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, last_used REAL NOT NULL,
        PRIMARY KEY (kind, key)
    );
    """,
)
SCHEMA_VERSION = len(_MIGRATIONS)


class Database:
    """One sqlite file, with a connection a thread, opened when it is first needed.

    `creating` gives the lock under which the file is created or migrated; `opened` is called once,
    with the first connection of this process, before anything else happens on it, and with the time
    of the last change of the file before that (seconds since the epoch, 0 when it was made now).
    """

    def __init__(
        self,
        path: str,
        creating: Callable[[], AbstractContextManager[object]],
        opened: Callable[[sqlite3.Connection, float], None],
    ) -> None:
        self.path = path
        self._creating = creating
        self._opened = opened
        self._ready = False
        self._local = threading.local()
        self._lock = threading.RLock()  # one writer at a time in this process: no polling among its own threads
        self._connections: list[sqlite3.Connection] = []
        self._pid = os.getpid()

    def connection(self) -> sqlite3.Connection:
        """This thread's connection, in autocommit mode."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is not None and self._pid == os.getpid():
            return found
        with self._lock:
            if self._pid != os.getpid():
                # After fork(2) a connection of the parent may be neither used nor closed (sqlite's howtocorrupt.html).
                _INHERITED.extend(self._connections)
                self._connections.clear()
                self._pid = os.getpid()
            modified = 0.0 if self._ready else self._modified()
            connection = self._connect()
            self._local.connection = connection
            self._connections.append(connection)
            if not self._ready:
                try:
                    self._opened(connection, modified)
                except BaseException:
                    self._local.connection = None
                    raise
                self._ready = True
        return connection

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        """All rows of a query, as tuples."""
        with translated(self.path):
            return self.connection().execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[object] = ()) -> Any | None:
        """The first row of a query as a tuple, or None."""
        with translated(self.path):
            return self.connection().execute(sql, parameters).fetchone()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that writes: committed at the end, rolled back by an exception. Not to be nested."""
        with self._lock, translated(self.path):
            connection = self.connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one state of the database in all of its queries."""
        with translated(self.path):
            connection = self.connection()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")

    def close(self) -> None:
        """Close all connections; other threads must be done with theirs. Idempotent."""
        with self._lock:
            if self._pid == os.getpid():
                for connection in self._connections:
                    connection.close()
            else:
                _INHERITED.extend(self._connections)
            self._connections.clear()
            self._local = threading.local()
            self._ready = False

    def _modified(self) -> float:
        times = [0.0]
        for path in (self.path, f"{self.path}-wal"):
            try:
                times.append(os.stat(path).st_mtime)
            except FileNotFoundError:
                continue
        return max(times)

    def _connect(self) -> sqlite3.Connection:
        import sqlite3

        with translated(self.path):
            connection = sqlite3.connect(
                self.path, timeout=_BUSY_TIMEOUT / 1000, isolation_level=None, check_same_thread=False
            )
            try:
                connection.execute("PRAGMA synchronous=NORMAL")
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version < SCHEMA_VERSION:
                    with self._creating():
                        _migrate(connection)
                elif version > SCHEMA_VERSION:
                    raise StoreError(
                        f"{self.path} was made by a newer version of pywerf (schema {version})",
                        hint="use that version, or another --root",
                    )
            except BaseException:
                connection.close()
                raise
        return connection


# Connections that were open when the process forked: kept, so that they are never closed here.
_INHERITED: list[sqlite3.Connection] = []


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for number, script in enumerate(_MIGRATIONS[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in script.split(";"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={number}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn the errors of sqlite into StoreError."""
    import sqlite3

    try:
        yield
    except sqlite3.OperationalError as error:
        hint = None
        if "locked" in str(error):
            hint = "another command has been writing to it for a long time; wait for its end"
        elif "full" in str(error):
            hint = "make room on the disk"
        raise StoreError(f"{path}: {error}", hint=hint) from error
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"{path} is damaged: {error}",
            hint="save what you need of the OCI layout beside it (skopeo copy oci:…), then remove the whole directory",
        ) from error
