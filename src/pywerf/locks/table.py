"""A lease service in a sqlite database: what the lock server keeps, and survives its restarts with."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable

from pywerf.errors import LockError, LockLost
from pywerf.locks.base import LEASE_SECONDS, Handle

__all__ = ["LeaseTable"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS leases (
    space TEXT NOT NULL, name TEXT NOT NULL, uuid TEXT NOT NULL, shared INTEGER NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (space, name, uuid)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting (
    space TEXT NOT NULL, name TEXT NOT NULL, acquirer TEXT NOT NULL, shared INTEGER NOT NULL, since INTEGER NOT NULL,
    until REAL NOT NULL, PRIMARY KEY (space, name, acquirer)
) WITHOUT ROWID;
"""


class LeaseTable:
    """A LeaseService whose locks live in `path` (`:memory:` keeps them as long as this object).

    `space` tells the locks of different clients (repositories) apart: `of` gives another one over the same database.
    `clock` gives seconds since 1970. One connection, one lock: an operation takes some 20 microseconds.
    """

    def __init__(self, path: str, space: str = "", *, clock: Callable[[], float] = time.time) -> None:
        self._space = space
        self._clock = clock
        self._lock = threading.Lock()
        try:
            if path != ":memory:":
                os.makedirs(os.path.dirname(os.path.abspath(path)), mode=0o700, exist_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise LockError(f"cannot open the database of locks {path}: {error}") from error

    def of(self, space: str) -> LeaseTable:
        """The locks of another space in the same database."""
        other = object.__new__(LeaseTable)
        other.__dict__.update(self.__dict__, _space=space)
        return other

    def acquire(self, name: str, shared: bool, acquirer: str) -> Handle | None:
        with self._lock:
            now = self._begin()
            try:
                handle = self._acquire(name, shared, acquirer, now)
                self._database.execute("COMMIT")
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
        return handle

    def renew(self, handle: Handle) -> None:
        self._change(
            handle,
            "UPDATE leases SET until = :until WHERE space = :space AND name = :name AND uuid = :uuid AND until > :now",
        )

    def release(self, handle: Handle) -> None:
        self._change(
            handle, "DELETE FROM leases WHERE space = :space AND name = :name AND uuid = :uuid AND until > :now"
        )

    def close(self) -> None:
        """Close the database, for all spaces."""
        with self._lock:
            self._database.close()

    def _begin(self) -> float:
        try:
            self._database.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise LockError(f"the database of locks does not answer: {error}") from error
        now = self._clock()
        for table in ("leases", "waiting"):
            self._database.execute(f"DELETE FROM {table} WHERE until <= ?", (now,))
        return now

    def _acquire(self, name: str, shared: bool, acquirer: str, now: float) -> Handle | None:
        execute = self._database.execute
        key = (self._space, name)
        # its place in the queue: behind all that came before, and kept while it goes on asking
        execute(
            "INSERT INTO waiting VALUES (?, ?, ?, ?, (SELECT coalesce(max(since), 0) + 1 FROM waiting), ?) "
            "ON CONFLICT DO UPDATE SET until = excluded.until",
            (*key, acquirer, shared, now + LEASE_SECONDS),
        )
        (since,) = execute(
            "SELECT since FROM waiting WHERE space = ? AND name = ? AND acquirer = ?", (*key, acquirer)
        ).fetchone()
        others = "" if not shared else " AND NOT shared"
        held = execute(f"SELECT 1 FROM leases WHERE space = ? AND name = ?{others}", key).fetchone()
        ahead = execute(
            f"SELECT 1 FROM waiting WHERE space = ? AND name = ? AND since < ?{others}", (*key, since)
        ).fetchone()
        if held or ahead:
            return None
        execute("DELETE FROM waiting WHERE space = ? AND name = ? AND acquirer = ?", (*key, acquirer))
        handle = Handle(os.urandom(16).hex(), name)
        execute("INSERT INTO leases VALUES (?, ?, ?, ?, ?)", (*key, handle.uuid, shared, now + LEASE_SECONDS))
        return handle

    def _change(self, handle: Handle, statement: str) -> None:
        now = self._clock()
        values = {
            "space": self._space,
            "name": handle.lock_name,
            "uuid": handle.uuid,
            "now": now,
            "until": now + LEASE_SECONDS,
        }
        with self._lock:
            try:
                changed = self._database.execute(statement, values).rowcount
            except sqlite3.Error as error:
                raise LockError(f"the database of locks does not answer: {error}") from error
        if not changed:
            raise LockLost(handle.lock_name)
