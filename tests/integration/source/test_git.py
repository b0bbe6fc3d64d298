"""Fetching from git's own servers, compared with git's own clones."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywerf.errors import ContextError
from pywerf.source.git import GitCredentials, GitRepository, fetch_git
from pywerf.source.git_tree import GitTree
from pywerf.source.git_url import parse_git_url

pytestmark = pytest.mark.integration

Git = Callable[..., str]


@pytest.fixture
def repository(served: Path, tmp_path: Path, git: Git) -> Path:
    """A working copy whose commits are pushed to `served/app.git`: three commits, a tag, a branch."""
    git(served, "init", "-q", "--bare", "--initial-branch=main", "app.git")
    work = tmp_path / "work"
    git(tmp_path, "clone", "-q", str(served / "app.git"), "work")
    for number in range(3):
        (work / "sub" / "deep").mkdir(parents=True, exist_ok=True)
        (work / "sub" / "deep" / "file").write_text(f"{number}\n" * 1000)
        (work / "run.sh").write_text("#!/bin/sh\n")
        (work / "run.sh").chmod(0o755)
        (work / "name with ü").write_text("x")
        if not (work / "link").is_symlink():
            (work / "link").symlink_to("sub/deep/file")
        git(work, "add", ".")
        git(work, "commit", "-q", "-m", str(number))
        if number == 0:
            git(work, "tag", "-a", "v1", "-m", "first")
    git(work, "push", "-q", "origin", "HEAD:main", "HEAD~1:refs/heads/release/1", "v1")
    return work


def assert_equal(tree: GitTree, checkout: Path) -> None:
    """The tree has what git has checked out."""
    expected: dict[str, tuple[object, ...]] = {}
    for folder, folders, files in os.walk(checkout):
        if ".git" in folders:
            folders.remove(".git")
        for name in (*folders, *files):
            path = Path(folder, name)
            found = path.lstat()
            content = os.readlink(path).encode() if path.is_symlink() else b"" if path.is_dir() else path.read_bytes()
            executable = bool(found.st_mode & 0o100) or path.is_symlink()
            if name != ".git":
                expected[str(path.relative_to(checkout))] = (executable, content)
    actual: dict[str, tuple[object, ...]] = {}
    for path, node in tree.walk():
        content = b""
        if node.kind == "symlink":
            content = tree.readlink(path).encode()
        elif node.kind == "file":
            fd = tree.open(path)
            content = os.read(fd, 1 << 20)
            os.close(fd)
            assert len(content) == node.size
        actual[path] = (bool(node.mode & 0o100), content)
    assert actual == expected


def test_the_daemon(repository: Path, git_daemon: str, git: Git, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    for ref in ("", "main", "v1", "release/1", git(repository, "rev-parse", "HEAD~1")):
        tree = fetch_git(parse_git_url(f"{git_daemon}/app.git#{ref}"), cache)
        git(repository, "checkout", "-q", ref or "main")
        assert tree.commit == git(repository, "rev-parse", "HEAD")
        assert tree.lstat("run.sh").mtime_ns == int(git(repository, "log", "-1", "--format=%ct")) * 10**9  # type: ignore[union-attr]
        assert_equal(tree, repository)
    below = fetch_git(parse_git_url(f"{git_daemon}/app.git#main:sub"), cache)
    git(repository, "checkout", "-q", "main")
    assert_equal(below, repository / "sub")


def test_no_more_than_the_commit_is_fetched(repository: Path, git_web: Any, git: Git, tmp_path: Path) -> None:
    fetched = GitRepository(f"{git_web.url}/app.git", str(tmp_path / "cache"))
    fetched.fetch("main")
    assert fetched.repo.is_shallow
    assert git(Path(fetched.path), "rev-list", "--count", "--all") == "1"
    first = git(repository, "rev-list", "--max-parents=0", "HEAD")
    assert fetched.fetch(first[:10]) == first  # an abbreviation needs the history
    assert git(Path(fetched.path), "fsck") == ""


def test_a_server_that_gives_only_what_refs_point_to(repository: Path, git_web: Any, git: Git, tmp_path: Path) -> None:
    git(git_web.root / "app.git", "config", "uploadpack.allowAnySHA1InWant", "false")
    git(repository, "push", "-q", "--delete", "origin", "release/1")
    commit = git(repository, "rev-parse", "HEAD~1")
    tree = fetch_git(parse_git_url(f"{git_web.url}/app.git#{commit}"), str(tmp_path / "cache"))
    git(repository, "checkout", "-q", commit)
    assert_equal(tree, repository)


def test_credentials(repository: Path, git_web: Any, tmp_path: Path) -> None:
    git_web.password = "se:cret"
    url = f"{git_web.url}/app.git"
    with pytest.raises(ContextError, match="cannot fetch") as caught:
        fetch_git(parse_git_url(url), str(tmp_path / "none"))
    assert caught.value.hint is not None
    assert "token" in caught.value.hint
    wrong = url.replace("://", "://user:wrong@")
    with pytest.raises(ContextError) as caught:
        fetch_git(parse_git_url(wrong), str(tmp_path / "wrong"))
    assert "wrong" not in str(caught.value)
    by_user = fetch_git(parse_git_url(url.replace("://", "://user:se%3Acret@")), str(tmp_path / "user"))
    by_token = fetch_git(parse_git_url(url), str(tmp_path / "token"), credentials=GitCredentials("se:cret"))
    assert by_user.commit == by_token.commit
    assert {"user:se:cret", "x-access-token:se:cret"} <= set(git_web.users)
    for path in tmp_path.glob("[nwut]*/**/*"):
        assert not path.is_file() or b"cret" not in path.read_bytes()


def test_a_header(repository: Path, git_web: Any, tmp_path: Path) -> None:
    url = parse_git_url(f"{git_web.url}/app.git")
    git_web.header = "Bearer s3cret"
    with pytest.raises(ContextError) as caught:
        fetch_git(url, str(tmp_path / "token"), credentials=GitCredentials("token"))
    assert "GIT_AUTH_HEADER" in str(caught.value.hint)
    with pytest.raises(ContextError) as caught:
        fetch_git(url, str(tmp_path / "wrong"), credentials=GitCredentials(header="Bearer wrong"))
    assert "wrong" not in str(caught.value)
    git_web.headers.clear()
    by_header = fetch_git(url, str(tmp_path / "header"), credentials=GitCredentials("token", header="Bearer s3cret"))
    assert set(git_web.headers) == {"Bearer s3cret"}
    git_web.header, git_web.password = "", "se:cret"
    basic = base64.b64encode(b"me:se:cret").decode()
    by_basic = fetch_git(url, str(tmp_path / "basic"), credentials=GitCredentials(header=f"basic {basic}"))
    assert by_basic.commit == by_header.commit
    assert "me:se:cret" in git_web.users
    for path in tmp_path.glob("[hb]*/**/*"):
        assert not path.is_file() or b"cret" not in path.read_bytes()


def test_a_header_is_for_its_host_alone(repository: Path, git_web: Any, tmp_path: Path) -> None:
    url = parse_git_url(f"{git_web.url}/app.git")
    bearer = GitCredentials(header="Bearer s3cret", host="elsewhere.invalid")
    fetch_git(url, str(tmp_path / "other"), credentials=bearer)
    assert set(git_web.headers) == {""}
    git_web.headers.clear()
    git_web.moved = git_web.url.replace("127.0.0.1", "localhost")
    with pytest.raises(ContextError) as caught:
        fetch_git(url, str(tmp_path / "moved"), credentials=GitCredentials(header="Bearer s3cret"))
    assert "redirects" in str(caught.value.hint)
    assert git_web.headers == ["Bearer s3cret"], "and the second address was not asked"
    git_web.moved = ""
    assert fetch_git(url, str(tmp_path / "moved")).commit


def test_a_token_is_for_its_host_alone(repository: Path, git_web: Any, tmp_path: Path) -> None:
    git_web.password = "secret"
    with pytest.raises(ContextError):
        fetch_git(
            parse_git_url(f"{git_web.url}/app.git"),
            str(tmp_path / "cache"),
            credentials=GitCredentials("secret", host="elsewhere.invalid"),
        )
    assert set(git_web.users) == {":"}


def test_submodules(repository: Path, served: Path, git_web: Any, git: Git, tmp_path: Path) -> None:
    git(served, "init", "-q", "--bare", "--initial-branch=main", "outer.git")
    git(tmp_path, "clone", "-q", str(served / "outer.git"), "outer")
    outer = tmp_path / "outer"
    allow = ("-c", "protocol.file.allow=always")
    git(outer, *allow, "submodule", "--quiet", "add", str(served / "app.git"), "libs/app")
    git(outer, "config", "-f", ".gitmodules", "submodule.libs/app.url", "../app.git")
    git(outer / "libs" / "app", "checkout", "-q", "v1")
    git(outer, "add", ".")
    git(outer, "commit", "-q", "-m", "with a submodule")
    git(outer, "push", "-q", "origin", "HEAD:main")
    tree = fetch_git(parse_git_url(f"{git_web.url}/outer.git"), str(tmp_path / "cache"))
    assert tree.lstat("libs/app/run.sh") is not None
    assert_equal(tree, outer)
