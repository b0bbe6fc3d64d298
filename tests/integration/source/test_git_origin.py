"""What is fetched of `origin` from git's own servers: into a shallow clone, with a password, with CI's header."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pygit2
import pytest

from pywerf.errors import GitError
from pywerf.source.git_history import GitHistory
from pywerf.source.git_origin import ORIGIN_TAGS, fetch_origin, is_shallow
from support.git_web import GitWeb

Git = Callable[..., str]


@pytest.fixture
def project(git: Git, served: Path) -> list[str]:
    """A served repository `project` with three commits, a branch and a tag; its commits, the oldest first."""
    folder = served / "project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commits = []
    for number in range(3):
        (folder / "file").write_text(str(number))
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", str(number))
        commits.append(git(folder, "rev-parse", "HEAD"))
    git(folder, "branch", "topic", commits[1])
    git(folder, "tag", "-a", "v1", "-m", "one", commits[0])
    return commits


def test_a_shallow_clone_of_one_branch_gets_everything(
    git: Git, git_web: GitWeb, project: list[str], tmp_path: Path
) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", f"{git_web.url}/project", "clone")
    repo = pygit2.Repository(str(tmp_path / "clone"))
    assert is_shallow(repo)
    assert [one.name for one in GitHistory(repo).references()] == ["main"]
    assert len(list(GitHistory(repo).walk([project[2]]))) == 1
    fetch_origin(repo)
    repo = pygit2.Repository(str(tmp_path / "clone"))
    assert not is_shallow(repo)
    history = GitHistory(repo, ORIGIN_TAGS)
    found = [(one.kind, one.name, one.commit) for one in history.references()]
    assert found == [("branch", "main", project[2]), ("branch", "topic", project[1]), ("tag", "v1", project[0])]
    assert [commit for commit, _ in history.walk([project[2]])] == project[::-1]
    assert git(tmp_path / "clone", "status", "--porcelain") == ""
    assert git(tmp_path / "clone", "tag") == ""
    git(tmp_path / "clone", "fsck", "--strict")


def test_the_password_of_the_url_is_used_and_not_shown(
    git: Git, git_web: GitWeb, project: list[str], tmp_path: Path
) -> None:
    git(tmp_path, "clone", "-q", f"{git_web.url}/project", "clone")
    git_web.password = "s3cret"
    repo = pygit2.Repository(str(tmp_path / "clone"))
    with pytest.raises(GitError, match="branches and tags of origin are needed"):
        fetch_origin(repo)
    repo.remotes.set_url("origin", f"{git_web.url.replace('://', '://ci:wrong@')}/project")
    with pytest.raises(GitError) as caught:
        fetch_origin(repo)
    assert "wrong" not in f"{caught.value.message}{caught.value.hint}"
    repo.remotes.set_url("origin", f"{git_web.url.replace('://', '://ci:s3cret@')}/project")
    fetch_origin(repo)
    assert "ci:s3cret" in git_web.users


def test_the_header_that_a_ci_system_has_configured_is_used(
    git: Git, git_web: GitWeb, project: list[str], tmp_path: Path
) -> None:
    git(tmp_path, "clone", "-q", f"{git_web.url}/project", "clone")
    git_web.password = "t0ken"
    header = base64.b64encode(b"x-access-token:t0ken").decode()
    git(tmp_path / "clone", "config", f"http.{git_web.url}/.extraheader", f"AUTHORIZATION: basic {header}")
    git(tmp_path / "clone", "config", "http.https://elsewhere.example/.extraheader", "AUTHORIZATION: basic eHg6eHg=")
    fetch_origin(pygit2.Repository(str(tmp_path / "clone")))
    assert "x-access-token:t0ken" in git_web.users
    assert "xx:xx" not in git_web.users
