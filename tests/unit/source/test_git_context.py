"""Build contexts out of a commit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pywerf.source.digests import content_digest
from pywerf.source.dockerignore import IgnoreRules
from pywerf.source.git_context import CommitContext, lfs_pointers
from pywerf.source.git_project import GitProject
from pywerf.source.local import LocalTree
from pywerf.util.filetree import FileTree, is_content_addressed, is_revisioned, join
from support.git_repository import GitRepository

FILES = {"Dockerfile": "FROM scratch\n", "src/a.py": "a", "src/b.pyc": "b", "docs/index": "d", "bin/run": "r"}


@pytest.fixture
def git(tmp_path: Path) -> GitRepository:
    repository = GitRepository(tmp_path / "work")
    repository.commit(FILES)
    return repository


def context(
    git: GitRepository, ignore: str = "", kept: str = "Dockerfile", added: tuple[str, ...] = ()
) -> CommitContext:
    project = GitProject(str(git.path))
    rules = IgnoreRules.parse(ignore.encode()) if ignore else None
    tree = project.tree(project.head())
    return CommitContext(tree, rules, kept=kept, added=added, work_tree=LocalTree(str(git.path)) if added else None)


def paths(tree: FileTree, folder: str = "") -> list[str]:
    found: list[str] = []
    for node in tree.scandir(folder):
        path = join(folder, node.name)
        found += [path, *paths(tree, path)] if node.kind == "dir" else [path]
    return found


def read(tree: FileTree, path: str) -> bytes:
    with open(tree.open(path), "rb") as file:
        return file.read()


def test_without_rules_it_is_the_commit(git: GitRepository) -> None:
    git.write({"src/a.py": "changed", "new": "n"})
    found = context(git)
    assert paths(found) == ["Dockerfile", "bin", "bin/run", "docs", "docs/index", "src", "src/a.py", "src/b.pyc"]
    assert read(found, "src/a.py") == b"a"
    assert is_content_addressed(found)
    assert is_revisioned(found)


def test_rules_leave_out_and_take_back_and_the_dockerfile_stays(git: GitRepository) -> None:
    found = context(git, "*\n!src\n**/*.pyc\n")
    assert paths(found) == ["Dockerfile", "src", "src/a.py"]
    assert found.lstat("docs") is None
    assert found.lstat("src/b.pyc") is None


def test_a_kept_dockerfile_in_an_ignored_directory(git: GitRepository) -> None:
    git.commit({"docker/Dockerfile": "FROM scratch\n", "docker/other": "x"})
    assert paths(context(git, "docker\nsrc\nbin\ndocs\n", "docker/Dockerfile")) == [
        "Dockerfile", "docker", "docker/Dockerfile",
    ]  # fmt: skip


def test_added_files_come_from_the_work_tree_whatever_the_rules_say(git: GitRepository) -> None:
    git.write({"src/a.py": "changed", "build/out/x": "1", "build/out/y": "2", "build/left": "3", "bin/tool": "t"})
    found = context(git, "bin\n", added=("build/out", "src/a.py", "bin/tool"))
    assert paths(found) == [
        "Dockerfile", "bin", "bin/tool", "build", "build/out", "build/out/x", "build/out/y", "docs", "docs/index",
        "src", "src/a.py", "src/b.pyc",
    ]  # fmt: skip
    assert read(found, "src/a.py") == b"changed"
    assert read(found, "src/b.pyc") == b"b"
    assert found.content_id("src/a.py").startswith(b"sha256 ")
    assert found.content_id("src/b.pyc").startswith(b"git blob ")


def test_the_revision_is_that_of_the_content(git: GitRepository) -> None:
    first = context(git).revision
    git.write({"src/a.py": "changed"})
    assert context(git).revision == first
    ignoring = context(git, "docs\n").revision
    assert ignoring != first
    assert context(git, "docs\n", "other").revision != ignoring
    git.commit()
    assert context(git).revision != first


def test_the_revision_holds_for_another_commit_with_the_same_files(git: GitRepository) -> None:
    first = context(git).revision
    git.commit()
    assert context(git).revision == first


def test_added_files_are_part_of_the_revision(git: GitRepository) -> None:
    git.write({"out/x": "1"})
    first = context(git, added=("out",)).revision
    os.utime(git.path / "out/x", (1, 1))
    assert context(git, added=("out",)).revision == first
    git.write({"out/x": "2"})
    assert context(git, added=("out",)).revision != first


def test_content_digests_need_no_file(git: GitRepository) -> None:
    class Closed(CommitContext):
        def open(self, path: str) -> int:
            raise AssertionError(path)

    project = GitProject(str(git.path))
    tree = project.tree(project.head())
    rules = IgnoreRules.parse(b"docs\n")
    first = content_digest(Closed(tree, rules), [("", "")])
    git.commit({"docs/index": "changed"})
    assert content_digest(Closed(project.tree(project.head()), rules), [("", "")]) == first
    git.commit({"src/a.py": "changed"})
    assert content_digest(Closed(project.tree(project.head()), rules), [("", "")]) != first


def test_pointers_of_lfs_are_found(git: GitRepository) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 12345\n"
    git.commit({"big/model.bin": pointer, "big/text": "version https://git-lfs.github.com/ is a URL" + "x" * 100})
    assert lfs_pointers(context(git)) == ["big/model.bin"]
    assert lfs_pointers(context(git, "big\n")) == []
