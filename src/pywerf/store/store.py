"""The embedded engine's store: one directory, shared by any number of processes.

ROOT/db.sqlite      images, names, layers, cache records, remembered answers
ROOT/oci            an OCI image layout with all blobs
ROOT/snapshots      one folder a driver
ROOT/cache-mounts   the caches of RUN --mount=type=cache
ROOT/tmp            one folder a living process
ROOT/locks, leases, steps   files for flock(2)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from pywerf.errors import StoreError
from pywerf.linux.removal import remove_tree
from pywerf.store import recovery
from pywerf.store.blobs import BlobStore
from pywerf.store.cache import CacheStore
from pywerf.store.cache_mounts import CacheMounts
from pywerf.store.database import Database
from pywerf.store.images import ImageStore
from pywerf.store.layers import LayerStore
from pywerf.store.layout import OciLayout
from pywerf.store.locks import Locks, Session, clean_sessions
from pywerf.store.memo import Memo

if TYPE_CHECKING:
    import sqlite3

    from pywerf.store.step_locks import StepLocks

__all__ = ["Store"]

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


class Store:
    """A store that is open. A context manager; any thread may use it, and any number of processes the same ROOT.

    `blobs`, `images`, `layers`, `cache`, `cache_mounts` and `memo` hold what the names say; the database is opened by
    the first of them that needs it.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.oci_dir = f"{root}/oci"
        self.snapshots_dir = f"{root}/snapshots"
        self._locks = Locks(root)
        self._session = Session(f"{root}/tmp")
        self._layout = OciLayout(self.oci_dir, self._locks, self._session)
        self.database = Database(f"{root}/db.sqlite", lambda: self.lock("database"), self._opened)
        self._layout.bind(self.database)
        self.blobs = BlobStore(self.oci_dir, self._session)
        self.images = ImageStore(self.database, self.blobs, self._layout)
        self.layers = LayerStore(self.database)
        self.cache = CacheStore(self.database)
        self.memo = Memo(self.database)
        self.cache_mounts = CacheMounts(self.root, self.memo)

    @classmethod
    def open(cls, root: str, *, create: bool = True) -> Store:
        """Open the store in `root`, which is made when it is missing and `create` says so. Raises StoreError."""
        root = os.path.abspath(root)
        store = cls(root)
        try:
            if not os.path.exists(f"{root}/oci/oci-layout"):
                if not create:
                    raise StoreError(f"{root}: no store here", hint="build or pull an image first, or check --root")
                store._create()
            else:
                try:
                    clean_sessions(f"{root}/tmp")
                except FileNotFoundError:
                    store._create()
        except OSError as error:
            raise StoreError(
                f"{root}: the store cannot be opened: {error}",
                hint="choose a directory that you may write to with --root or WERF_BUILDAH_ROOT",
            ) from error
        return store

    def lock(self, name: str, *, wait: bool = True) -> AbstractContextManager[bool]:
        """Hold the lock `name` against all threads and processes; it goes with the process.

        Yields True; False when `wait` is False and somebody else holds it. Not reentrant.
        """
        return self._locks.lock(name, wait=wait)

    def lease(self, kind: str, id: str) -> AbstractContextManager[None]:
        """Keep the `blob` (a digest), `snapshot`, `layer` (a chain id) or `cache` (a key) `id` from being collected.

        Any number may hold it at once; it goes with the process. Who takes one looks afterwards whether
        `id` is still there.
        """
        return self._locks.lease(kind, id)

    def unleased(self, kind: str, id: str) -> AbstractContextManager[bool]:
        """For who removes `id`: yields whether nobody holds a lease of it; nobody gets one until the end."""
        return self._locks.unleased(kind, id)

    def step_locks(self) -> StepLocks:
        """The locks on steps that are being done."""
        from pywerf.store.step_locks import StepLocks

        return StepLocks(self.root)

    @property
    def scratch_dir(self) -> str:
        """This process's own directory in ROOT/tmp, for files that it names itself; gone when it ends."""
        return self._session.path()

    @contextmanager
    def tmp_dir(self) -> Iterator[str]:
        """An empty directory in ROOT/tmp, removed at the end, or by a later command if this process is killed."""
        path = self._session.new_path("dir")
        os.mkdir(path, 0o700)
        try:
            yield path
        finally:
            remove_tree(path)

    def new_snapshot_id(self) -> str:
        """An id that no snapshot has: 13 characters of base 32 (64 random bits)."""
        number = int.from_bytes(os.urandom(8), "little")
        return "".join(_ALPHABET[number >> shift & 31] for shift in range(0, 65, 5))

    def driver_dir(self, driver: str) -> str:
        """The folder of a snapshot driver, ROOT/snapshots/DRIVER."""
        return f"{self.snapshots_dir}/{driver}"

    def close(self) -> None:
        """Close the database, remove what this process has in ROOT/tmp. Idempotent."""
        self.database.close()
        self._session.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _create(self) -> None:
        # Nobody else's: files in snapshots may be set-uid.
        os.makedirs(self.root, mode=0o700, exist_ok=True)
        for name in ("snapshots", "cache-mounts", "tmp", "locks", "leases"):
            os.makedirs(f"{self.root}/{name}", mode=0o700, exist_ok=True)
        with self.lock("create"):
            self._layout.create()

    def _opened(self, connection: sqlite3.Connection, modified: float) -> None:
        """With the first connection: look whether the machine was started anew, and whether index.json is current."""
        boot = recovery.boot_id()
        if _boot_of(connection) != boot:
            with self.lock("recovery"):
                known = _boot_of(connection)
                if known != boot:
                    if known is not None:
                        recovery.recover(connection, self.blobs, modified)
                        self._layout.publish(always=True)
                    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('boot', ?)", (boot,))
        self._layout.check(connection)


def _boot_of(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE key = 'boot'").fetchone()
    return None if row is None else str(row[0])
