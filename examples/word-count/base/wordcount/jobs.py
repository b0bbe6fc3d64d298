"""The jobs: texts that wait, and the words that were counted in them. One database serves all processes."""

import json
import os
import sqlite3


def connect(path=None):
    """A connection to the database, which is made when it is not there."""
    connection = sqlite3.connect(path or os.environ["DATABASE"], timeout=30, isolation_level=None)
    connection.execute("CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, text TEXT NOT NULL, words TEXT)")
    return connection


def add(connection, text):
    """Let a text wait; the number of its job."""
    return connection.execute("INSERT INTO jobs (text) VALUES (?)", (text,)).lastrowid


def get(connection, job):
    """The words of a job, None while it waits. Raises KeyError when there is no such job."""
    row = connection.execute("SELECT words FROM jobs WHERE id = ?", (job,)).fetchone()
    if row is None:
        raise KeyError(job)
    return None if row[0] is None else json.loads(row[0])


def work(connection, count):
    """Do the oldest job that waits, by `count`; its number, or None when none does."""
    row = connection.execute("SELECT id, text FROM jobs WHERE words IS NULL ORDER BY id LIMIT 1").fetchone()
    if row is None:
        return None
    job, text = row
    connection.execute("UPDATE jobs SET words = ? WHERE id = ?", (json.dumps(count(text)), job))
    return job
