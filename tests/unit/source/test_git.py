from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pygit2
import pytest

from pywerf.errors import ContextError
from pywerf.source.digests import content_digest
from pywerf.source.git import GitRepository, fetch_git
from pywerf.source.git_url import parse_git_url
from pywerf.util.filetree import resolve

Files = dict[str, bytes | tuple[int, bytes] | str]


class Origin:
    """A bare repository that commits are written to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repo = pygit2.init_repository(str(path), bare=True, initial_head="main")
        self.url = f"file://{path}"

    def commit(self, files: Files, branch: str = "main", time: int = 1_000_000_000) -> str:
        """Files: bytes, (mode, bytes), or the hexadecimal digits of a commit of a submodule."""
        tree = self._tree(files)
        author = pygit2.Signature("A", "a@b", time, 0)
        name = f"refs/heads/{branch}"
        parents = [self.repo.references[name].target] if name in self.repo.references else []
        return str(self.repo.create_commit(name, author, author, "message", tree, parents))

    def tag(self, name: str, commit: str) -> str:
        """An annotated tag."""
        tagger = pygit2.Signature("A", "a@b", 1, 0)
        return str(self.repo.create_tag(name, pygit2.Oid(hex=commit), pygit2.enums.ObjectType.COMMIT, tagger, "text"))

    def _tree(self, files: Files) -> pygit2.Oid:
        builder = self.repo.TreeBuilder()
        folders: dict[str, Files] = {}
        for path, content in files.items():
            name, slash, rest = path.partition("/")
            if slash:
                folders.setdefault(name, {})[rest] = content
            elif isinstance(content, str):
                builder.insert(name, pygit2.Oid(hex=content), 0o160000)
            else:
                mode, data = content if isinstance(content, tuple) else (0o100644, content)
                builder.insert(name, self.repo.create_blob(data), mode)
        for name, inside in folders.items():
            builder.insert(name, self._tree(inside), 0o040000)
        return builder.write()


FILES: Files = {
    "Dockerfile": b"FROM scratch\n",
    "run.sh": (0o100755, b"#!/bin/sh\n"),
    "link": (0o120000, b"src/a"),
    "src/a": b"a",
    "src/deep/b": b"bb",
    "src-x": b"x",
    "é": b"e",
}


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "origin.git")


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[..., object]:
    def run(url: str) -> object:
        return fetch_git(parse_git_url(url, local=True), str(tmp_path / "cache"))

    return run


def read(tree: object, path: str) -> bytes:
    fd = tree.open(path)  # type: ignore[attr-defined]
    try:
        return os.read(fd, 1 << 20)
    finally:
        os.close(fd)


def test_a_tree(origin: Origin, fetch) -> None:  # type: ignore[no-untyped-def]
    commit = origin.commit(FILES, time=1_234_567_890)
    tree = fetch(origin.url)
    assert tree.commit == commit
    assert [path for path, _ in tree.walk()] == [
        "Dockerfile",
        "link",
        "run.sh",
        "src",
        "src/a",
        "src/deep",
        "src/deep/b",
        "src-x",
        "é",
    ]
    nodes = dict(tree.walk())
    assert [(nodes[path].kind, nodes[path].mode) for path in ("Dockerfile", "run.sh", "link", "src")] == [
        ("file", 0o644),
        ("file", 0o755),
        ("symlink", 0o777),
        ("dir", 0o755),
    ]
    assert {(node.uid, node.gid, node.mtime_ns) for node in nodes.values()} == {(0, 0, 1_234_567_890 * 10**9)}
    assert (nodes["src/deep/b"].size, nodes["link"].size) == (2, 5)
    for path, node in nodes.items():
        assert tree.lstat(path) == node
    assert [node.name for node in tree.scandir("src")] == ["a", "deep"]
    assert [path for path, _ in tree.walk("src")] == ["a", "deep", "deep/b"]
    assert tree.readlink("link") == "src/a"
    assert read(tree, "src/deep/b") == b"bb"
    assert tree.xattrs("src/a") == {}
    assert tree.lstat("").kind == "dir"
    assert resolve(tree, "link") == "src/a"


def test_what_is_not_there(origin: Origin, fetch) -> None:  # type: ignore[no-untyped-def]
    origin.commit(FILES)
    tree = fetch(origin.url)
    for path in ("nothing", "src/nothing", "Dockerfile/x", "src/../Dockerfile", "/src", "src/", "link/a", "\udcff"):
        assert tree.lstat(path) is None
    with pytest.raises(FileNotFoundError):
        tree.scandir("nothing")
    with pytest.raises(NotADirectoryError):
        tree.scandir("Dockerfile")
    for path in ("nothing", "src", "link"):
        with pytest.raises(ContextError):
            tree.open(path)
    with pytest.raises(ContextError):
        tree.readlink("Dockerfile")
    with pytest.raises(ContextError):
        tree.content_id("src")


def test_refs(origin: Origin, fetch) -> None:  # type: ignore[no-untyped-def]
    first = origin.commit({"f": b"1"})
    second = origin.commit({"f": b"2"})
    other = origin.commit({"f": b"3"}, branch="release/1")
    origin.tag("v1", first)
    origin.repo.references.create("refs/tags/light", pygit2.Oid(hex=first))
    origin.repo.references.create("refs/pull/7/head", pygit2.Oid(hex=other))
    origin.tag("main", first)  # a tag that is called like a branch
    for ref, commit in {
        "": second,
        "#main": second,
        "#refs/heads/main": second,
        "#release/1": other,
        "#v1": first,
        "#light": first,
        "#refs/tags/main": first,
        "#pull/7/head": other,
        f"#{first}": first,
        f"#{first[:8]}": first,
        "?tag=main": first,
        "?branch=release/1": other,
        f"?branch=main&commit={second}": second,
    }.items():
        assert fetch(f"{origin.url}{ref}").commit == commit, ref


def test_a_commit_that_no_ref_points_to_any_more_is_taken_from_the_cache(origin: Origin, fetch) -> None:  # type: ignore[no-untyped-def]
    commit = origin.commit({"f": b"1"})
    assert fetch(f"{origin.url}#{commit}").commit == commit
    os.rename(origin.path, origin.path.with_name("gone"))
    assert read(fetch(f"{origin.url}#{commit}"), "f") == b"1"
    with pytest.raises(ContextError, match="cannot fetch"):
        fetch(origin.url)


def test_a_branch_that_moves(origin: Origin, fetch) -> None:  # type: ignore[no-untyped-def]
    origin.commit({"f": b"1"})
    assert read(fetch(origin.url), "f") == b"1"
    origin.commit({"f": b"2"})
    assert read(fetch(origin.url), "f") == b"2"


def test_a_branch_that_becomes_a_folder_of_branches(origin: Origin, fetch) -> None:  # type: ignore[no-untyped-def]
    first = origin.commit({"f": b"1"}, branch="a")
    origin.commit({"f": b"2"}, branch="main")
    fetch(f"{origin.url}#{first[:7]}")
    fetch(f"{origin.url}#a")
    origin.repo.references.delete("refs/heads/a")
    second = origin.commit({"f": b"3"}, branch="a/b")
    assert fetch(f"{origin.url}#a/b").commit == second
    third = origin.commit({"f": b"4"}, branch="a/b")
    origin.commit({"f": b"5"}, branch="a/b")
    assert fetch(f"{origin.url}#{third[:7]}").commit == third


def test_errors(origin: Origin, fetch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ContextError, match="it is empty"):
        fetch(origin.url)
    commit = origin.commit({"d/f": b""})
    with pytest.raises(ContextError, match="no branch, tag or commit 'nothing'") as caught:
        fetch(f"{origin.url}#nothing")
    assert caught.value.hint is not None
    with pytest.raises(ContextError, match="no branch, tag or commit"):
        fetch(f"{origin.url}#{'0' * 40}")
    with pytest.raises(ContextError, match=f"is commit {commit}, not abcdef"):
        fetch(f"{origin.url}?branch=main&checksum=abcdef")
    for folder in ("nothing", "d/f"):
        with pytest.raises(ContextError, match="no folder"):
            fetch(f"{origin.url}#:{folder}")
    with pytest.raises(ContextError, match="cannot fetch file://"):
        fetch(f"file://{tmp_path}/missing.git")
    blob = str(origin.repo.create_blob(b"text"))
    origin.repo.references.create("refs/tags/blob", pygit2.Oid(hex=blob))
    with pytest.raises(ContextError, match="is no commit"):
        fetch(f"{origin.url}#blob")


def test_a_folder_of_the_repository(origin: Origin, fetch) -> None:  # type: ignore[no-untyped-def]
    origin.commit(FILES)
    tree = fetch(f"{origin.url}#main:src")
    assert [path for path, _ in tree.walk()] == ["a", "deep", "deep/b"]
    assert read(tree, "deep/b") == b"bb"
    assert tree.lstat("../Dockerfile") is None
    assert [path for path, _ in fetch(f"{origin.url}#main:/src/../src/deep/").walk()] == ["b"]


def test_content_ids_are_the_blobs(origin: Origin, fetch) -> None:  # type: ignore[no-untyped-def]
    origin.commit({"a": b"same", "d/b": b"same", "c": b"other"})
    tree = fetch(origin.url)
    assert tree.content_id("a") == tree.content_id("d/b") != tree.content_id("c")
    whole = content_digest(tree, [("", "")])
    origin.commit({"a": b"same", "d/b": b"same", "c": b"changed"}, time=2_000_000_000)
    changed = fetch(origin.url)
    assert content_digest(changed, [("", "")]) != whole
    assert content_digest(changed, [("d", "d")]) == content_digest(tree, [("d", "d")])


def test_submodules(origin: Origin, tmp_path: Path, fetch) -> None:  # type: ignore[no-untyped-def]
    inner = Origin(tmp_path / "inner.git")
    middle = Origin(tmp_path / "middle.git")
    innermost = inner.commit({"deep.txt": b"deep"})
    modules = b'[submodule "i"]\n\tpath = i\n\turl = ../inner.git\n'
    pinned = middle.commit({"f": b"old", "i": innermost, ".gitmodules": modules})
    middle.commit({"f": b"new"})
    modules = (
        b'[submodule "m"]\n\tpath = libs/m\n\turl = ../middle.git\n[submodule "x"]\n\tpath = gone\n\turl = ../x.git\n'
    )
    origin.commit({"a": b"", "libs/m": pinned, ".gitmodules": modules})
    tree = fetch(origin.url)
    paths = [path for path, _ in tree.walk()]
    assert paths == [
        ".gitmodules",
        "a",
        "libs",
        "libs/m",
        "libs/m/.gitmodules",
        "libs/m/f",
        "libs/m/i",
        "libs/m/i/deep.txt",
    ]
    assert read(tree, "libs/m/f") == b"old"
    assert read(tree, "libs/m/i/deep.txt") == b"deep"
    assert tree.lstat("libs/m").name == "m"
    assert tree.content_id("libs/m/i/deep.txt").startswith(b"git blob ")
    assert [path for path, _ in fetch(f"{origin.url}#:libs/m").walk()] == [".gitmodules", "f", "i", "i/deep.txt"]
    without = fetch(f"{origin.url}?submodules=false")
    assert [path for path, _ in without.walk("libs")] == ["m"]
    assert without.scandir("libs/m") == []


@pytest.mark.parametrize("url", ["file:///srv/other.git", "/srv/other.git", "ext::sh -c true"])
def test_a_submodule_cannot_name_files_of_this_machine(origin: Origin, fetch, url: str) -> None:  # type: ignore[no-untyped-def]
    modules = f'[submodule "m"]\n\tpath = m\n\turl = "{url}"\n'.encode()
    origin.commit({"m": "0123456789" * 4, ".gitmodules": modules})
    with pytest.raises(ContextError, match="not allowed"):
        fetch(origin.url)


@pytest.mark.parametrize(
    ("remote", "written", "expected"),
    [
        ("https://u:p@host/a/b.git", "../c.git", "https://u:p@host/a/c.git"),
        ("https://host/a/b.git", "./c.git", "https://host/a/b.git/c.git"),
        ("https://host/b.git", "../../../c.git", "https://host/c.git"),
        ("git@host:a/b.git", "../c.git", "git@host:a/c.git"),
        ("https://host/b.git", "https://other/c", "https://other/c"),
        ("https://host/b.git", "git@other:c", "git@other:c"),
    ],
)
def test_where_submodules_are(tmp_path: Path, remote: str, written: str, expected: str) -> None:
    assert GitRepository(remote, str(tmp_path))._submodule_remote("m", written) == expected


def test_one_cache_for_several_at_once(origin: Origin, tmp_path: Path) -> None:
    commits = [origin.commit({"f": str(number).encode()}, branch=f"b{number}") for number in range(4)]
    found: list[str] = []

    def run(number: int) -> None:
        found.append(GitRepository(origin.url, str(tmp_path / "cache")).fetch(f"b{number}"))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(commits)


def test_no_secret_in_a_message_or_on_disk(tmp_path: Path) -> None:
    with pytest.raises(ContextError) as caught:
        GitRepository("http://user:secret@127.0.0.1:1/x.git", str(tmp_path)).fetch()
    assert "secret" not in str(caught.value)
    assert "http://user:xxxxx@127.0.0.1:1/x.git" in str(caught.value)
    assert caught.value.__cause__ is None
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"secret" not in path.read_bytes()
