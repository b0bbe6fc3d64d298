"""A commit with its repository, as `ADD --keep-git-dir` wants it."""

from __future__ import annotations

import os
from pathlib import Path

import pygit2
import pytest

from pywerf.backend.buildah.export_tree import export_tree
from pywerf.source.git_dir import WithGitDir
from pywerf.source.git_objects import GitObjects
from pywerf.source.git_tree import GitTree

WHO = pygit2.Signature("somebody", "s@example.org", 1_600_000_000, 0)


@pytest.fixture
def repository(tmp_path: Path) -> pygit2.Repository:
    """Two commits; the second one has `d/run`, which can be executed, and a link."""
    repo = pygit2.init_repository(str(tmp_path / "repo"), bare=True)
    blob = repo.create_blob(b"content\n")
    parents: list[pygit2.Oid] = []
    for names in (["f"], ["f", "run"]):
        builder = repo.TreeBuilder()
        for name in names:
            mode = pygit2.enums.FileMode.BLOB_EXECUTABLE if name == "run" else pygit2.enums.FileMode.BLOB
            builder.insert(name, blob, mode)
        inner = builder.write()
        outer = repo.TreeBuilder()
        outer.insert("d", inner, pygit2.enums.FileMode.TREE)
        outer.insert("a", repo.create_blob(b"d/f"), pygit2.enums.FileMode.LINK)
        parents = [repo.create_commit("refs/heads/main", WHO, WHO, "message", outer.write(), parents)]
    return repo


def _tree(repository: pygit2.Repository, tmp_path: Path, commit: str = "") -> WithGitDir:
    return WithGitDir(
        GitTree(GitObjects(repository.path), commit or str(repository.references["refs/heads/main"].target)),
        str(tmp_path),
        "https://example.org/r.git",
    )


def test_the_repository_is_beside_the_files(repository: pygit2.Repository, tmp_path: Path) -> None:
    tree = _tree(repository, tmp_path)
    assert [node.name for node in tree.scandir("")] == [".git", "a", "d"]
    node = tree.lstat(".git")
    assert node is not None
    assert (node.kind, node.mtime_ns) == ("dir", WHO.time * 10**9)
    assert tree.readlink("a") == "d/f"
    assert "objects" in {node.name for node in tree.scandir(".git")}
    head = tree.open(".git/HEAD")
    try:
        assert os.read(head, 100).decode().strip() == str(repository.references["refs/heads/main"].target)
    finally:
        os.close(head)


def test_it_is_a_clean_checkout_of_one_commit(repository: pygit2.Repository, tmp_path: Path) -> None:
    export_tree(_tree(repository, tmp_path), "", str(tmp_path / "out"), owners=False)
    checkout = pygit2.Repository(str(tmp_path / "out"))
    assert checkout.status() == {}
    assert checkout.head_is_detached
    assert checkout.is_shallow
    assert len(list(checkout.walk(checkout.head.target))) == 1
    assert checkout.remotes["origin"].url == "https://example.org/r.git"


def test_a_first_commit_is_not_shallow(repository: pygit2.Repository, tmp_path: Path) -> None:
    commit = repository[repository.references["refs/heads/main"].target]
    first = str(commit.parent_ids[0])  # type: ignore[attr-defined]
    tree = _tree(repository, tmp_path, first)
    assert tree.lstat(".git/shallow") is None
