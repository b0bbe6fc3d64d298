"""Git objects: our reader gives what libgit2 gives, loose and packed, with deltas; and leaves the rest to libgit2."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pygit2
import pytest

from pywerf.source.git_objects import FEW, GitObjects, commit_time, commit_tree, tree_entries
from pywerf.source.git_place import find_place
from pywerf.source.git_tree import GitTree
from support.git_repository import GitRepository


def _git(path: Path, *words: str) -> str:
    words = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(path), *words)
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def git(tmp_path: Path) -> GitRepository:
    """A repository with many versions of one large file, so that packs have chains of deltas; all of it loose."""
    git = GitRepository(tmp_path / "work")
    noise = random.Random(1)
    lines = [noise.randbytes(40).hex() for _ in range(1500)]
    for number in range(12):
        lines[noise.randrange(len(lines))] = f"changed {number}"
        lines.insert(noise.randrange(len(lines)), "new")
        git.commit({"large": "\n".join(lines), f"small{number}": str(number), "empty": ""})
    return git


def _all(repo: pygit2.Repository) -> list[str]:
    return [str(oid) for oid in repo.odb]


def _compare(git: GitRepository, *, ours: bool) -> None:
    repo = pygit2.Repository(str(git.path))
    names = _all(repo)
    assert len(names) > 36
    kinds = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
    for name in names:
        objects = GitObjects(str(git.path / ".git"))
        kind, data = repo.odb.read(name)
        assert objects.read(name) == (kinds[int(kind)], data)
        assert objects.size(name) == len(data)
        assert name in objects
        assert (objects._repo is None) == ours


def test_loose_objects(git: GitRepository) -> None:
    _compare(git, ours=True)


@pytest.mark.parametrize("config", ["repack.useDeltaBaseOffset=true", "repack.useDeltaBaseOffset=false"])
def test_packs_with_both_kinds_of_deltas(git: GitRepository, config: str) -> None:
    _git(git.path, "-c", config, "repack", "-a", "-d", "-q", "--depth=50", "--window=50", "-f")
    assert not list((git.path / ".git/objects").glob("[0-9a-f][0-9a-f]"))
    _compare(git, ours=True)


def test_packs_of_an_old_format_and_alternates_are_left_to_libgit2(git: GitRepository, tmp_path: Path) -> None:
    _git(git.path, "-c", "pack.indexVersion=1", "repack", "-a", "-d", "-q", "-f")
    _compare(git, ours=False)
    _git(tmp_path, "clone", "-q", "--shared", str(git.path), "shared")
    head = find_place(str(tmp_path / "shared"))
    assert head is not None
    commit = head.head()
    assert commit is not None
    assert GitObjects(str(tmp_path / "shared/.git")).read(commit)[0] == "commit"


def test_many_objects_are_libgit2s(git: GitRepository) -> None:
    objects = GitObjects(str(git.path / ".git"))
    (name, *_) = _all(git.repo)
    for _ in range(FEW):
        objects.read(name)
    assert objects._repo is None
    objects.read(name)
    assert objects._repo is not None


def test_folders_of_a_commit_do_not_read_it_again(tmp_path: Path) -> None:
    git = GitRepository(tmp_path / "work")
    git.commit({f"folder{number}/file": str(number) for number in range(FEW)})
    objects = GitObjects(str(git.path / ".git"))
    tree = GitTree(objects, _git(git.path, "rev-parse", "HEAD"))
    folders = [tree.below(f"folder{number}") for number in range(FEW)]
    assert objects._repo is None
    assert [folder.tree_id for folder in folders] == [
        _git(git.path, "rev-parse", f"HEAD:folder{number}") for number in range(FEW)
    ]
    assert folders[0].lstat("file") is not None


def test_what_is_not_here_is_a_key_error(git: GitRepository, tmp_path: Path) -> None:
    objects = GitObjects(str(git.path / ".git"))
    with pytest.raises(KeyError):
        objects.read("12" * 20)
    assert "12" * 20 not in objects
    with pytest.raises(KeyError):
        GitObjects(str(tmp_path / "nowhere")).read("12" * 20)


def test_an_object_that_was_cut_off_is_an_error(git: GitRepository) -> None:
    blob = str(git.repo.create_blob(b"text"))
    place = git.path / ".git/objects" / blob[:2] / blob[2:]
    place.chmod(0o644)
    place.write_bytes(place.read_bytes()[:-3])
    with pytest.raises(KeyError, match="is damaged"):
        GitObjects(str(git.path / ".git")).read(blob)


def test_what_commits_and_trees_say(git: GitRepository) -> None:
    commit = str(git.repo.head.target)
    objects = GitObjects(str(git.path / ".git"))
    data = objects.read(commit)[1]
    found = git.repo[commit]
    assert commit_tree(data) == str(found.tree.id)  # type: ignore[attr-defined]
    assert commit_time(data) == (found.committer.time, found.committer.offset)  # type: ignore[attr-defined]
    entries = tree_entries(objects.read(commit_tree(data))[1])
    assert entries == {e.name: (int(e.filemode), str(e.id)) for e in found.tree}  # type: ignore[attr-defined]


def test_a_name_that_is_no_text(git: GitRepository) -> None:
    assert tree_entries(b"100644 \xff\0" + bytes(20)) == {"\udcff": (0o100644, "00" * 20)}


def test_where_head_is(git: GitRepository, tmp_path: Path) -> None:
    def head(path: Path) -> str | None:
        place = find_place(str(path))
        return place.head() if place else None

    wanted = str(git.repo.head.target)
    assert head(git.path) == wanted
    _git(git.path, "pack-refs", "--all")
    assert head(git.path) == wanted
    _git(git.path, "worktree", "add", "-q", "-b", "other", str(tmp_path / "other"))
    assert head(tmp_path / "other") == wanted
    _git(git.path, "checkout", "-q", "--detach", "HEAD~1")
    assert head(git.path) == _git(git.path, "rev-parse", "HEAD") != wanted
    _git(git.path, "config", "extensions.worktreeConfig", "true")
    assert head(git.path) is None  # unusual: libgit2 is asked
