"""Sparse checkouts and unusual indexes, made by git itself."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import GitError
from pywerf.source.git_dev import dev_commit
from pywerf.source.git_index import skipped_paths
from pywerf.source.git_index_join import read_bitmap
from pywerf.source.git_project import Change, GitProject
from support.git_repository import GitRepository


def _git(path: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(path), *words], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def git(tmp_path: Path) -> GitRepository:
    git = GitRepository(tmp_path / "work")
    git.commit({"kept/a": "1", "gone/deep/b": "2", "gone/deep/bb": "2", "gone/c": "3", "top": "4", "x" * 200: "5"})
    return git


def _skipped(git: GitRepository) -> frozenset[str]:
    return skipped_paths((git.path / ".git/index").read_bytes())


@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_every_version_of_the_index(git: GitRepository, version: str) -> None:
    _git(git.path, "update-index", "--index-version", version)
    assert _skipped(git) == frozenset()
    _git(git.path, "update-index", "--skip-worktree", "gone/deep/b", "top")
    assert _skipped(git) == {"gone/deep/b", "top"}


def test_a_sparse_checkout_is_no_change(git: GitRepository) -> None:
    _git(git.path, "sparse-checkout", "set", "--no-cone", "kept", "/top")
    assert not (git.path / "gone").exists()
    assert GitProject(str(git.path)).changes() == ()
    (git.path / "top").unlink()
    assert GitProject(str(git.path)).changes() == (Change("top", "changed"),)


def _status(git: GitRepository) -> list[str]:
    return sorted(line[3:] for line in _git(git.path, "status", "--porcelain", "-uall").splitlines())


def _changed(git: GitRepository) -> list[str]:
    return sorted(change.path for change in GitProject(str(git.path)).changes())


def test_a_split_index(git: GitRepository) -> None:
    _git(git.path, "config", "splitIndex.maxPercentChange", "100")  # the shared part stays
    _git(git.path, "update-index", "--split-index")
    before = (git.path / ".git/index").read_bytes()
    assert b"link" in before
    assert _changed(git) == _status(git) == []
    git.write({"kept/a": "longer than it was", "new": "n"})
    assert _changed(git) == _status(git) == ["kept/a", "new"]
    _git(git.path, "add", "kept/a", "new")  # an entry is replaced, one is added
    _git(git.path, "rm", "-q", "--cached", "gone/c")  # one is deleted, one comes back as untracked
    assert _changed(git) == sorted(set(_status(git)))
    _git(git.path, "commit", "-q", "-m", "second")
    assert _changed(git) == _status(git) == ["gone/c"]
    assert b"link" in (git.path / ".git/index").read_bytes()
    assert "GIT_INDEX_FILE" not in os.environ


@pytest.mark.parametrize("version", ["3", "4"])
def test_a_sparse_index(git: GitRepository, version: str) -> None:
    _git(git.path, "update-index", "--index-version", version)
    _git(git.path, "sparse-checkout", "set", "--cone", "--sparse-index", "kept")
    assert b"sdir" in (git.path / ".git/index").read_bytes()
    assert not (git.path / "gone").exists()
    assert _changed(git) == _status(git) == []
    git.write({"kept/a": "longer than it was"})
    (git.path / "top").unlink()
    assert _changed(git) == _status(git) == ["kept/a", "top"]
    project = GitProject(str(git.path))
    assert project.changes()
    commit, _ = dev_commit(project, branch="_werf-dev")
    listed = _git(git.path, "ls-tree", "-r", "--name-only", commit).splitlines()
    assert listed == ["gone/c", "gone/deep/b", "gone/deep/bb", "kept/a", "x" * 200]


def test_a_split_index_without_its_shared_part_is_told(git: GitRepository) -> None:
    _git(git.path, "update-index", "--split-index")
    (shared,) = (git.path / ".git").glob("sharedindex.*")
    shared.unlink()
    with pytest.raises(GitError, match="cannot use the git repository"):
        GitProject(str(git.path)).changes()


@given(st.sets(st.integers(0, 400)), st.integers(0, 3))
def test_bitmaps(bits: set[int], padding: int) -> None:
    assert read_bitmap(_ewah(bits) + bytes(padding), 0) == (sorted(bits), len(_ewah(bits)))


def _ewah(bits: set[int]) -> bytes:
    """A bitmap as git writes it: runs of equal words, then literal ones."""
    size = max(bits) + 1 if bits else 0
    words = [sum(1 << bit % 64 for bit in bits if bit // 64 == word) for word in range((size + 63) // 64)]
    out: list[int] = []
    at = last = 0
    while at < len(words) or not out:
        run, bit = 0, int(at < len(words) and words[at] == 2**64 - 1)
        while at + run < len(words) and words[at + run] == (2**64 - 1) * bit:
            run += 1
        literals = 0
        while at + run + literals < len(words) and words[at + run + literals] not in (0, 2**64 - 1):
            literals += 1
        last = len(out)
        out += [bit | run << 1 | literals << 33, *words[at + run : at + run + literals]]
        at += run + literals
    return struct.pack(f">II{len(out)}QI", size, len(out), *out, last)


@pytest.mark.parametrize("data", [b"", b"DIRC", b"DIRC" + b"\0\0\0\5" + bytes(4), b"DIRC\0\0\0\3\0\0\0\1" + bytes(9)])
def test_what_is_no_index(data: bytes) -> None:
    with pytest.raises(ValueError, match="index"):
        skipped_paths(data)
