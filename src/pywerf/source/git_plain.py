"""Opens a repository with libgit2, also where its index is one that libgit2 cannot read."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from pywerf.source.git_index_join import is_unusual, plain_index
from pywerf.source.git_objects import GitObjects, tree_entries

if TYPE_CHECKING:
    from pygit2 import Repository

    from pywerf.source.git_place import GitPlace

__all__ = ["open_repository"]

# What libgit2 would look at beside them; a hook may have them for another repository.
_OF_HOOKS = (
    *("GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE"),
    *("GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM"),
)

_environment = threading.Lock()


def open_repository(root: str, place: GitPlace | None) -> tuple[Repository, bytes | None]:
    """The repository of the work tree `root`; and, where its index is split or sparse, a plain one that is used then.

    The user's index stays as it is. Raises pygit2.GitError.
    """
    import tempfile

    import pygit2

    plain = None if place is None else _plain(place)
    if plain is None or place is None:
        return pygit2.Repository(root), None
    with tempfile.TemporaryDirectory(prefix="pywerf-index-") as folder:
        path = os.path.join(folder, "index")
        with open(path, "wb") as file:
            file.write(plain)
        facts = os.stat(os.path.join(place.git_dir, "index"))
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # files as young as the index are looked at
        # libgit2 takes the name of an index from a variable only
        wanted = {"GIT_DIR": place.git_dir, "GIT_WORK_TREE": root, "GIT_INDEX_FILE": path}
        with _environment:
            before = {name: os.environ.get(name) for name in (*wanted, *_OF_HOOKS)}
            for name in _OF_HOOKS:
                os.environ.pop(name, None)
            os.environ.update(wanted)
            try:
                opened = pygit2.Repository(root, pygit2.enums.RepositoryOpenFlag.FROM_ENV)
                len(opened.index)  # it is read now, and kept
                opened.odb  # noqa: B018 # so is where the objects are
            finally:
                for name, value in before.items():
                    if value is None:
                        os.environ.pop(name, None)
                    else:
                        os.environ[name] = value
    return opened, plain


def _plain(place: GitPlace) -> bytes | None:
    """An index that is split or sparse as a plain one; None for others, and where libgit2 says what is wrong."""
    try:
        with open(os.path.join(place.git_dir, "index"), "rb") as file:
            data = file.read()
        if not is_unusual(data):
            return None
        objects = GitObjects(place.common_dir)

        def shared(digest: str) -> bytes:
            with open(os.path.join(place.git_dir, f"sharedindex.{digest}"), "rb") as file:
                return file.read()

        return plain_index(data, shared, lambda oid: tree_entries(objects.read(oid)[1]))
    except (OSError, ValueError, KeyError):
        return None
