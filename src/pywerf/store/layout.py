"""The OCI image layout of the store: `oci-layout`, and `index.json`, which follows the database."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pywerf.errors import StoreError
from pywerf.oci.document import encode
from pywerf.oci.media_types import OCI_INDEX
from pywerf.store.database import Database
from pywerf.store.locks import Locks, Session

if TYPE_CHECKING:
    import sqlite3

__all__ = ["OciLayout"]

_REF_NAME = "org.opencontainers.image.ref.name"


class OciLayout:
    """`index.json` with one descriptor a name, and one for each image without.

    The database counts the changes of images and names, and which of them the file has seen: a process that died
    in between is found by the next one that opens the store (`check`).
    """

    def __init__(self, root: str, locks: Locks, session: Session) -> None:
        self.root = root
        self._locks = locks
        self._session = session
        self._database: Database | None = None

    def bind(self, database: Database) -> None:
        """Say which database the layout follows."""
        self._database = database

    def create(self) -> None:
        """Make an empty layout. Idempotent; `oci-layout` comes last: where it is, all the rest is."""
        os.makedirs(f"{self.root}/blobs/sha256", exist_ok=True)
        if not os.path.exists(f"{self.root}/index.json"):
            self._write("index.json", _index([]))
        self._write("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')

    def changed(self, connection: sqlite3.Connection) -> None:
        """Count a change, inside of the transaction that makes it."""
        connection.execute(
            "INSERT INTO meta (key, value) VALUES ('generation', '1')"
            " ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT)"
        )

    def check(self, connection: sqlite3.Connection) -> None:
        """Write `index.json` if it has missed a change."""
        if _generation(connection, "generation") != _generation(connection, "index_generation"):
            self.publish()

    def publish(self, *, always: bool = False) -> None:
        """Bring `index.json` up to date. What another process has written for us meanwhile is not written again."""
        database = self._database
        if database is None:
            raise StoreError(f"{self.root}: the layout has no database")
        with self._locks.lock("index"):
            with database.read() as connection:
                generation = _generation(connection, "generation")
                if not always and _generation(connection, "index_generation") == generation:
                    return
                rows = connection.execute(
                    "SELECT media_type, manifest, manifest_size, platform, name FROM images"
                    " LEFT JOIN names ON names.image = images.id ORDER BY images.added, images.id, name"
                ).fetchall()
            self._write("index.json", _index(rows))
            with database.write() as connection:
                connection.execute(
                    "INSERT OR REPLACE INTO meta (key, value) VALUES ('index_generation', ?)", (str(generation),)
                )

    def _write(self, name: str, data: bytes) -> None:
        path = self._session.new_path("layout")
        with open(path, "wb") as file:
            file.write(data)
        os.rename(path, f"{self.root}/{name}")


def _generation(connection: sqlite3.Connection, key: str) -> int:
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return 0 if row is None else int(row[0])


def _index(rows: list[tuple[str, str, int, str, str | None]]) -> bytes:
    manifests = []
    for media_type, digest, size, platform, name in rows:
        item: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": size}
        if platform:
            os_name, _, rest = platform.partition("/")
            architecture, _, variant = rest.partition("/")
            item["platform"] = {"architecture": architecture, "os": os_name}
            if variant:
                item["platform"]["variant"] = variant
        if name is not None:
            item["annotations"] = {_REF_NAME: name}
        manifests.append(item)
    return encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
