"""Sparse checkouts and unusual indexes, made by git itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pywerf.errors import GitError
from pywerf.source.git_index import skipped_paths
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


def test_what_libgit2_cannot_read_is_told_with_the_way_out(git: GitRepository) -> None:
    _git(git.path, "update-index", "--split-index")
    with pytest.raises(GitError, match="link") as caught:
        GitProject(str(git.path)).changes()
    assert "--no-split-index" in (caught.value.hint or "")
    _git(git.path, "update-index", "--no-split-index")
    _git(git.path, "sparse-checkout", "set", "--cone", "--sparse-index", "kept")
    with pytest.raises(GitError, match="sdir") as caught:
        GitProject(str(git.path)).changes()
    assert "--no-sparse-index" in (caught.value.hint or "")


@pytest.mark.parametrize("data", [b"", b"DIRC", b"DIRC" + b"\0\0\0\5" + bytes(4), b"DIRC\0\0\0\3\0\0\0\1" + bytes(9)])
def test_what_is_no_index(data: bytes) -> None:
    with pytest.raises(ValueError, match="index"):
        skipped_paths(data)
