"""A project's repository: head commit, changes of the work tree, submodules, the commit of --dev."""

from __future__ import annotations

import os
from pathlib import Path

import pygit2
import pytest

from pywerf.errors import GitError
from pywerf.source.git_dev import dev_commit
from pywerf.source.git_project import Change, GitProject, find_work_tree
from pywerf.util.globs import covers
from support import machine
from support.git_repository import GitRepository


@pytest.fixture
def git(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "work")


def test_the_work_tree_is_the_nearest_directory_with_git(git: GitRepository) -> None:
    git.commit({"a/b/file": "x"})
    assert find_work_tree(str(git.path / "a/b")) == str(git.path)
    project = GitProject(str(git.path / "a"))
    assert (project.root, project.subdir) == (str(git.path), "a")


def test_a_directory_without_git_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GitError, match="is not in a git work tree"):
        GitProject(str(tmp_path))
    with pytest.raises(GitError, match="no such directory"):
        GitProject(str(tmp_path / "nowhere"))


@pytest.fixture
def in_a_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The variables that git sets for hooks, all of them for another repository."""
    other = GitRepository(tmp_path / "other")
    other.commit({"theirs": "x"})
    for name, value in {
        "GIT_DIR": other.path / ".git",
        "GIT_WORK_TREE": other.path,
        "GIT_INDEX_FILE": other.path / ".git/index",
        "GIT_OBJECT_DIRECTORY": other.path / ".git/objects",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": other.path / ".git/objects",
        "GIT_COMMON_DIR": other.path / ".git",
        "GIT_NAMESPACE": "theirs",
        "GIT_CEILING_DIRECTORIES": tmp_path,
        "GIT_PREFIX": "sub/",
    }.items():
        monkeypatch.setenv(name, str(value))
    return other.path


@pytest.mark.parametrize("index", ["plain", "split"])
def test_variables_of_hooks_mislead_nobody(index: str, git: GitRepository, in_a_hook: Path) -> None:
    commit = git.commit({"mine": "x", "changed": "x"})
    if index == "split":
        machine.run("env", "-i", "git", "-C", git.path, "update-index", "--split-index")
    (git.path / "changed").write_text("y")
    (git.path / "new").write_text("z")
    before = dict(os.environ)
    project = GitProject(str(git.path))
    assert project.root == str(git.path)
    assert project.head() == commit
    assert {node.name for node in project.tree(commit).scandir("")} == {"mine", "changed"}
    assert set(project.changes()) == {Change("changed", "changed"), Change("new", "untracked")}
    made, _ = dev_commit(project, branch="_werf-dev")
    assert {node.name for node in project.tree(made).scandir("")} == {"mine", "changed", "new"}
    assert dict(os.environ) == before
    assert os.listdir(in_a_hook / ".git/refs/heads") == ["main"]


def test_a_repository_elsewhere_needs_a_file_that_names_it(tmp_path: Path, in_a_hook: Path) -> None:
    (tmp_path / "tree").mkdir()
    with pytest.raises(GitError, match="is not in a git work tree") as caught:
        GitProject(str(tmp_path / "tree"))
    assert f"`gitdir: {in_a_hook}/.git`" in (caught.value.hint or "")
    (tmp_path / "tree/.git").write_text(f"gitdir: {in_a_hook}/.git\n")
    assert GitProject(str(tmp_path / "tree")).root == str(tmp_path / "tree")


def test_a_project_outside_of_the_named_work_tree_is_refused(git: GitRepository, tmp_path: Path) -> None:
    with pytest.raises(GitError, match="lies outside of the git work tree"):
        GitProject(str(tmp_path), str(git.path))


def test_a_repository_without_a_commit_has_no_head(git: GitRepository) -> None:
    with pytest.raises(GitError, match="has no commit yet"):
        GitProject(str(git.path)).head()


def test_head_and_time_of_the_commit(git: GitRepository) -> None:
    commit = git.commit({"file": "x"})
    project = GitProject(str(git.path))
    assert project.head() == commit
    assert project.committer(commit) == (1_700_000_001, 120)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/team/Web_Shop.git", "web-shop"),
        ("git@example.org:shop.git", "shop"),
        ("https://example.org/___", "my-project"),
        ("", "work"),
    ],
)
def test_a_name_is_proposed_from_origin_or_the_directory(git: GitRepository, url: str, name: str) -> None:
    if url:
        git.repo.remotes.create("origin", url)
    found = GitProject(str(git.path)).proposed_name()
    assert found == name


def test_changes_are_what_git_status_tells(git: GitRepository) -> None:
    git.commit({".gitignore": "*.log\n", "kept": "1", "edited": "1", "gone": "1", "staged": "1", "d/same": "1"})
    git.write({"edited": "2", "gone": None, "staged": "2", "d/new": "1", "x.log": "1"})
    git.repo.index.add("staged")
    git.repo.index.write()
    project = GitProject(str(git.path))
    expected = (
        Change("d/new", "untracked"),
        Change("edited", "changed"),
        Change("gone", "changed"),
        Change("staged", "changed"),
    )
    assert project.changes() == expected
    project.forget()
    for path in ("kept", "edited", "gone", "staged", "d/new", "d/same", "x.log", "nowhere"):
        found = next((change for change in expected if change.path == path), None)
        assert project.change_of(path) == found
    project.changes()
    assert project.change_of("edited") == Change("edited", "changed")


def test_submodules_are_part_of_the_tree(git: GitRepository, tmp_path: Path) -> None:
    other = GitRepository(tmp_path / "other")
    other.commit({"lib/code": "1"})
    git.add_submodule(other, "third/party")
    commit = git.commit({"file": "x"})
    project = GitProject(str(git.path))
    assert project.changes() == ()
    tree = project.tree(commit)
    assert [node.name for node in tree.scandir("third/party/lib")] == ["code"]
    assert tree.below("third").lstat("party/lib/code") is not None

    git.write({"third/party/lib/code": "2"})
    project.forget()
    assert project.changes() == (Change("third/party", "dirty submodule"),)
    other_clone = pygit2.Repository(str(git.path / "third/party"))
    author = pygit2.Signature("a", "a@b", 1, 0)
    other_clone.create_commit("HEAD", author, author, "x", other_clone.index.write_tree(), [other_clone.head.target])
    project.forget()
    assert project.changes() == (Change("third/party", "submodule"),)


def test_a_submodule_that_is_not_there_is_an_error_only_when_it_is_looked_into(
    git: GitRepository, tmp_path: Path
) -> None:
    other = GitRepository(tmp_path / "other")
    other.commit({"code": "1"})
    git.add_submodule(other, "lib")
    commit = git.commit({"file": "x"})
    os.rename(git.path / "lib" / ".git", tmp_path / "elsewhere")
    tree = GitProject(str(git.path)).tree(commit)
    assert sorted(node.name for node in tree.scandir("")) == [".gitmodules", "file", "lib"]
    with pytest.raises(GitError, match="the submodule lib is needed") as caught:
        tree.scandir("lib")
    assert caught.value.hint == "git submodule update --init --recursive lib"


# --dev


def test_dev_commits_the_work_tree_and_leaves_everything_as_it_is(git: GitRepository) -> None:
    head = git.commit({".gitignore": "*.log\n", "a": "1", "gone": "1", "run": "x"})
    git.write({"a": "2", "gone": None, "d/new": "3", "link": "->a", "x.log": "1"})
    os.chmod(git.path / "run", 0o755)
    index_before = (git.path / ".git/index").read_bytes()
    project = GitProject(str(git.path))
    commit, warnings = dev_commit(project)
    assert warnings == ()
    tree = project.tree(commit)
    assert sorted(node.name for node in tree.scandir("")) == [".gitignore", "a", "d", "link", "run"]
    node = tree.lstat("run")
    assert node is not None
    assert node.mode == 0o755
    assert tree.readlink("link") == "a"
    assert (git.path / ".git/index").read_bytes() == index_before
    assert project.head() == head
    assert str(git.repo.references["refs/heads/_werf-dev"].target) == commit
    author = git.repo[commit].author  # type: ignore[attr-defined]
    assert author.name == "pywerf"


def test_the_same_state_is_the_same_commit(git: GitRepository) -> None:
    git.commit({"a": "1"})
    git.write({"a": "2"})
    first, _ = dev_commit(GitProject(str(git.path)))
    assert dev_commit(GitProject(str(git.path)))[0] == first
    git.write({"a": "3"})
    second, _ = dev_commit(GitProject(str(git.path)))
    assert second != first
    assert [str(parent) for parent in git.repo[second].parent_ids] == [first]  # type: ignore[attr-defined]


def test_a_head_that_moved_is_merged_first(git: GitRepository) -> None:
    git.commit({"a": "1"})
    git.write({"b": "1"})
    first, _ = dev_commit(GitProject(str(git.path)))
    head = git.commit({"c": "1"})
    second, _ = dev_commit(GitProject(str(git.path)))
    assert git.repo.descendant_of(second, head)
    assert git.repo.descendant_of(second, first)
    assert str(git.repo[second].tree.id) == str(git.repo[head].tree.id)  # type: ignore[attr-defined]


def test_ignored_globs_stay_out_of_dev(git: GitRepository) -> None:
    git.commit({"app/a": "1"})
    git.write({"app/a": "2", "app/tmp/x": "1"})
    project = GitProject(str(git.path / "app"))
    commit, _ = dev_commit(project, branch="mine", ignored=covers(["tmp"]))
    assert [node.name for node in project.tree(commit).scandir("app")] == ["a"]
    assert "mine" in git.repo.branches.local


def test_dev_refuses_a_branch_that_is_checked_out(git: GitRepository) -> None:
    git.commit({"a": "1"})
    with pytest.raises(GitError, match="the branch main is checked out"):
        dev_commit(GitProject(str(git.path)), branch="main")


def test_dev_takes_the_commit_of_a_submodule_and_warns_of_its_changes(git: GitRepository, tmp_path: Path) -> None:
    other = GitRepository(tmp_path / "other")
    other.commit({"code": "1"})
    git.add_submodule(other, "lib")
    git.commit({"file": "x"})
    git.write({"lib/code": "2"})
    project = GitProject(str(git.path))
    commit, warnings = dev_commit(project)
    assert warnings == ("the submodule lib has changes that are not committed in it: they are left out",)
    node = project.tree(commit).lstat("lib/code")
    assert node is not None
    assert node.size == 1


def test_a_submodule_that_was_removed_is_told_once(git: GitRepository, tmp_path: Path) -> None:
    other = GitRepository(tmp_path / "other")
    other.commit({"f": "1"})
    git.add_submodule(other, "sub")
    git.commit()
    git.repo.index.remove("sub")
    git.repo.index.write()
    assert GitProject(str(git.path)).changes() == (Change("sub", "submodule"),)
