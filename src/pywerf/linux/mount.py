"""A mount as a value; applying it is `child.py`'s work."""

from __future__ import annotations

import msgspec

__all__ = ["Mount"]


class Mount(msgspec.Struct, frozen=True):
    """One mount (runtime-spec config.md#mounts; mount(8) for the options).

    `target` is absolute in the container, or empty for the root file system itself. `options` are
    mount(8) words; unknown words go to the file system as data (overlay's `lowerdir=` …).

    With a `subpath` only that file or folder of it is mounted; symlinks in the path stay inside of the mount, and it
    is looked up when it is mounted, so that nobody can put something else in its place before.
    """

    type: str
    source: str
    target: str = ""
    options: tuple[str, ...] = ()
    subpath: str = ""
