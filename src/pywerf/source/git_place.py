"""Where a work tree's repository is, and what its HEAD names: gitrepository-layout(5), without libgit2."""

from __future__ import annotations

import os
from typing import Literal

import msgspec

__all__ = ["ChangeKind", "GitPlace", "find_place"]

ChangeKind = Literal["untracked", "changed", "submodule", "dirty submodule"]
"""How a path of the work tree differs from the head commit."""

_HEX = frozenset("0123456789abcdef")
_MAX_LINKS = 5


class GitPlace(msgspec.Struct, frozen=True):
    """`git_dir` has HEAD and the index of the work tree, `common_dir` the objects and the refs (the same, mostly)."""

    git_dir: str
    common_dir: str

    def head(self) -> str | None:
        """The 40 digits of the commit that HEAD names; None when it cannot be told here (libgit2 may know more)."""
        if self._unusual():
            return None
        name = "HEAD"
        for _ in range(_MAX_LINKS):
            text = _line(os.path.join(self.git_dir if name == "HEAD" else self.common_dir, name))
            if text is None:
                return self._packed(name)
            if len(text) == 40 and _HEX.issuperset(text):
                return text
            if not text.startswith("ref: refs/") or ".." in text:
                return None
            name = text[5:].strip()
        return None

    def _packed(self, name: str) -> str | None:
        try:
            with open(os.path.join(self.common_dir, "packed-refs"), encoding="utf-8", errors="surrogateescape") as file:
                for line in file:
                    oid, _, rest = line.partition(" ")
                    if rest.rstrip("\n") == name and len(oid) == 40:
                        return oid
        except OSError:
            pass
        return None

    def _unusual(self) -> bool:
        """Whether the repository has extensions of its format: other digests, other refs."""
        try:
            with open(os.path.join(self.common_dir, "config"), "rb") as file:
                return b"[extensions]" in file.read().lower()
        except OSError:
            return True


def find_place(root: str) -> GitPlace | None:
    """The repository of the work tree `root`; None when its `.git` is none that we know."""
    git_dir = os.path.join(root, ".git")
    if not os.path.isdir(git_dir):
        text = _line(git_dir)
        if text is None or not text.startswith("gitdir: "):
            return None
        git_dir = os.path.normpath(os.path.join(root, text[8:]))
    common = _line(os.path.join(git_dir, "commondir"))
    common_dir = os.path.normpath(os.path.join(git_dir, common)) if common else git_dir
    if not os.path.isfile(os.path.join(git_dir, "HEAD")) or not os.path.isdir(os.path.join(common_dir, "objects")):
        return None
    return GitPlace(git_dir, common_dir)


def _line(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.readline(4096).rstrip("\n")
    except OSError:
        return None
